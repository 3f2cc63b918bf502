"""What a fault is, and a batch of them."""

from __future__ import annotations

from dataclasses import dataclass

RUNTIMES = "docker info -f '{{json .Runtimes}}' | grep -q nvidia"  # whether Docker has taken the runtime up


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


def once(condition: str) -> str:
    """The shell text that waits until a command succeeds."""
    return f"until {condition}; do sleep 0.1; done"


def ended(file: str) -> str:
    """The shell text that ends the process whose number a file holds, and waits until it is gone."""
    return f"kill $(cat {file}); while kill -0 $(cat {file}) 2>/dev/null; do sleep 0.1; done; rm {file}"


def listening(port: int) -> str:
    """The shell text that waits until something takes connections at a port."""
    return once(f"ss -Hltn | grep -q ':{port} '")


def without(name: str) -> str:
    """The shell text that takes the stand-in away."""
    return f"rm -f /usr/local/bin/{name}"
