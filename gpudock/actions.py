"""What a plan consists of: each action says why it is done and knows how to do just that."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gpudock.errors import ActionFailed
from gpudock.failures import next_move
from gpudock.host import Completed, Host, Line


@dataclass(frozen=True)
class Action:
    """One change to a host. `why` is an imperative phrase: the log line, which ends with `end`."""

    why: str
    end: ClassVar[str] = "changed"

    def apply(self, host: Host, on_line: Line) -> None:
        """Do it; `on_line` gets what the tools print. Raises ActionFailed."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The action as data, for `--json`."""
        return {"why": self.why}

    def diff(self) -> str:
        """The change to a file as a unified diff; empty where the action changes none."""
        return ""

    def _check(self, done: Completed) -> None:
        if done.code == 0:
            return
        raise ActionFailed(self.why, output=done.output or f"exit code {done.code}", next_move=next_move(done.output))


@dataclass(frozen=True)
class Run(Action):
    """Run a program as root. What is secret travels in `data`, its standard input."""

    argv: tuple[str, ...]
    data: bytes = field(default=b"", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)

    def apply(self, host: Host, on_line: Line) -> None:
        self._check(host.do(self.argv, data=self.data, environment=self.environment, on_line=on_line))

    def describe(self) -> dict[str, Any]:
        return {"why": self.why, "argv": list(self.argv)}


@dataclass(frozen=True)
class Write(Action):
    """Put a file in place, whole or not at all. `before` is the text it replaces, None where there is none."""

    path: str
    text: str = field(repr=False)
    before: str | None = field(default=None, repr=False)
    mode: int = 0o644
    owner: str = "root:root"
    secret: bool = False

    def apply(self, host: Host, on_line: Line) -> None:
        self._check(host.write(self.path, self.text.encode(), mode=self.mode, owner=self.owner))

    def describe(self) -> dict[str, Any]:
        return {"why": self.why, "path": self.path, "diff": self.diff()}

    def diff(self) -> str:
        if self.secret:
            return f"{self.path}: (its content is secret)\n"
        return unified_diff(self.path, self.before, self.text)


@dataclass(frozen=True)
class Push(Action):
    """Replace a folder on the host by a copy of one of ours."""

    tree: Path
    path: str

    def apply(self, host: Host, on_line: Line) -> None:
        self._check(host.push(self.tree, self.path))

    def describe(self) -> dict[str, Any]:
        return {"why": self.why, "path": self.path}


@dataclass(frozen=True)
class Watch(Action):
    """Look, and wait for something by looking again; `until` raises ActionFailed when it gives up."""

    end: ClassVar[str] = "done"
    until: Callable[[Host, Line], None]

    def apply(self, host: Host, on_line: Line) -> None:
        self.until(host, on_line)


def remove(why: str, *paths: str) -> Run:
    """Take files or folders away; those that are not there are no error."""
    return Run(why, ("rm", "-rf", "--", *paths))


def shell(why: str, script: str, *arguments: str, data: bytes = b"") -> Run:
    """Run a POSIX sh text that sees `arguments` as $1, $2, …; it stops at the first failing command."""
    return Run(why, ("sh", "-ec", script, "sh", *arguments), data)


def unified_diff(path: str, before: str | None, after: str | None) -> str:
    """The change to a file; None stands for no file."""
    former, new = ((text or "").splitlines(keepends=True) for text in (before, after))
    names = ["/dev/null" if text is None else path for text in (before, after)]
    return "".join(difflib.unified_diff(former, new, names[0], names[1]))
