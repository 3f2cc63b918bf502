"""What a fault is, and a batch of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A fault by the id of the rule that finds it: shell texts for a host, and words of the evidence."""

    rule: str
    make: str
    undo: str
    said: str


@dataclass(frozen=True)
class Batch:
    """Faults that can be on one host together. `settings` go to doctor, in the sick and in the well run alike."""

    name: str
    faults: tuple[Fault, ...]
    settings: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


def program(name: str, *lines: str) -> str:
    """The shell text that puts a stand-in program first on the host's PATH."""
    text = "\n".join(["#!/bin/sh", *lines])
    return f"cat >/usr/local/bin/{name} <<'PROGRAM'\n{text}\nPROGRAM\nchmod 755 /usr/local/bin/{name}"


def without(name: str) -> str:
    """The shell text that takes the stand-in away."""
    return f"rm -f /usr/local/bin/{name}"
