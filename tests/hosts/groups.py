"""Small package groups for a checkout, of entries of the real locks."""

from __future__ import annotations

import re
from pathlib import Path

from gpudock.config import ROOT


def entry(name: str) -> str:
    """A package's lines in the lock of the notebooks."""
    lock = (ROOT / "docker/requirements/notebook.txt").read_text()
    found = re.search(rf"^{name}==.*(\n +--hash=\S+.*)+", lock, re.MULTILINE)
    assert found, name
    return found.group()


def lock(clone: Path, *names: str, group: str = "tiny") -> None:
    """Have a group hold these packages."""
    folder = clone / "docker/requirements"
    (folder / f"{group}.in").write_text("\n".join(names) + "\n")
    (folder / f"{group}.txt").write_text("\n".join(entry(name) for name in names) + "\n")
