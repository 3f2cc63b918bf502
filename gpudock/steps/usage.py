"""What a host is doing now: its GPUs, the processes on them with container and user, and what containers take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpudock.answers import Answers
from gpudock.questions import Questions
from gpudock.steps import gpus
from gpudock.steps.gpus import Gpu, User

UNITS = {"B": 1, "kB": 1e3, "KB": 1e3, "KiB": 2**10, "MB": 1e6, "MiB": 2**20, "GB": 1e9, "GiB": 2**30, "TiB": 2**40}

QUESTIONS: Questions = {
    **gpus.QUESTIONS,
    **gpus.USER_QUESTIONS,
    # Docker measures for a second: the CPU's share needs two looks.
    "usage.containers": ("docker", "stats", "--no-stream", "--no-trunc", "--format", "{{json .}}"),
}

GPU_HEAD = ("gpu", "name", "util", "memory", "temp", "power")
USER_HEAD = ("gpu", "pid", "user", "container", "memory", "command")
CONTAINER_HEAD = ("container", "cpu", "memory", "processes")

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Load:
    """What a running container takes: CPU in % of one core, memory and its limit in bytes, processes."""

    id: str
    name: str
    cpu: float
    memory: float
    limit: float
    processes: int


@dataclass(frozen=True)
class Usage:
    """One look at a host."""

    gpus: tuple[Gpu, ...]
    users: tuple[User, ...]
    containers: tuple[Load, ...]

    def public(self) -> Mapping[str, Any]:
        """The look as data; a process bears its container's name."""
        users = [{**asdict(user), "container": self.container(user)} for user in self.users]
        return {
            "gpus": [gpu.public() for gpu in self.gpus],
            "processes": users,
            "containers": [asdict(load) for load in self.containers],
        }

    def container(self, user: User) -> str:
        """The name of a process's container; its short id where Docker has none of it, empty outside of any."""
        names = {load.id: load.name for load in self.containers}
        return names.get(user.container, user.container[:12])


def read(answers: Answers) -> Usage:
    """Make a Usage of the answers; without GPU or engine its part is empty."""
    return Usage(
        gpus=gpus.read(answers["gpus"]),
        users=tuple(gpus.parse_users(answers["gpus.users"].out)),
        containers=tuple(loads(answers["usage.containers"].out)),
    )


def loads(text: str) -> Iterator[Load]:
    """Read the lines of `docker stats`, the busiest first."""
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    found = [_load(row) for row in rows if row.get("Name") not in (None, "--")]
    yield from sorted(found, key=lambda load: (-load.cpu, load.name))


def _load(row: Mapping[str, str]) -> Load:
    used, _, limit = row["MemUsage"].partition(" / ")
    processes = gpus.number(row["PIDs"]) or 0
    return Load(row["ID"], row["Name"], gpus.number(row["CPUPerc"]) or 0.0, size(used), size(limit), int(processes))


def size(text: str) -> float:
    """The bytes of a size as Docker prints it: 1.2GiB; 0 for what it does not tell."""
    found = re.match(r"([\d.]+)([A-Za-z]+)", text)
    return float(found[1]) * UNITS.get(found[2], 0) if found else 0.0


def tables(usage: Usage) -> Sequence[Rows]:
    """The parts as tables, heads first: GPUs, processes on them, containers; empty parts are left out."""
    parts = [
        [GPU_HEAD, *map(_gpu_row, usage.gpus)],
        [USER_HEAD, *(_user_row(usage, user) for user in usage.users)],
        [CONTAINER_HEAD, *map(_container_row, usage.containers)],
    ]
    return [part for part in parts if len(part) > 1]


def _gpu_row(gpu: Gpu) -> tuple[str, ...]:
    memory = f"{_told(gpu.memory_used)}/{_told(gpu.memory_total)} MiB"
    power = f"{_told(gpu.power)}/{_told(gpu.power_limit)} W"
    busy, warm = f"{_told(gpu.utilization)} %", f"{_told(gpu.temperature)} °C"
    return (str(gpu.index), gpus.short(gpu.name), busy, memory, warm, power)


def _user_row(usage: Usage, user: User) -> tuple[str, ...]:
    index = next((str(gpu.index) for gpu in usage.gpus if gpu.uuid == user.gpu), "?")
    name = usage.container(user) or "-"
    return (index, str(user.pid), user.user, name, f"{_told(user.memory)} MiB", user.command)


def _container_row(load: Load) -> tuple[str, ...]:
    memory = f"{load.memory / 2**30:.1f}/{load.limit / 2**30:.1f} GiB"
    return (load.name, f"{load.cpu:.0f} %", memory, str(load.processes))


def _told(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
