"""What happened, in full: one file a host and run under .gpudock/logs, without secrets."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TextIO

from gpudock.redaction import clean

KEEP = 50  # runs; the oldest go


class Logs:
    """The files of one run of the tasks `name`. Where the folder cannot be written, nothing is, nor without one."""

    def __init__(self, folder: Path | None, name: str = "") -> None:
        self.folder = folder and folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{name}-{os.getpid()}"
        self._files: dict[str, TextIO | None] = {}

    def write(self, host: str, text: str) -> None:
        """Add lines to a host's file, each with the time of day; secrets are taken out."""
        if host not in self._files:
            self._files[host] = self._open(host)
        if file := self._files[host]:
            now = time.strftime("%H:%M:%S")
            file.write("".join(f"{now} {line}\n" for line in clean(text).splitlines()))
            file.flush()

    def path(self, host: str) -> str:
        """Where the host's file is; empty where there is none."""
        return str(self.folder / f"{host}.log") if self.folder and self._files.get(host) else ""

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            if file:
                file.close()

    def _open(self, host: str) -> TextIO | None:
        if not self.folder:
            return None
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _prune(self.folder.parent)
            return (self.folder / f"{host}.log").open("a")
        except OSError:
            return None


def _prune(folder: Path) -> None:
    for old in sorted(path for path in folder.iterdir() if path.is_dir())[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
