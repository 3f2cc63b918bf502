"""What happened, in full: one file a host and run under .gpudock/logs, without secrets."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from gpudock.redaction import clean

KEEP = 50  # runs; the oldest go


class Logs:
    """The files of one run of the tasks `name`. Without a folder, or where it cannot be written, nothing is logged.

    No file stays open between two writes: an operator may have fewer open files than hosts.
    """

    def __init__(self, folder: Path | None, name: str = "") -> None:
        self.folder = folder and folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{name}-{os.getpid()}"

    def write(self, host: str, text: str) -> None:
        """Add lines to a host's file, each with the time of day; secrets are taken out."""
        if not self.folder:
            return
        now = time.strftime("%H:%M:%S")
        with suppress(OSError):  # a disk that is full here must not end what goes on there
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _prune(self.folder.parent)
            with (self.folder / f"{host}.log").open("a", encoding="utf-8") as file:
                file.write("".join(f"{now} {line}\n" for line in clean(text).splitlines()))

    def path(self, host: str) -> str:
        """Where the host's file is; empty where there is none."""
        path = self.folder and self.folder / f"{host}.log"
        return str(path) if path and path.is_file() else ""


def _prune(folder: Path) -> None:
    for old in sorted(path for path in folder.iterdir() if path.is_dir())[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
