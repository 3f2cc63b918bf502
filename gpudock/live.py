"""What a terminal shows: one live row a host that is at work, and above them what is done, folded to a line a host."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gpudock import credentials
from gpudock.actions import Action
from gpudock.logs import Logs
from gpudock.report import STATUSES, Report
from gpudock.step import Outcome

GLUE = "\0"  # for a space where no line may end
COLORS = {"ok": "green", "changed": "yellow", "planned": "cyan", "skipped": "bright_black", "failed": "red"}


class LiveReport(Report):
    """The plain report in colour, with live rows. One host's steps stay as lines; many hosts' are folded."""

    def __init__(self, hosts: int = 1, logs: Logs | None = None) -> None:
        super().__init__(hosts, logs)
        self._since: dict[str, float] = {}
        self._last: dict[str, str] = {}
        self.console = Console(highlight=False)  # honours NO_COLOR
        self.live = Live(console=self.console, get_renderable=self._rows, refresh_per_second=4, transient=True)
        credentials.quietly = self._paused

    def arrive(self, host: str) -> None:
        super().arrive(host)
        if self.hosts > 1:
            self._running[host], self._since[host] = f"{host} connects and looks", time.monotonic()

    def leave(self, host: str, code: int) -> None:
        super().leave(host, code)
        self._since.pop(host, None)
        if self.hosts > 1 and (count := self.count(host)):
            told = ", ".join(f"{count[status]} {status}" for status in STATUSES if count[status])
            worst = next((status for status in ("failed", "changed", "planned") if count[status]), "ok")
            self.write(f"{host}: {told} ({self.seconds[host]:.1f}s)", worst)
        self._rest()

    def begin(self, host: str, step: str, action: Action) -> None:
        super().begin(host, step, action)
        self._since[host], self._last[host] = time.monotonic(), ""
        self.live.start()

    def news(self, host: str, text: str) -> None:
        self._last[host] = text.strip()

    def done(self, host: str, text: str) -> None:
        if self.hosts == 1:
            self._since.pop(host, None)
            self.write(text, "changed")
        self._rest()

    def show(self, outcome: Outcome) -> None:
        if self.hosts == 1 or outcome.error or outcome.status == "planned":
            super().show(outcome)

    def write(self, text: str, status: str = "") -> None:
        """Print above the live rows, sentences broken between words; what may be pasted or piped stays as it is."""
        shown = fitted(text, self.console.width) if status else text
        self.console.print(Text(shown, style=COLORS.get(status, "")), soft_wrap=True)

    def complain(self, text: str) -> None:
        """Print an error above the live rows too, which on standard error needs them out of the way."""
        console = Console(stderr=True, highlight=False)
        with self._paused():
            shown = fitted(text, console.width) if console.is_terminal else text
            console.print(Text(shown, style="red"), soft_wrap=True)

    def close(self, codes: Mapping[str, int]) -> None:
        self.live.stop()
        super().close(codes)

    def abandon(self, text: str) -> None:
        self.live.stop()  # which gives the terminal its cursor back
        super().abandon(text)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Take the live rows away while something else writes to the terminal, or asks for a password."""
        with self._writing:
            running = self.live.is_started
            self.live.stop()
            yield
            if running:
                self.live.start()

    def _rest(self) -> None:
        if not self._since:
            self.live.stop()

    def _rows(self) -> Table:
        """As many rows as there is room for, then how many more hosts are at work."""
        table = Table.grid(padding=(0, 1))
        rows = list(self._each())
        room = max(self.console.height - 3, 1)
        for row in rows[:room]:
            table.add_row(*row)
        if len(rows) > room:
            table.add_row(Text("●", style="yellow"), Text(f"and {len(rows) - room} more hosts"))
        return table

    def _each(self) -> Iterator[tuple[Text, Text]]:
        width = max(self.console.width - 4, 40)
        for host, since in list(self._since.items()):
            seconds = f"{time.monotonic() - since:.0f}s"
            head = f"{self._running[host]} … {seconds}  {self._last.get(host, '')}"
            yield Text("●", style="yellow"), Text(head[:width], overflow="ellipsis")


def fitted(text: str, width: int) -> str:
    """Break lines that are too long between words, but no command in backticks, and nothing that a tool has printed."""
    return "\n".join(
        line if len(line) <= width or line.startswith("    ") else _broken(line, width) for line in text.splitlines()
    )


def _broken(line: str, width: int) -> str:
    whole = re.sub(r"`[^`]*`", lambda command: command[0].replace(" ", GLUE), line)
    lines = textwrap.wrap(whole, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(GLUE, " ")
