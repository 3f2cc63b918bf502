"""What goes into the image: the build context's files and the build's arguments, and the hash of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from gpudock.settings import Settings
from gpudock.steps import additions, base, cuda
from gpudock.steps.machine import Machine, wants_gpu

CONTEXT = Path(__file__).parents[2] / "docker"


def groups(settings: Settings, machine: Machine) -> tuple[str, ...]:
    """The package groups; `auto` leaves out what brings CUDA along where there is no GPU."""
    chosen = tuple(dict.fromkeys(settings.image.groups))
    if chosen == ("auto",):
        return ("notebook", "app", "torch", "llm") if wants_gpu(settings, machine) else ("notebook", "app")
    return (*chosen, "torch") if "llm" in chosen and "torch" not in chosen else chosen


def locks(settings: Settings, machine: Machine) -> tuple[str, ...]:
    """The locks of the groups; that of `torch` is the one that fits the driver."""
    return tuple(cuda.torch_lock(settings, machine) if name == "torch" else name for name in groups(settings, machine))


def arguments(settings: Settings, machine: Machine) -> Mapping[str, str]:
    """The Dockerfile's build arguments; none of them is secret."""
    return {
        "BASE": base.tag(settings, machine),
        "PYTHON": settings.image.python,
        "ENVIRONMENT": settings.image.environment,
        "PACKAGE_GROUPS": " ".join(locks(settings, machine)),
        "REQUIRE_CUDA": cuda.family(settings, machine).require if wants_gpu(settings, machine) else "",
    }


def fingerprint(settings: Settings, machine: Machine) -> str:
    """The hash of all that goes into the image: the context's files, the operator's own, and the arguments."""
    own = additions.digest(additions.context(settings))
    text = json.dumps([context_hash(), own, arguments(settings, machine)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def context_hash() -> str:
    """The hash of the build context: paths, contents, and which files can be executed."""
    whole = hashlib.sha256()
    for path in _files():
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        content = hashlib.sha256(path.read_bytes()).digest()
        whole.update(str(path.relative_to(CONTEXT)).encode() + b"\0" + executable + content)
    return whole.hexdigest()


def _files() -> Iterator[Path]:
    return (path for path in sorted(CONTEXT.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
