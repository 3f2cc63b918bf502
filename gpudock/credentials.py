"""Secrets come from an environment variable, a file or a prompt, are asked once, and go nowhere but memory."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from threading import Lock

import invoke

from gpudock.errors import UsageError

_prompting = Lock()
_answered: dict[str, str] = {}


def secret(variable: str, file: str = "", prompt: str = "") -> str | None:
    """Return a secret from the environment variable, else the file's first line, else the terminal, else None.

    The prompt is shown once in a run, however many hosts need the answer, and only where there is a terminal.
    """
    if value := os.environ.get(variable):
        return value
    if file:
        return _first_line(Path(file).expanduser())
    if not prompt or not sys.stdin.isatty():
        return None
    with _prompting:
        if variable not in _answered:
            _answered[variable] = getpass.getpass(prompt)
        return _answered[variable] or None


def sudo_password(context: invoke.Context, host: str) -> str | None:
    """Return the password for sudo: Invoke's own setting first, then GPUDOCK_SUDO_PASSWORD, then a prompt."""
    configured = context.config.sudo.password
    return configured or secret("GPUDOCK_SUDO_PASSWORD", prompt=f"sudo password (asked by {host}): ")


def _first_line(path: Path) -> str:
    try:
        line = path.read_text().splitlines()[:1]
    except OSError as error:
        raise UsageError(f"{path}: cannot read the secret: {error.strerror}.") from None
    if not line or not line[0]:
        raise UsageError(f"{path}: its first line should hold the secret, but it is empty.")
    return line[0]
