"""What the questions to a host came to."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gpudock.errors import CannotTell

Argv = tuple[str, ...]

ABSENT = "No such file or directory"
TIMED_OUT = 124  # the exit code of an answer that came to the time limit, as timeout(1) has it


@dataclass(frozen=True)
class HostFile:
    """A file of a host. `mode` is octal as `stat` has it, `644`."""

    content: bytes = field(repr=False)
    mode: str

    @property
    def text(self) -> str:
        """The content as text; what is no UTF-8 is marked."""
        return self.content.decode(errors="replace")


@dataclass(frozen=True)
class Answer:
    """What a question came to. `raw` is `out` before it was made text, `files` what was asked for by path."""

    argv: Argv
    code: int
    out: str
    err: str
    raw: bytes = field(default=b"", repr=False, compare=False)
    files: Mapping[str, HostFile] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the command ended well."""
        return self.code == 0

    @property
    def not_found(self) -> bool:
        """Whether the command itself is not on this host."""
        return self.code in (126, 127)

    @property
    def timed_out(self) -> bool:
        """Whether it came to a time limit, ours or one of its own by timeout(1)."""
        return self.code == TIMED_OUT

    def file(self) -> str | None:
        """The text of the file that was asked for; None where there is none.

        Raises CannotTell where it is there and cannot be read, which is not the same.
        """
        if self.ok:
            return self.out
        if ABSENT in self.err:
            return None
        raise CannotTell(f"{self.argv[-1]} cannot be read: {self.err.strip() or f'exit code {self.code}'}")

    def json(self) -> Any:
        """The output parsed as JSON, once for all who read it. Raises CannotTell where it is none."""
        return self._parsed

    @cached_property
    def _parsed(self) -> Any:
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise CannotTell(f"{shlex.join(self.argv)} did not print JSON ({error}): {self.out[:200]!r}") from None


Answers = Mapping[str, Answer]
