"""How the container gets its GPUs: by NVIDIA's runtime, by the Container Device Interface, or by Docker's `gpus`. Pure.

Facts and sources: facts of Docker by release (moby#49963: CDI on by default from 28.2; moby#50228: `gpus` by CDI from
29.2), of the toolkit (1.18: its runtime hands out CDI devices by itself), of systemd (its daemon-reload takes GPUs from
containers that got them by the former hook: nvidia-container-toolkit#48).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gpudock.errors import UsageError
from gpudock.settings import Settings
from gpudock.steps.engine import Engine
from gpudock.steps.machine import wants_gpu

ENABLED_BY_DEFAULT = (28, 2)  # CDI, and so known to a Docker since its start; before that features.cdi, from 25 on
READS_SPECIFICATION = (26, 1)  # of version 0.7.0, which the toolkit writes since 1.19.1
GPUS_BY_SPECIFICATION = (29, 2)  # from here on Docker's `gpus` tries CDI before the hook
RUNTIME_USES_CDI = (1, 18)  # of the toolkit


class Choice(NamedTuple):
    """A mode, and why it is the one."""

    mode: str
    why: str


def choose(settings: Settings, engine: Engine) -> Choice:
    """The mode for this Docker and Compose. Raises UsageError for one of the settings that they cannot do.

    | Docker | Compose | what speaks against the runtime | `auto` |
    |---|---|---|---|
    | any | any | nothing | `runtime` |
    | 28.2 and newer, CDI on | 2 | dockerd is told its runtimes by flags, and not NVIDIA's | `cdi` |
    | 28.2 and newer, CDI on | 2 | a toolkit before 1.18 is pinned, and systemd manages the cgroups | `cdi` |
    | older, or CDI off | any | one of the two | `runtime`, as CDI would need a start, which stops containers |

    The runtime comes first since every Docker and Compose takes it, a reload is enough for it, and a specification that
    it makes for each container anew is never one of a former driver.
    """
    wanted = settings.gpu.mode
    if wanted == "cdi" and engine.answers and numbers(engine.version) < READS_SPECIFICATION:
        raise UsageError(
            f"gpu.mode is cdi, but Docker {engine.version} does not read the toolkit's specification; 26.1 is the "
            "first that does. Take gpu.mode=runtime, or a newer Docker."
        )
    if wanted == "cdi" and engine.compose and len(engine.compose) == 1:
        raise UsageError("gpu.mode is cdi, but Compose v1 takes CDI's names for paths. Take gpu.mode=runtime.")
    if wanted != "auto":
        return Choice(wanted, "as gpu.mode says")
    against = _against_the_runtime(settings, engine)
    if against and knows_cdi(engine) and len(engine.compose) == 2:
        return Choice("cdi", f"as {against}")
    spite = f", although {against}: CDI would need Docker 28.2 with CDI on, and Compose 2" if against else ""
    return Choice("runtime", f"for which a reload of Docker is enough{spite}")


def of(settings: Settings, engine: Engine) -> Choice:
    """The container's mode; empty where it is to have no GPUs."""
    return choose(settings, engine) if wants_gpu(settings, engine.machine) else Choice("", "")


def knows_cdi(engine: Engine) -> bool:
    """Whether Docker has CDI on since its start, so that it takes a specification that comes later."""
    return engine.cdi and numbers(engine.version) >= ENABLED_BY_DEFAULT


def needs_start(settings: Settings, engine: Engine) -> bool:
    """Whether a Docker older than the toolkit has to start anew: it looks for NVIDIA's hooks at its start only."""
    mode = choose(settings, engine).mode
    return mode == "gpus" or (mode == "cdi" and not knows_cdi(engine))


def needs_specification(settings: Settings, engine: Engine) -> bool:
    """Whether containers get their GPUs by a specification on the host: by cdi, and by `gpus` from Docker 29.2 on."""
    mode = choose(settings, engine).mode
    by_gpus = mode == "gpus" and knows_cdi(engine) and numbers(engine.version) >= GPUS_BY_SPECIFICATION
    return mode == "cdi" or by_gpus


def numbers(version: str) -> tuple[int, ...]:
    """A version's leading numbers, for comparing."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _against_the_runtime(settings: Settings, engine: Engine) -> str:
    """Why NVIDIA's runtime would not do here; empty where it does."""
    if engine.flagged and "nvidia" not in engine.runtimes:
        return "dockerd is told its runtimes by flags, so that daemon.json may name none"
    pinned = settings.toolkit.version
    if pinned and numbers(pinned) < RUNTIME_USES_CDI and engine.cgroups == "systemd":
        return "a toolkit before 1.18 loses its containers' GPUs when systemd reloads"
    return ""
