"""Run a command line's tasks on its hosts, side by side, and end with the worst exit code.

Exit codes, worst last: 0 done · 4 something was found · 1 an action failed · 3 a host could not be reached.
Code 2, bad usage, comes before anything is touched.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import Any

import invoke

from gpudock import credentials, mirrors, through
from gpudock.calls import Work, calls_of, prepare, rollout_of
from gpudock.command import Command, Job
from gpudock.config import OWN
from gpudock.errors import GpudockError, TaskFailed, UsageError
from gpudock.host import Host
from gpudock.json_report import JsonReport
from gpudock.logs import Logs
from gpudock.options import Rollout
from gpudock.report import Report
from gpudock.rollout import Gate, Memory
from gpudock.step import Outcome

SEVERITY = (0, 4, 1, 3, 2)
LOCAL = "localhost"


@dataclass(frozen=True)
class Target:
    """A host of the command line, how to get a context for it, and what to do with it after its work.

    Connecting raises Unreachable.
    """

    name: str
    connect: Callable[[], invoke.Context]
    inventory_name: str | None = None
    close: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, context: invoke.Context) -> Target:
        """The host that a context already points to."""
        return cls(getattr(context, "original_host", LOCAL), lambda: context)


@dataclass
class Run:
    """A command line on its way over the hosts."""

    work: Sequence[Work]
    report: Report
    stop: Event = field(default_factory=Event)

    def on(self, target: Target) -> int:
        """Run all work on one host up to the first failure and return its exit code; what fails is reported."""
        self.report.arrive(target.name)
        try:
            code = self._on(target)
        finally:
            target.close()
        self.report.leave(target.name, code)
        return code

    def _on(self, target: Target) -> int:
        name = self.work[0].name
        try:
            context = target.connect()
            for item in self.work:
                name = item.name
                if code := self._do(item, target, context):
                    return code
        except GpudockError as error:
            return self._failed(target, name, error)
        except invoke.Exit as end:  # a task's own way to end with a code of its choice
            if end.message:
                self.report.complain(str(end.message))
            return int(end.code or 0)
        except Exception as error:  # a user's task may raise anything, and must not take the other hosts along
            self.report.logs.write(target.name, traceback.format_exc())
            return self._failed(target, name, TaskFailed(name, error))
        return 0

    def _do(self, item: Work, target: Target, context: invoke.Context) -> int:
        if not isinstance(item.call.task, Command):
            item.call.task(context, *item.call.args, **item.own)
            return 0
        before = len(self.report.outcomes)
        loaded = mirrors.applied(item.loaded[target.name], target.name)
        host = Host(context, target.name, loaded.settings.fleet.command_timeout)
        with through.opened(host, loaded) as loaded:
            job = Job(item.name, loaded.settings, loaded.origins, host, self.report, item.options, self.stop)
            item.call.task.perform(job, **item.own)
        outcomes = [outcome for outcome in self.report.outcomes[before:] if outcome.host == target.name]
        return worst([int(outcome.error.code) for outcome in outcomes if outcome.error])

    def _failed(self, target: Target, name: str, error: GpudockError) -> int:
        self.report.outcome(Outcome(target.name, name, "failed", error=error))
        return int(error.code)


def run(
    targets: Sequence[Target],
    calls: Sequence[invoke.Call],
    parallel: int = 32,
    rollout: Rollout | None = None,
    memory: Memory | None = None,
) -> None:
    """Run the calls in order on each target, targets side by side; `memory` learns on which they fail.

    Raises Exit with the worst code unless it is 0.
    """
    known = {target.name: target.inventory_name for target in targets}
    work = [prepare(call, known) for call in calls]
    logs = Logs(OWN / "logs", "+".join(item.name for item in work))
    running = Run(work, _report(work, len(targets), logs))
    named = {target.name: target for target in targets}
    gate = Gate(rollout or Rollout(), running.stop)
    try:
        with _interruptible(running):
            gate.roll(list(named), parallel, lambda name: running.on(named[name]), running.report.leave_out)
    except KeyboardInterrupt:
        credentials.leave_prompt()
        running.report.abandon(
            "Stopped. What a host was at may still be going on there; the same command with --wait finishes the rest."
        )
        os._exit(1)  # threads that wait for a host would hold an ordinary exit up
    codes = {name: gate.codes[name] for name in named if name in gate.codes}
    if memory and not any(item.options.dry_run for item in work):
        memory.keep(codes)
    for item in work:
        if isinstance(item.call.task, Command):
            item.call.task.conclude(running.report, list(named), json=item.options.json)
    running.report.close(codes)
    if code := worst([*codes.values(), int(running.stop.is_set())]):
        raise invoke.Exit(code=code)


def worst(codes: Sequence[int]) -> int:
    """The worst of several exit codes; one that is not ours counts as a failure."""
    return max(codes, key=lambda code: SEVERITY.index(code if code in SEVERITY else 1), default=0)


def _report(work: Sequence[Work], hosts: int, logs: Logs) -> Report:
    if any(item.options.json for item in work):
        return JsonReport(hosts, logs)
    if sys.stdout.isatty():
        from gpudock.live import LiveReport  # rich costs 60 ms

        return LiveReport(hosts, logs)
    return Report(hosts, logs)


@contextmanager
def _interruptible(running: Run) -> Iterator[None]:
    """Ctrl-C once: running actions end, no new ones begin. Twice: stop now."""
    if current_thread() is not main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        running.stop.set()
        signal.signal(signal.SIGINT, former)
        if credentials.asking():  # who does not answer wants to stop now
            raise KeyboardInterrupt
        print("\nStopping: what runs now is let finish. Ctrl-C again stops at once.", file=sys.stderr)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


class LocalExecutor(invoke.Executor):
    """What `inv` runs tasks with: one report and one exit code for the whole command line, on this machine."""

    def execute(self, *tasks: Any) -> dict[Any, Any]:
        """Run the command line's tasks on this machine."""
        calls = calls_of(self, tasks)
        if rollout_of(calls).retry:
            raise UsageError("--retry is for hosts of `fab -H`: on this machine just run the same command again.")
        context = invoke.Context(config=self.config)
        run([Target(LOCAL, lambda: context)], calls)
        return {}
