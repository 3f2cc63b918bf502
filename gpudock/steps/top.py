"""`top`: what the hosts are doing, refreshed on a terminal until Ctrl-C, over the one connection each has."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import Event, Lock
from typing import Any

from gpudock.command import Command, Job
from gpudock.errors import GpudockError, Unreachable, UsageError
from gpudock.options import whole_number
from gpudock.questions import ask
from gpudock.report import Report, columns
from gpudock.steps import usage
from gpudock.steps.usage import Usage

_starting = Lock()


class TopCommand(Command):
    """All hosts of the command line on one screen; `looks` holds the latest of each, or why there is none."""

    def __init__(self) -> None:
        explained = {
            "once": "Show one look and end; so it is without a terminal and with --json, too.",
            "interval": "Seconds between two looks (2).",
        }
        super().__init__(top, help=explained, auto_shortflags=False)
        self.looks: dict[str, Usage | str] = {}
        self.screen: Any = None
        self.stop: Event | None = None

    def perform(self, job: Job, **own: Any) -> None:
        """Look at one host, again and again until Ctrl-C where there is a terminal."""
        interval = whole_number("--interval", own["interval"], least=1)
        if not own["once"] and not job.options.json and sys.stdout.isatty():
            self._watch(job, interval)
            return
        found = look(job)
        text = "\n\n".join(columns(part) for part in usage.tables(found))
        job.say(text or "no GPU, no container", **found.public())

    def _watch(self, job: Job, interval: int) -> None:
        """Look until Ctrl-C; a host that is gone keeps its place on the screen, with the reason."""
        most = job.settings.fleet.parallel
        if job.report.hosts > most:
            raise UsageError(f"top asks at most {most} hosts all the time (fleet.parallel): name fewer, or use --once.")
        self.stop = job.stop
        self._show(job.report)
        while not job.stop.is_set():
            try:
                self.looks[job.host.name] = look(job)
            except GpudockError as error:
                self.looks[job.host.name] = str(error)
                if isinstance(error, Unreachable):
                    job.stop.wait()
                    raise
            job.stop.wait(interval)

    def conclude(self, report: Report, hosts: Sequence[str], *, json: bool) -> None:
        """Leave the screen as it was. Ctrl-C is how it ends, so nothing was broken off."""
        if self.screen:
            self.screen.stop()
        if self.stop:
            self.stop.clear()

    def _show(self, report: Report) -> None:
        from rich.live import Live  # it costs 60 ms

        from gpudock.steps import screen

        with _starting:
            if self.screen is None:
                self.screen = Live(
                    get_renderable=lambda: screen.render(self.looks, report.outcomes), refresh_per_second=2, screen=True
                )
                self.screen.start()


def top(job: Job, once: bool = False, interval: str = "2") -> None:
    """Show GPUs, processes on them and containers, live until Ctrl-C."""


def look(job: Job) -> Usage:
    """Look at the host once, in one round trip. Raises GpudockError."""
    return usage.read(ask(job.host, usage.QUESTIONS))


TOP = TopCommand()
