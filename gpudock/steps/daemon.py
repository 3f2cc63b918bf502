"""/etc/docker/daemon.json: read strictly, merged so that every other key stays, written whole.

NVIDIA's own `nvidia-ctk runtime configure` is not used for this: it truncates in place, keeps no backup, drops
what follows the first JSON value, drops the siblings of `features.cdi`, replaces a runtime's own arguments, and
rewrites a file that is right already (facts/toolkit.md §2). The entry written is the one it writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gpudock.errors import Refused

PATH = "/etc/docker/daemon.json"
RUNTIME = {"args": [], "path": "nvidia-container-runtime"}


def parse(text: str | None) -> dict[str, Any]:
    """Return the settings in the file's text; {} where there is none. Raises Refused for what is no JSON object."""
    if text is None or not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Refused(
            f"{PATH} cannot be read ({error}), so it is left untouched. Mend it (Docker itself will not start with "
            "it either), then run this again."
        ) from None
    if not isinstance(value, dict):
        raise Refused(f"{PATH} holds {type(value).__name__}, not an object, so it is left untouched. Mend it first.")
    return value


def with_runtime(daemon: Mapping[str, Any], *, default: bool = False, cdi: bool = False) -> dict[str, Any]:
    """Return the settings with NVIDIA's runtime in them, every other key as it was, its own arguments too."""
    runtimes = dict(daemon.get("runtimes") or {})
    known = runtimes.get("nvidia") or {}
    if not known.get("path"):
        runtimes["nvidia"] = {**RUNTIME, **known}
    merged = {**daemon, "runtimes": runtimes}
    if default:
        merged["default-runtime"] = "nvidia"
    if cdi:
        merged["features"] = {**(daemon.get("features") or {}), "cdi": True}
    return merged


def without_runtime(daemon: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without NVIDIA's runtime, every other key as it was."""
    runtimes = {name: value for name, value in (daemon.get("runtimes") or {}).items() if name != "nvidia"}
    kept = {name: value for name, value in daemon.items() if name != "runtimes"}
    if kept.get("default-runtime") == "nvidia":
        del kept["default-runtime"]
    return {**kept, "runtimes": runtimes} if runtimes else kept


def render(daemon: Mapping[str, Any], before: str | None) -> str:
    """Write settings as text, indented as the file was before (four spaces where it was not)."""
    found = re.search(r"^\{\s*?\n([ \t]+)", before or "")
    return json.dumps(daemon, indent=found.group(1) if found else 4, ensure_ascii=False) + "\n"
