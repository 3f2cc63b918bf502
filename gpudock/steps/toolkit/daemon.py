"""What daemon.json says: read strictly, merged so that every other key stays, and the way back. Pure.

NVIDIA's own `nvidia-ctk runtime configure` is not used for this: it truncates in place, keeps no backup, drops
what follows the first JSON value, drops the siblings of `features.cdi`, replaces a runtime's own arguments,
panics at `"runtimes": null`, and rewrites a file that is right already (its pkg/config/engine/docker/docker.go, at
1.20.0). The entry written is the one it writes. `nvidia-ctk cdi generate` is used as it is: it loses nothing (cdi.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gpudock.errors import Refused

PATH = "/etc/docker/daemon.json"
RUNTIME = {"args": [], "path": "nvidia-container-runtime"}
BOM = "\ufeff"
ABSENT = object()


def parse(text: str | None, path: str = PATH) -> dict[str, Any]:
    """Return the settings in the file's text; {} where there is none. Raises Refused for what is no JSON object.

    Like dockerd since 23.0 it takes an empty file and a byte order mark. Of a key that is there twice Docker
    takes the last, and a rewritten file would have lost the other: that is refused, as are bytes that are no UTF-8.
    """
    bare = (text or "").removeprefix(BOM)
    if not bare.strip():
        return {}
    try:
        bare.encode()
        value = json.loads(bare, object_pairs_hook=_unique, parse_float=_number, parse_constant=_no_constant)
    except ValueError as error:
        raise Refused(
            f"{path} cannot be read ({error}), so it is left untouched. Mend it (Docker itself may not start with it "
            "either), then run this again."
        ) from None
    if not isinstance(value, dict):
        raise Refused(f"{path} holds {type(value).__name__}, not an object, so it is left untouched. Mend it first.")
    for key in ("runtimes", "features"):
        if not isinstance(value.get(key), dict | None):
            raise Refused(f'{path} has a "{key}" that is no object, so it is left untouched. Mend it first.')
    return value


def with_runtime(daemon: Mapping[str, Any], *, default: bool = False, cdi: bool = False) -> dict[str, Any]:
    """Return the settings with NVIDIA's runtime in them, every other key as it was, its own arguments too."""
    runtimes = dict(daemon.get("runtimes") or {})
    known = runtimes.get("nvidia") or {}
    if not known.get("path"):
        runtimes["nvidia"] = {**RUNTIME, **known, "path": RUNTIME["path"]}
    merged = {**daemon, "runtimes": runtimes}
    if default:
        merged["default-runtime"] = "nvidia"
    if cdi:
        merged["features"] = {**(daemon.get("features") or {}), "cdi": True}
    return merged


def undo(daemon: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Take out of `daemon` what `with_runtime` put into `before`; what others changed since then stays."""
    undone = _with(daemon, "runtimes", _give_back(daemon, before, "runtimes", "nvidia"))
    if daemon.get("default-runtime") == "nvidia":
        undone = _with(undone, "default-runtime", before.get("default-runtime", ABSENT))
    return _with(undone, "features", _give_back(daemon, before, "features", "cdi"))


def without_runtime(daemon: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by which a reload makes Docker forget NVIDIA's runtime: as `former`, but no key is missing.

    Docker keeps a default runtime whose key is missing, and without its program no container would start.
    """
    between = {"runtimes": {}, **undo(daemon, former)}
    if daemon.get("default-runtime") == "nvidia" and not former.get("default-runtime"):
        between["default-runtime"] = "runc"
    return between


def render(daemon: Mapping[str, Any], before: str | None) -> str:
    """Write settings as text, indented as the file was before (four spaces where it was not)."""
    found = re.search(r"^\{\s*?\n([ \t]+)", (before or "").removeprefix(BOM))
    return json.dumps(daemon, indent=found.group(1) if found else 4, ensure_ascii=False) + "\n"


def _give_back(daemon: Mapping[str, Any], before: Mapping[str, Any], outer: str, inner: str) -> Any:
    """The value of `outer` with its member `inner` as it was before."""
    former = before.get(outer) or {}
    members = _with(daemon.get(outer) or {}, inner, former.get(inner, ABSENT))
    return members or before.get(outer, ABSENT)


def _with(mapping: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy with one key set, in its place, or without it where the value is ABSENT."""
    if value is ABSENT:
        return {name: item for name, item in mapping.items() if name != key}
    return {**mapping, key: value}


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f'"{twice[0]}" is there twice')
    return dict(pairs)


def _number(text: str) -> int | float:
    """A whole number stays one: Docker takes 1e3 for an integer, and would refuse the 1000.0 of a float."""
    value = float(text)
    return int(value) if value.is_integer() and "." not in text else value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
