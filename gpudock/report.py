"""What people and machines read: progress, lines, a summary, or one JSON object a line."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from threading import Lock
from typing import Any

from gpudock.actions import Action
from gpudock.converge import Outcome

NEWS_EVERY = 10.0  # seconds between two lines about an action that is still running


class Report:
    """Plain lines, one a finished action and one a step: what a log or a pipe gets. `hosts` is their number."""

    def __init__(self, hosts: int = 1) -> None:
        self.hosts = hosts
        self.outcomes: list[Outcome] = []
        self.started = time.monotonic()
        self._news: dict[str, float] = {}
        self._running: dict[str, str] = {}
        self._writing = Lock()

    def begin(self, host: str, step: str, action: Action) -> None:
        """An action begins."""
        self._running[host] = f"{host} {step}: {action.why}"
        self._news[host] = time.monotonic()

    def line(self, host: str, text: str) -> None:
        """The running action's tool printed a line: shown now and then, as a sign of life."""
        if time.monotonic() - self._news[host] >= NEWS_EVERY:
            self._news[host] = time.monotonic()
            self.write(f"{self._running[host]} … {text.strip()[:100]}")

    def end(self, host: str, step: str, action: Action, seconds: float) -> None:
        """The action is done."""
        self.write(f"{host} {step}: {action.why} … changed ({seconds:.1f}s)", "changed")

    def outcome(self, outcome: Outcome) -> None:
        """A step is done; the error of one that failed goes to standard error."""
        self.outcomes.append(outcome)
        name = f"{outcome.host} {outcome.step}"
        if outcome.error:
            self.complain(f"{name}: failed. {outcome.error.message}")
        elif outcome.status == "planned":
            self._planned(name, outcome)
        elif outcome.status == "skipped":
            self.write(f"{name}: skipped, {outcome.reason}", "skipped")
        elif outcome.status == "ok":
            self.write(f"{name}: ok", "ok")

    def note(self, host: str, text: str) -> None:
        """Something the operator should know."""
        self.complain(f"{host}: {text}")

    def say(self, host: str, step: str, facts: Mapping[str, Any], text: str) -> None:
        """Give a task's answer: `text` to people, `facts` to machines."""
        self.write(f"{host}\n{text}" if self.hosts > 1 else text)

    def close(self, unreachable: int) -> None:
        """Print the summary, where there is something to sum up."""
        if not self.outcomes:
            return
        count = Counter(outcome.status for outcome in self.outcomes)
        parts = [
            f"{count[status]} {status}" for status in ("changed", "planned", "ok", "skipped", "failed") if count[status]
        ]
        if unreachable:
            parts.append(f"{unreachable} of {self.hosts} hosts unreachable")
        seconds = time.monotonic() - self.started
        unchanged = not (count["changed"] or count["failed"] or count["planned"] or unreachable)
        text = "nothing to change" if unchanged else ", ".join(parts)
        where = f"{self.hosts} hosts: " if self.hosts > 1 else ""
        self.write(f"{where}{text} ({seconds:.1f}s)", "failed" if count["failed"] else "")

    def write(self, text: str, status: str = "") -> None:
        """Print a line whole, whatever other hosts print at the same time."""
        with self._writing:
            try:
                print(text, flush=True)
            except BrokenPipeError:  # whoever read it, such as `head`, has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def complain(self, text: str) -> None:
        """Print an error."""
        with self._writing:
            print(text, file=sys.stderr, flush=True)

    def _planned(self, name: str, outcome: Outcome) -> None:
        if outcome.reason:
            self.write(f"{name}: {outcome.reason}", "planned")
        for action in outcome.actions:
            self.write(f"{name}: would {action.why}", "planned")
            if diff := action.diff():
                self.write("".join(f"    {line}" for line in diff.splitlines(keepends=True)).rstrip("\n"))


class JsonReport(Report):
    """One JSON object a line and nothing else: ARCHITECTURE.md, "Contracts"."""

    def line(self, host: str, text: str) -> None:
        return

    def end(self, host: str, step: str, action: Action, seconds: float) -> None:
        return

    def outcome(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        row: dict[str, Any] = {
            "host": outcome.host,
            "step": outcome.step,
            "status": outcome.status,
            "actions": [action.describe() for action in outcome.actions],
            "seconds": round(outcome.seconds, 3),
        }
        if is_dataclass(outcome.facts) and not isinstance(outcome.facts, type):
            row["facts"] = public(outcome.facts)
        if outcome.reason:
            row["reason"] = outcome.reason
        if outcome.error:
            row["error"] = outcome.error.message
        self._object(row)

    def say(self, host: str, step: str, facts: Mapping[str, Any], text: str) -> None:
        self._object({"host": host, "step": step, "status": "ok", "actions": [], "facts": dict(facts), "seconds": 0.0})

    def close(self, unreachable: int) -> None:
        count = Counter(outcome.status for outcome in self.outcomes)
        summary = {
            "hosts": self.hosts,
            **{status: count[status] for status in ("ok", "changed", "planned", "skipped", "failed")},
        }
        seconds = round(time.monotonic() - self.started, 3)
        self._object({"summary": {**summary, "unreachable": unreachable, "seconds": seconds}})

    def _object(self, row: Mapping[str, Any]) -> None:
        self.write(json.dumps(row, default=str, ensure_ascii=False))


def public(facts: Any) -> dict[str, Any]:
    """A step's own facts as a mapping: secrets are left out, and what it shares with the steps before it."""
    shown = {item.name: getattr(facts, item.name) for item in fields(facts) if not item.metadata.get("secret")}
    return {name: value for name, value in shown.items() if not is_dataclass(value)}


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
