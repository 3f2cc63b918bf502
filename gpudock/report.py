"""What people read: progress, lines, a summary. What machines read is in json_report.py."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, TextIO

from gpudock.actions import Action
from gpudock.credentials import without_passwords
from gpudock.errors import TaskFailed, Unreachable
from gpudock.logs import Logs
from gpudock.step import Interrupted, Outcome, Status

NEWS_EVERY = 10.0  # seconds between two lines about an action that is still running
STATUSES: tuple[Status, ...] = ("changed", "planned", "ok", "skipped", "failed")


class Report:
    """Plain lines, one a finished action and one a step: what a log or a pipe gets.

    `hosts` is their number, `logs` gets all of it. Kinds of report differ in `news`, `done`, `show` and `close`.
    """

    def __init__(self, hosts: int = 1, logs: Logs | None = None) -> None:
        self.hosts = hosts
        self.logs = logs or Logs(None)
        self.outcomes: list[Outcome] = []
        self.left_out: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.started = time.monotonic()
        self._news: dict[str, float] = {}
        self._running: dict[str, str] = {}
        self._idle: dict[str, list[Outcome]] = {}
        self._writing = Lock()

    def arrive(self, host: str) -> None:
        """The work on a host begins."""
        self.seconds[host] = -time.monotonic()

    def leave(self, host: str, code: int) -> None:
        """The work on a host is done, with this exit code."""
        self.seconds[host] += time.monotonic()

    def leave_out(self, host: str, reason: str) -> None:
        """The work on a host is not even begun."""
        self.left_out[host] = reason

    def begin(self, host: str, step: str, action: Action) -> None:
        """An action begins."""
        self._tell_idle(host)
        self._running[host] = f"{host} {step}: {action.why}"
        self._news[host] = time.monotonic()
        self.logs.write(host, f"{step}: {action.why}")

    def line(self, host: str, text: str) -> None:
        """The running action's tool printed a line."""
        self.logs.write(host, f"    {text}")
        self.news(host, text)

    def end(self, host: str, step: str, action: Action, seconds: float) -> None:
        """The action is done."""
        text = f"{step}: {action.why} … {action.end} ({seconds:.1f}s)"
        self.logs.write(host, text)
        self.done(host, f"{host} {text}")

    def outcome(self, outcome: Outcome) -> None:
        """A step is done."""
        self.outcomes.append(outcome)
        said = f"\n{outcome.error.message}" if outcome.error else ""
        self.logs.write(
            outcome.host, f"{outcome.step}: {outcome.status}{outcome.reason and ', '}{outcome.reason}{said}"
        )
        self.show(outcome)

    def say(self, host: str, step: str, facts: Mapping[str, Any], text: str) -> None:
        """Give a task's answer: `text` to people, `facts` to machines."""
        self._tell_idle(host)
        self.write(f"{host}\n{text}" if self.hosts > 1 else text)

    def note(self, host: str, text: str) -> None:
        """Something the operator should know."""
        self.logs.write(host, text)
        self.complain(f"{host}: {text}")

    def news(self, host: str, text: str) -> None:
        """What the running action's tool prints, now and then, as a sign of life."""
        if time.monotonic() - self._news[host] >= NEWS_EVERY:
            self._news[host] = time.monotonic()
            self.write(f"{self._running[host]} … {text.strip()[:100]}")

    def done(self, host: str, text: str) -> None:
        """Show an action that is done."""
        self.write(text, "changed")

    def show(self, outcome: Outcome) -> None:
        """Show a step that is done, those that did nothing together; an error goes to standard error."""
        name = f"{outcome.host} {outcome.step}"
        if outcome.status in ("ok", "skipped"):
            self._idle.setdefault(outcome.host, []).append(outcome)
            return
        self._tell_idle(outcome.host)
        if outcome.error:
            failed = "" if isinstance(outcome.error, Interrupted) else "failed. "
            self.complain(f"{name}: {failed}{outcome.error.message}{self._where(outcome)}")
        elif outcome.status == "planned":
            self._planned(name, outcome)

    def close(self, codes: Mapping[str, int]) -> None:
        """Print the summary, where there is something to sum up: of many hosts a table, then one line."""
        for host in codes:
            self._tell_idle(host)
        if not self.outcomes and not self.left_out:
            return
        if self.hosts > 1 and (self.left_out or any(outcome.status != "failed" for outcome in self.outcomes)):
            self.write(columns(self.table(codes)))
        count = self.count()
        parts = [f"{count[status]} {status}" for status in STATUSES if count[status]]
        if unreachable := list(codes.values()).count(Unreachable.code):
            parts.append(f"{unreachable} of {self.hosts} hosts unreachable")
        if self.left_out:
            parts.append(f"{len(self.left_out)} of {self.hosts} hosts not begun")
        seconds = time.monotonic() - self.started
        unchanged = not (count["changed"] or count["failed"] or count["planned"] or unreachable or self.left_out)
        text = "nothing to change" if unchanged else ", ".join(parts)
        where = f"{self.hosts} hosts: " if self.hosts > 1 else ""
        self.write(f"{where}{text} ({seconds:.1f}s)", "failed" if count["failed"] else "")

    def abandon(self, text: str) -> None:
        """Say why all of it ends at once, whatever else is being written or asked."""
        _print(text, sys.stderr)

    def table(self, codes: Mapping[str, int]) -> list[tuple[str, ...]]:
        """A row for each host: its steps by status, its time, and what went wrong."""
        rows: list[tuple[str, ...]] = [("host", "changed", "ok", "skipped", "time", "")]
        for host, code in codes.items():
            count = self.count(host)
            numbers = (str(count["changed"] + count["planned"]), str(count["ok"]), str(count["skipped"]))
            rows.append((host, *numbers, f"{self.seconds[host]:.1f}s", self._verdict(host, code)))
        rows += [(host, "-", "-", "-", "-", reason) for host, reason in self.left_out.items()]
        return rows

    def count(self, host: str = "") -> Counter[Status]:
        """How many steps on a host, or on all, came to which end; those of which nobody is told do not count."""
        return Counter(item.status for item in filter(_told, self.outcomes) if host in ("", item.host))

    def write(self, text: str, status: str = "") -> None:
        """Print a line whole, whatever other hosts print at the same time."""
        with self._writing:
            _print(text, sys.stdout)

    def complain(self, text: str) -> None:
        """Print an error."""
        with self._writing:
            _print(text, sys.stderr)

    def _tell_idle(self, host: str) -> None:
        """Show the steps that did nothing since the last line, those of which the same is to be said on one line."""
        told: dict[tuple[Status, str], list[str]] = {}
        for outcome in filter(_told, self._idle.pop(host, [])):
            told.setdefault((outcome.status, outcome.reason), []).append(outcome.step)
        for (status, reason), steps in told.items():
            self.write(f"{host} {together(steps)}: {status}{reason and ', '}{reason}", status)

    def _verdict(self, host: str, code: int) -> str:
        failed = [outcome.step for outcome in self.outcomes if outcome.host == host and outcome.error]
        if code == Unreachable.code:
            return "unreachable"
        return f"failed: {', '.join(failed)}" if failed else "" if code == 0 else f"ended with code {code}"

    def _where(self, outcome: Outcome) -> str:
        """Where the whole output is, if a tool printed any, and the traceback of what a user's own task raised."""
        if isinstance(outcome.error, Interrupted):
            return ""
        path = self.logs.path(outcome.host) if outcome.actions or isinstance(outcome.error, TaskFailed) else ""
        return f"\n  All it printed is in {path}." if path else ""

    def _planned(self, name: str, outcome: Outcome) -> None:
        if outcome.reason:
            self.write(f"{name}: {outcome.reason}", "planned")
        for action in outcome.actions:
            self.write(f"{name}: would {action.why}", "planned")
            if diff := action.diff():
                self.write("".join(f"    {line}" for line in diff.splitlines(keepends=True)).rstrip("\n"))


def _told(outcome: Outcome) -> bool:
    """Whether people are told of it: not of a step that was left out because nobody asked for it."""
    return outcome.status != "skipped" or bool(outcome.reason)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(without_passwords(text), file=stream, flush=True)
    except BrokenPipeError:  # whoever read it, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def together(steps: Sequence[str]) -> str:
    """Name steps in one line, a noun once: `toolkit.repo, channel, package`."""
    nouns = ["", *(step.partition(".")[0] for step in steps)]
    return ", ".join(
        step.partition(".")[2] if noun == former else step
        for step, noun, former in zip(steps, nouns[1:], nouns, strict=False)
    )


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
