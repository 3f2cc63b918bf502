"""Waiting for a state, never for a time: a test must come out the same on a machine many times slower or faster."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from typing import IO

PATIENCE = 300.0  # seconds after which what a test waits for is taken to never come; no claim is about it


def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a function returns something true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.2)


def until_said(running: subprocess.Popen[str], text: str) -> str:
    """Wait until a program says something on standard error, and return what it has said there so far."""
    return _read(running.stderr, text)


def until_printed(running: subprocess.Popen[str], *texts: str) -> str:
    """Wait until a program has printed all of these, in any order, and return what it has printed so far."""
    return _read(running.stdout, *texts)


def ended(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a program's end: its exit code, and what it printed. One that does not end is killed."""
    try:
        out, err = running.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate()
        raise
    return running.returncode, out, err


def _read(pipe: IO[str] | None, *texts: str) -> str:
    """Read a pipe until all the texts have come. Its own buffer would hide lines from communicate(), so not by it."""
    assert pipe
    said = b""
    while not all(text in _decoded(said) for text in texts):
        assert select.select([pipe], [], [], PATIENCE)[0], said
        part = os.read(pipe.fileno(), 65536)
        assert part, said
        said += part
    return said.decode()


def _decoded(said: bytes) -> str:
    """What was said, or nothing while it ends within a letter: communicate() could not read the rest of that."""
    try:
        return said.decode()
    except UnicodeDecodeError:
        return ""
