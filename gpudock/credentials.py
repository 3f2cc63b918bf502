"""Secrets come from an environment variable, a file or a prompt, are asked once, and go nowhere but memory."""

from __future__ import annotations

import getpass
import os
import re
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import invoke

from gpudock.errors import UsageError

quietly: Callable[[], AbstractContextManager[None]] = nullcontext  # around a prompt: whoever draws on the terminal

_prompting = Lock()
_answered: dict[str, str] = {}
_given: set[str] = set()
_before: list[Any] = []  # how the terminal was before the prompt that is open


def secret(variable: str, file: str = "", prompt: str = "") -> str | None:
    """Return a secret from the environment variable, else the file's first line, else the terminal, else None.

    The prompt is shown once in a run, however many hosts need the answer, and only where there is a terminal.
    """
    value = os.environ.get(variable)
    if not value and file:
        value = _first_line(Path(file).expanduser())
    if not value and prompt and sys.stdin.isatty():
        value = _asked(variable, prompt)
    if value:
        _given.add(value)
    return value or None


def hide(text: str) -> str:
    """Take the secrets that were given in this run, and passwords in addresses, out of a text for logs."""
    for value in sorted(_given, key=len, reverse=True):
        text = text.replace(value, "•••")
    return without_passwords(text)


def without_passwords(text: str) -> str:
    """Take the passwords in addresses out of a text: of a mirror, a proxy."""
    return re.sub(r"(://[^/:@\s]*):[^@/\s]+@", r"\1:•••@", text)


def sudo_password(context: invoke.Context, host: str) -> str | None:
    """Return the password for sudo: Invoke's own setting first, then GPUDOCK_SUDO_PASSWORD, then a prompt."""
    if configured := context.config.sudo.password:
        _given.add(configured)
        return str(configured)
    return secret("GPUDOCK_SUDO_PASSWORD", prompt=f"sudo password (asked by {host}): ")


def _asked(variable: str, prompt: str) -> str:
    with _prompting:
        if variable not in _answered:
            with quietly(), _open_prompt(), suppress(EOFError):  # Ctrl-D is no answer
                _answered[variable] = getpass.getpass(prompt)
        return _answered.setdefault(variable, "")


def asking() -> bool:
    """Whether somebody is being asked for a password just now."""
    return bool(_before)


def leave_prompt() -> None:
    """Give the terminal its echo back where a prompt is open: the thread that asks will not come to it."""
    for state in _before:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, state)


@contextmanager
def _open_prompt() -> Iterator[None]:
    _before.append(termios.tcgetattr(sys.stdin))
    try:
        yield
    finally:
        _before.clear()


def _first_line(path: Path) -> str:
    try:
        line = path.read_text(encoding="utf-8").splitlines()[:1]
    except OSError as error:
        raise UsageError(f"{path}: cannot read the secret: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: cannot read the secret: it is no text in UTF-8.") from None
    if not line or not line[0]:
        raise UsageError(f"{path}: its first line should hold the secret, but it is empty.")
    return line[0]
