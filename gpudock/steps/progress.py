"""What a build is doing: BuildKit's plain output, line by line, as one line that says step, time and size."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

VERTEX = re.compile(r"^#(\d+) (.*)$")
STEP = re.compile(r"^\[(?:(\S+) )?(\d+)/(\d+)\] (.*)$")
SCRIPT = re.compile(r"sh /build/([\w-]+)(?: \"?\$?([\w.-]+)(?![\w.=-]))?")
FETCHED = re.compile(r"\bDownloading \S+ \(([\d.]+) ?([KMG])iB\)")  # uv says so of each larger file
SIZE = re.compile(r"^image of (\d+) bytes$")
UNITS = {"K": 1 / 1024, "M": 1.0, "G": 1024.0}  # MiB


@dataclass
class Progress:
    """Remembers the step of each of BuildKit's vertices, as their lines come mixed."""

    clock: Callable[[], float] = time.monotonic
    started: float = -1.0
    names: dict[str, str] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)
    fetched: float = 0.0

    def tell(self, line: str) -> str:
        """Return what this line says, with its step and the seconds since that began: `packages 12s: …`."""
        if found := SIZE.match(line):
            return f"image of {int(found[1]) / 1e9:.2f} GB"
        vertex = VERTEX.match(line)
        if not vertex:
            return line
        number, text = vertex.groups()
        text = re.sub(r"^\d+\.\d+ ", "", text)  # BuildKit's own clock, which starts with the vertex
        if step := STEP.match(text):
            self.names[number] = _name(*step.groups())
        self.since.setdefault(number, self.clock())
        self._count(text)
        return self._line(number, text)

    def _count(self, text: str) -> None:
        if found := FETCHED.search(text):
            self.fetched += float(found[1]) * UNITS[found[2]]

    def _line(self, number: str, text: str) -> str:
        seconds = self.clock() - self.since[number]
        size = f", {self.fetched:.0f} MiB" if self.fetched else ""
        return f"{self.names.get(number, 'build')} {seconds:.0f}s{size}: {text}"


def _name(stage: str | None, index: str, total: str, command: str) -> str:
    """A step's short name: the script it runs and what for, else its first words."""
    script = SCRIPT.search(command)
    plain = [word for word in command.split() if not word.startswith("--")]
    words = [word for word in script.groups() if word] if script else plain[:2]
    return f"[{stage + ' ' if stage else ''}{index}/{total}] {' '.join(words)}"


def failure(output: str) -> str:
    """What the step that failed printed itself, without BuildKit's frame; all of the output where none is named."""
    failed = re.findall(r"^#(\d+) ERROR", output, re.MULTILINE)
    said = re.findall(rf"^#{failed[-1]} \d+\.\d+ (.*)$", output, re.MULTILINE) if failed else []
    return "\n".join(said) or output
