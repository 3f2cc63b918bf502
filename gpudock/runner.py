"""Run a command line's tasks on its hosts, side by side, and end with the worst exit code.

Exit codes, worst last: 0 done · 4 something was found · 1 an action failed · 3 a host could not be reached.
Code 2, bad usage, comes before anything is touched.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import Any

import invoke

from gpudock.command import Command, Job, Options
from gpudock.config import Loaded, load
from gpudock.converge import Outcome
from gpudock.errors import GpudockError, Unreachable, UsageError
from gpudock.host import Host
from gpudock.report import JsonReport, Report

SEVERITY = (0, 4, 1, 3, 2)
LOCAL = "localhost"


@dataclass(frozen=True)
class Target:
    """A host of the command line and how to get a context for it. Connecting raises Unreachable."""

    name: str
    connect: Callable[[], invoke.Context]
    inventory_name: str | None = None

    @classmethod
    def of(cls, context: invoke.Context) -> Target:
        """The host that a context already points to."""
        return cls(getattr(context, "original_host", LOCAL), lambda: context)


@dataclass(frozen=True)
class Work:
    """One call of the command line, its shared options taken out and the settings for each host loaded."""

    call: invoke.Call
    options: Options
    own: Mapping[str, Any]
    loaded: Mapping[str, Loaded]


def run(targets: Sequence[Target], calls: Sequence[invoke.Call], parallel: int = 32) -> None:
    """Run the calls in order on each target, targets side by side. Raises Exit with the worst code unless 0."""
    work = [_prepare(call, targets) for call in calls]
    report = _report(work, len(targets))
    stop = Event()
    pool = ThreadPoolExecutor(min(parallel, len(targets)))
    try:
        with _interruptible(stop):
            codes = list(pool.map(lambda target: _run_on(target, work, report, stop), targets))
    except KeyboardInterrupt:
        report.complain("Stopped. What a host was at may still be going on there; the same command finishes the rest.")
        os._exit(1)  # threads that wait for a host would hold an ordinary exit up
    report.close(codes.count(Unreachable.code))
    worst = max(codes, key=SEVERITY.index)
    if worst:
        raise invoke.Exit(code=worst)


def _prepare(call: invoke.Call, targets: Sequence[Target]) -> Work:
    own = dict(call.kwargs)
    if not isinstance(call.task, Command):
        return Work(call, Options(), own, {})
    options = Options.take(own)
    consent = ("engine.stop_containers=true",) if options.yes else ()
    overrides = (*options.overrides, *consent)
    loaded = {target.name: load(overrides, host=target.inventory_name) for target in targets}
    return Work(call, options, own, loaded)


def _report(work: Sequence[Work], hosts: int) -> Report:
    if any(item.options.json for item in work):
        return JsonReport(hosts)
    if sys.stdout.isatty():
        from gpudock.live import LiveReport  # rich costs 60 ms

        return LiveReport(hosts)
    return Report(hosts)


def _run_on(target: Target, work: Sequence[Work], report: Report, stop: Event) -> int:
    """Run all work on one host up to the first failure and return its exit code; what fails is reported."""
    name = work[0].call.called_as or work[0].call.task.name
    try:
        context = target.connect()
        for item in work:
            name = item.call.called_as or item.call.task.name
            if not isinstance(item.call.task, Command):
                item.call.task(context, *item.call.args, **item.own)
                continue
            before = len(report.outcomes)
            loaded = item.loaded[target.name]
            host = Host(context, target.name, loaded.settings.fleet.command_timeout)
            job = Job(name, loaded.settings, loaded.origins, host, report, item.options, stop)
            item.call.task.perform(job, **item.own)
            if code := _worst(report.outcomes[before:], target.name):
                return code
    except UsageError:
        raise
    except GpudockError as error:
        report.outcome(Outcome(target.name, name, "failed", error=error))
        return int(error.code)
    return 0


def _worst(outcomes: Sequence[Outcome], host: str) -> int:
    codes = [int(outcome.error.code) for outcome in outcomes if outcome.host == host and outcome.error]
    return max(codes, key=SEVERITY.index, default=0)


@contextmanager
def _interruptible(stop: Event) -> Iterator[None]:
    """Ctrl-C once: running actions end, no new ones begin. Twice: stop now."""
    if current_thread() is not main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, former)
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
        calls = self.expand_calls(self.normalize(tasks))
        context = invoke.Context(config=self.config)
        run([Target(LOCAL, lambda: context)], calls)
        return {}
