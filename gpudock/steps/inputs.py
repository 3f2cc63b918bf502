"""What goes into the image: the build context's files and the build's arguments, and the hash of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpudock.errors import Refused, UsageError
from gpudock.settings import Settings
from gpudock.steps import additions, base, cuda
from gpudock.steps.machine import Machine, wants_gpu

CONTEXT = Path(__file__).parents[2] / "docker"


@dataclass(frozen=True)
class World:
    """Groups that agree with each other and with no other group, and what they are locked for.

    `driver` is the oldest driver, by its major version, that their torch works with.
    """

    groups: tuple[str, ...]
    pythons: tuple[str, ...]
    architectures: tuple[str, ...]
    driver: int


WORLDS = (
    World(("documented", "documented-flash-attn"), ("3.11",), ("amd64", "x86_64"), 525),
    World(("gptq",), ("3.11", "3.12", "3.13"), ("amd64", "x86_64"), 580),
)
LAYERS = ("torch", "notebook", "llm", "app")  # the groups with a layer of their own, in the Dockerfile's order


def groups(settings: Settings, machine: Machine) -> tuple[str, ...]:
    """The package groups; `auto` leaves out what brings CUDA along where there is no GPU."""
    chosen = tuple(dict.fromkeys(settings.image.groups))
    if chosen == ("auto",):
        return ("notebook", "app", "torch", "llm") if wants_gpu(settings, machine) else ("notebook", "app")
    return (*chosen, "torch") if "llm" in chosen and "torch" not in chosen else chosen


def locks(settings: Settings, machine: Machine) -> tuple[str, ...]:
    """The locks of the groups; that of `torch` is the one that fits the driver. Raises UsageError and Refused."""
    chosen = groups(settings, machine)
    _check_worlds(settings, machine, chosen)
    if "flash-attn" in chosen and settings.image.base != "devel" and not settings.image.registry_base:
        raise Refused("flash-attn is compiled in the build and needs CUDA's compiler: --set image.base=devel")
    return tuple(cuda.torch_lock(settings, machine) if name == "torch" else name for name in chosen)


def _check_worlds(settings: Settings, machine: Machine, chosen: tuple[str, ...]) -> None:
    """A group that is a world of its own agrees with no other, and is locked for some Pythons and machines only."""
    for name in chosen:
        world = next((world for world in WORLDS if name in world.groups), None)
        if world is None:
            continue
        if others := sorted(set(chosen) - set(world.groups)):
            raise UsageError(
                f"image.groups: {name} holds all it needs in its own versions; leave out {', '.join(others)}."
            )
        if settings.image.python not in world.pythons or machine.architecture not in world.architectures:
            raise Refused(
                f"The group {name} is locked for Python {' and '.join(world.pythons)} on "
                f"{' and '.join(world.architectures)}, not for {settings.image.python} on {machine.architecture}."
            )
        if wants_gpu(settings, machine) and cuda.major(machine.driver) < world.driver:
            raise Refused(
                f"The torch of the group {name} needs driver {world.driver} or newer; this host has {machine.driver}."
            )


def arguments(settings: Settings, machine: Machine) -> Mapping[str, str]:
    """The Dockerfile's build arguments; none of them is secret."""
    chosen = {
        "BASE": base.tag(settings, machine),
        "MANAGER": settings.image.env,
        "PYTHON": settings.image.python,
        "ENVIRONMENT": settings.image.environment,
        **_lock_arguments(settings, machine),
        **{f"YOUR_{kind.upper()}": "yes" for kind in additions.kinds(settings)},
        "REQUIRE_CUDA": cuda.family(settings, machine).require if wants_gpu(settings, machine) else "",
    }
    if any(_needs_compiler(name) for name in locks(settings, machine)):
        chosen["COMPILER"] = "yes"
    if settings.image.env == "uv":
        return chosen
    pinned = settings.image.miniforge
    miniforge = {"VERSION": pinned.version, "X86_64": pinned.x86_64, "AARCH64": pinned.aarch64}
    return {**chosen, **{f"MINIFORGE_{name}": value for name, value in miniforge.items()}}


def _lock_arguments(settings: Settings, machine: Machine) -> dict[str, str]:
    """Which lock goes into which layer: one argument a layer, so that a layer knows nothing of what comes behind it."""
    chosen = dict(zip(groups(settings, machine), locks(settings, machine), strict=True))
    own = {f"{group.upper()}_LOCK": chosen.pop(group, "") for group in LAYERS}
    return {**own, "OTHER_LOCKS": " ".join(chosen.values())}


def _needs_compiler(group: str) -> bool:
    return "# needs a compiler\n" in (CONTEXT / "requirements" / f"{group}.in").read_text()


def fingerprint(settings: Settings, machine: Machine) -> str:
    """The hash of all that goes into the image: the context's files, the operator's own, and the arguments."""
    own = additions.digest(additions.context(settings))
    text = json.dumps([context_hash(), own, arguments(settings, machine)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def lock_hash(settings: Settings, machine: Machine) -> str:
    """The hash of the locks that go into the image: the same one, the same environment."""
    whole = hashlib.sha256()
    for name in locks(settings, machine):
        whole.update((CONTEXT / "requirements" / f"{name}.txt").read_bytes())
    return whole.hexdigest()


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
