"""Containers: GPUs lost, a CUDA newer than the driver, too little shared memory, limits, health."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps import machine
from gpudock.steps.doctor import known
from gpudock.steps.doctor.known import NEEDS_CONTAINERS, NEEDS_GPU
from gpudock.steps.doctor.rule import Rule, Seen

DOCKERS_SHM = 64 << 20  # bytes; what a container gets unasked
ENOUGH_FILES = 65536
FEW_FILES = 4096  # enough on a host that may not raise limits, where no setting gives more
CONDITION = re.compile(r"^(cuda|driver|arch|brand)(>=|<=|!=|>|<|=)([\w.]+)$")


def _lost(settings: Settings, answers: Answers) -> Seen | None:
    if not known.smi_works(answers):
        return None
    known.containers(answers)
    rows = [line.split("|", 2) for line in answers["doctor.container-gpus"].out.splitlines()]
    rows = [row for row in rows if not row[2].startswith("Error response from daemon")]  # it has ended meanwhile
    lost = [row for row in rows if row[1] not in ("0", "124", "126", "127")]
    if late := [row[0] for row in rows if row[1] == "124" and not lost]:
        raise CannotTell(f"nvidia-smi does not answer within 5 s in {known.listed(late)}")
    if not lost:
        return None
    names = [row[0] for row in lost]
    fix = "{gpudock} stack.up" if names == [settings.stack.name] else ""
    return Seen(
        f"in {known.listed(names)} nvidia-smi says `{lost[0][2]}`, and on the host it works",
        f"docker rm -f {names[0]} && {fix}" if fix else f"docker restart {' '.join(names)}",
    )


def _cuda(settings: Settings, answers: Answers) -> Seen | None:
    if not known.smi_works(answers):
        return None
    found = answers["image"]
    if not found.ok:
        return None
    environment = dict(entry.split("=", 1) for entry in (found.json().get("Config") or {}).get("Env") or ())
    wanted = environment.get("NVIDIA_REQUIRE_CUDA", "")
    shown = known.SMI_CUDA.search(answers["gpu.smi"].out)
    if not wanted or not shown:
        return None
    name = next(iter(re.findall(r"^GPU 0: (.*?) \(", answers["gpu.list"].out, re.MULTILINE)), "")
    facts = {"cuda": shown.group(1), "driver": known.driver(answers), "brand": _brand(name)}
    if satisfied(wanted, facts):
        return None
    first = wanted.split()[0]
    return Seen(f"{settings.image.name} asks for {first}, and driver {facts['driver']} brings CUDA {facts['cuda']}")


def satisfied(requirement: str, facts: dict[str, str]) -> bool:
    """Whether a driver meets NVIDIA_REQUIRE_CUDA: alternatives are parted by spaces, their conditions by commas.

    A condition on something that is not known holds. Source: libnvidia-container, src/cli/dsl.c.
    """
    return any(
        all(_holds(condition, facts) for condition in alternative.split(",")) for alternative in requirement.split()
    )


def _holds(condition: str, facts: dict[str, str]) -> bool:
    parsed = CONDITION.match(condition)
    if not parsed or not facts.get(parsed.group(1)):
        return True
    key, sign, value = parsed.groups()
    if key == "brand":
        return (facts["brand"] == value) == (sign == "=")
    have, want = known.numbers(facts[key]), known.numbers(value)
    have = have[: len(want)] if sign in ("=", "!=") else have
    below, equal = have < want, have == want
    found = {">=": not below, "<": below, ">": not (below or equal), "<=": below or equal, "=": equal, "!=": not equal}
    return found[sign]


def _brand(name: str) -> str:
    """The brand as NVML names it, of a GPU's name; empty where the name does not tell."""
    for word, brand in (("GeForce RTX", "geforcertx"), ("GeForce", "geforce"), ("Tesla", "tesla"), ("TITAN", "titan"),
                        ("Quadro RTX", "quadrortx"), ("Quadro", "quadro")):  # fmt: skip
        if word in name:
            return brand
    return ""


def _shm(settings: Settings, answers: Answers) -> Seen | None:
    small = [
        container
        for container in known.containers(answers)
        if (known.gets_gpus(container) or known.ours(settings, container))
        and container["ipc"] != "host"
        and container["shm"] <= DOCKERS_SHM
    ]
    if not small:
        return None
    text = f"{known.listed([known.name(item) for item in small])}: /dev/shm has {small[0]['shm'] >> 20} MB"
    if any(known.ours(settings, container) for container in small):
        return Seen(text)
    return Seen(text, "docker run --shm-size=16g …   # or --ipc=host; it cannot be changed in a running container")


