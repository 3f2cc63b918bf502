"""The host's GPUs and who uses them, as nvidia-smi tells: https://docs.nvidia.com/deploy/nvidia-smi/

What a GPU does not tell (a consumer card its power limit, one in MIG mode its utilisation) comes as N/A, [N/A],
[Not Supported] or [Insufficient Permissions], and is None here: not the same as 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gpudock.answers import Answer
from gpudock.questions import Questions
from gpudock.questions import shell as question

FIELDS = (
    "index",
    "uuid",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "temperature.gpu",
    "power.draw",
    "power.limit",
    "name",
)
GPUS = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")

# A process's user, and its container by the long id in its cgroup's path, which both cgroup versions have.
USERS = """nvidia-smi --query-compute-apps=pid,gpu_uuid,used_memory,process_name --format=csv,noheader,nounits |
while IFS= read -r row; do
  pid=${row%%,*}; [ -d "/proc/$pid" ] || continue
  user=$(stat -c %U "/proc/$pid"); container=$(grep -oE '[0-9a-f]{64}' "/proc/$pid/cgroup" | head -n 1)
  printf '%s, %s, %s\\n' "${user:--}" "${container:--}" "$row"
done"""

QUESTIONS: Questions = {"gpus": GPUS}
USER_QUESTIONS: Questions = {"gpus.users": question(USERS)}


@dataclass(frozen=True)
class Gpu:
    """One GPU: utilisation in %, memory in MiB, temperature in °C, power and its limit in W."""

    index: int
    uuid: str
    name: str
    utilization: float | None
    memory_used: float | None
    memory_total: float | None
    temperature: float | None
    power: float | None
    power_limit: float | None

    def public(self) -> Mapping[str, Any]:
        """All of it as data."""
        return asdict(self)


@dataclass(frozen=True)
class User:
    """A process that computes on a GPU: memory in MiB, its user's name and its container's id on the host."""

    pid: int
    gpu: str
    memory: float | None
    command: str
    user: str
    container: str


def read(answer: Answer) -> tuple[Gpu, ...]:
    """Make the GPUs of nvidia-smi's answer; none where there is no nvidia-smi or no driver answers it."""
    return tuple(parse(answer.out)) if answer.ok else ()


def parse(text: str) -> Iterator[Gpu]:
    """Read nvidia-smi's rows of FIELDS; what is no row, such as a warning, is left out."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",", len(FIELDS) - 1)]
        if len(cells) == len(FIELDS) and cells[0].isdecimal():
            index, uuid, *numbers, name = cells
            yield Gpu(int(index), uuid, name, *map(number, numbers))


def parse_users(text: str) -> Iterator[User]:
    """Read the rows of USERS: user, container, pid, GPU, memory, command."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",", 5)]
        if len(cells) == 6 and cells[2].isdecimal():
            user, container, pid, gpu, memory, command = cells
            yield User(int(pid), gpu, number(memory), command, user, "" if container == "-" else container)


def number(text: str) -> float | None:
    """A value of nvidia-smi, without its unit; None for what it does not tell."""
    found = re.match(r"-?\d+(\.\d+)?", text)
    return float(found[0]) if found else None


def summary(gpus: tuple[Gpu, ...]) -> str:
    """All GPUs in one cell: `2 x H100 80GB HBM3, 12/160 GiB, 40 %`; the busiest one's utilisation is told."""
    if not gpus:
        return "-"
    names = list(dict.fromkeys(short(gpu.name) for gpu in gpus))
    used, total = (sum(getattr(gpu, field) or 0 for gpu in gpus) / 1024 for field in ("memory_used", "memory_total"))
    busiest = max((gpu.utilization for gpu in gpus if gpu.utilization is not None), default=None)
    told = "" if busiest is None else f", {busiest:.0f} %"
    return f"{len(gpus)} x {' + '.join(names)}, {used:.0f}/{total:.0f} GiB{told}"


def short(name: str) -> str:
    """A GPU's name without its maker's."""
    return name.removeprefix("NVIDIA ")
