"""What a terminal shows: finished actions as lines, and under them one live row a host."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gpudock.actions import Action
from gpudock.converge import Outcome
from gpudock.report import Report

COLORS = {"ok": "green", "changed": "yellow", "planned": "cyan", "skipped": "bright_black", "failed": "red"}


class LiveReport(Report):
    """The plain report in colour, with a row for each host that is at work: step, action, time, last output."""

    def __init__(self, hosts: int = 1) -> None:
        super().__init__(hosts)
        self._since: dict[str, float] = {}
        self._last: dict[str, str] = {}
        self.console = Console(highlight=False)  # honours NO_COLOR
        self.live = Live(console=self.console, get_renderable=self._rows, refresh_per_second=4, transient=True)

    def begin(self, host: str, step: str, action: Action) -> None:
        super().begin(host, step, action)
        self._since[host], self._last[host] = time.monotonic(), ""
        self.live.start()

    def line(self, host: str, text: str) -> None:
        self._last[host] = text.strip()

    def end(self, host: str, step: str, action: Action, seconds: float) -> None:
        self._since.pop(host, None)
        super().end(host, step, action, seconds)
        self._rest()

    def outcome(self, outcome: Outcome) -> None:
        self._since.pop(outcome.host, None)
        self._rest()
        super().outcome(outcome)

    def write(self, text: str, status: str = "") -> None:
        """Print above the live rows."""
        self.console.print(Text(text, style=COLORS.get(status, "")), soft_wrap=True)

    def complain(self, text: str) -> None:
        """Print an error, above the live rows too."""
        Console(stderr=True, highlight=False).print(Text(text, style="red"), soft_wrap=True)

    def close(self, unreachable: int) -> None:
        self.live.stop()
        super().close(unreachable)

    def _rest(self) -> None:
        if not self._since:
            self.live.stop()

    def _rows(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for row in list(self._each()):
            table.add_row(*row)
        return table

    def _each(self) -> Iterable[tuple[Text, ...]]:
        width = max(self.console.width - 4, 40)
        for host, since in list(self._since.items()):
            seconds = f"{time.monotonic() - since:.0f}s"
            head = f"{self._running[host]} … {seconds}"
            yield (Text("●", style="yellow"), Text(f"{head}  {self._last[host]}"[:width], overflow="ellipsis"))