def _run_mounted(settings: Settings, answers: Answers) -> Seen | None:
    hit = [
        known.name(container)
        for container in known.containers(answers)
        if known.gets_gpus(container)
        and any(mount["Destination"] in ("/run", "/var/run") for mount in container["mounts"])
    ]
    return Seen(f"{known.listed(hit)} mounts over /run") if hit else None


def _files(settings: Settings, answers: Answers) -> Seen | None:
    _need_ours(settings, answers)
    found = re.search(r"^nofile (\d+)$", answers["doctor.inside"].out, re.MULTILINE)
    if not found or int(found.group(1)) >= (ENOUGH_FILES if machine.may_raise(answers) else FEW_FILES):
        return None
    return Seen(f"a process in {settings.stack.name} may open {found.group(1)} files")


def _unhealthy(settings: Settings, answers: Answers) -> Seen | None:
    known.docker(answers)
    answer = answers["stack.container"]
    if not answer.ok:
        return None
    state = answer.json()["State"]
    health = state.get("Health") or {}
    if state["Status"] in ("restarting", "dead") or (state["Status"] == "exited" and state.get("ExitCode")):
        return Seen(f"{settings.stack.name} is {state['Status']}, exit code {state.get('ExitCode')}")
    if health.get("Status") != "unhealthy":
        return None
    said = " ".join(((health.get("Log") or [{}])[-1].get("Output") or "").split())[-200:]
    return Seen(f"{settings.stack.name} is unhealthy: {said}")


def _need_ours(settings: Settings, answers: Answers) -> None:
    """Raise CannotTell where the stack's container runs and does not let itself be asked."""
    names: Sequence[str] = [known.name(container) for container in known.containers(answers)]
    if settings.stack.name in names and not answers["doctor.inside"].ok:
        raise CannotTell(f"{settings.stack.name} cannot be asked")


RULES = (
    Rule(
        "gpu-lost", "error", "each running container still has the GPUs it was given",
        "A `systemctl daemon-reload` (package installations run one) makes systemd renew the device cgroups, without "
        "the GPUs that NVIDIA's hook had put in. The container has to be made or started anew.",
        "docker restart NAME",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/48",
        (*NEEDS_GPU, *NEEDS_CONTAINERS, "doctor.container-gpus"), _lost,
    ),
    Rule(
        "cuda-newer", "error", "the image's CUDA is one that the driver can run",
        "The container starts (the toolkit's CDI mode does not look), and every CUDA call fails with `CUDA driver "
        "version is insufficient`.",
        "{gpudock} image.build stack.up   # after a newer driver, or with an older image.registry_base",
        "https://docs.nvidia.com/deploy/cuda-compatibility/",
        (*NEEDS_GPU, "gpu.list", "image"), _cuda,
    ),
    Rule(
        "shm-small", "warning", "GPU containers have more shared memory than Docker's 64 MB",
        "PyTorch's DataLoader workers and NCCL die of `Bus error` when /dev/shm is full.",
        "{gpudock} stack.up --set stack.shm_size=16gb",
        "https://github.com/pytorch/pytorch/issues/5040",
        NEEDS_CONTAINERS, _shm,
    ),
    Rule(
        "run-mounted", "warning", "no GPU container mounts over /run",
        "NVIDIA's runtime puts the persistence daemon's socket there: `mount error: file creation failed: "
        "…/run/nvidia-persistenced/socket`.",
        "docker inspect NAME   # mount what it needs of /run, not /run itself",
        "https://github.com/NVIDIA/nvidia-docker/issues/1690",
        NEEDS_CONTAINERS, _run_mounted,
    ),
    Rule(
        "files-few", "warning", "a process in the container may open 65536 files",
        "Docker 29's containerd takes the limit down to 1024: `Too many open files` under load.",
        "{gpudock} stack.up",
        "https://github.com/moby/moby/issues/51485",
        (*NEEDS_CONTAINERS, "doctor.inside", "limits"), _files,
    ),
    Rule(
        "container-unhealthy", "error", "the container is healthy",
        "Its health check asks sshd and JupyterLab, where they are switched on.",
        "{gpudock} stack.logs; {gpudock} setup",
        "https://docs.docker.com/reference/dockerfile/#healthcheck",
        (*NEEDS_CONTAINERS, "stack.container"), _unhealthy,
    ),
)  # fmt: skip
