"""What an image's environment holds beside what some locks would put there. Prints one JSON object on its last line.

Sent into a throw-away container by image.diff, and run by the Python that uv came with, whose pip has what reads
requirements; the environment itself may have no pip.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from typing import Any


def normal(name: str) -> str:
    """A name as the index writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(folder: str) -> dict[str, str]:
    """Names and versions of the distributions below an environment's lib folder."""
    paths = [root for root, _, _ in os.walk(folder) if root.endswith("site-packages")]
    found = importlib.metadata.distributions(path=paths)
    return {normal(item.metadata["Name"]): item.version for item in found}


def locked(lines: list[str], python: str) -> dict[str, str]:
    """Names and versions that a lock's lines come to on this machine with this Python, their markers heeded."""
    from pip._vendor.packaging.requirements import Requirement

    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    wanted = {}
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            wanted[normal(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return wanted


def main(environment: str, lines: list[str], python: str) -> None:
    """Print both."""
    found: dict[str, Any] = {"installed": installed(f"/opt/envs/{environment}/lib"), "locked": locked(lines, python)}
    print(json.dumps(found))
