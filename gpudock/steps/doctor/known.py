"""What several rules read of the answers: the engine, its containers, GPUs, packages, versions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps import engine

NEEDS_DOCKER = ("docker.info", "docker.daemon")
NEEDS_CONTAINERS = (*NEEDS_DOCKER, "ports.containers", "doctor.containers")
NEEDS_GPU = ("gpu.pci", "gpu.smi", "driver.loaded", "driver.wsl")

SMI_VERSION = re.compile(r"Driver Version: ([\d.]+)")
SMI_CUDA = re.compile(r"CUDA(?: UMD)? Version: ([\d.]+)")


def docker(answers: Answers) -> Mapping[str, Any]:
    """What `docker info` says. Raises CannotTell where no daemon answers."""
    found = information(answers)
    if not found:
        raise CannotTell("there is no Docker engine" if absent(answers) else "Docker does not answer")
    return found


def rootless(answers: Answers) -> bool:
    """Whether the engine that answers is rootless. Raises CannotTell where none does."""
    return any("rootless" in option for option in docker(answers).get("SecurityOptions") or ())


def absent(answers: Answers) -> bool:
    """Whether there is no Docker engine at all."""
    return not answers["docker.daemon"].ok and not information(answers)


def information(answers: Answers) -> Mapping[str, Any]:
    """What `docker info` says; {} where no daemon answers, when its client may still end with 0, and of Podman."""
    answer = answers["docker.info"]
    found = answer.json() if answer.out.strip().startswith("{") else {}
    return found if isinstance(found, dict) and found.get("ServerVersion") and engine.PODMAN not in found else {}


def containers(answers: Answers) -> Sequence[Mapping[str, Any]]:
    """The running containers, as scripts.CONTAINERS prints them. Raises CannotTell where no daemon answers."""
    docker(answers)
    answer = answers["doctor.containers"]
    if not answer.ok or not answers["ports.containers"].ok:
        raise CannotTell("the containers cannot be listed")
    return [json.loads(line) for line in answer.out.splitlines() if line.startswith("{")]


def name(container: Mapping[str, Any]) -> str:
    """A container's name without Docker's slash."""
    return str(container["name"]).lstrip("/")


def ours(settings: Settings, container: Mapping[str, Any]) -> bool:
    """Whether it is the stack's own container."""
    return name(container) == settings.stack.name


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Those of its environment variables that rules read."""
    return dict(entry.split("=", 1) for entry in container["env"] if entry and "=" in entry)


def gets_gpus(container: Mapping[str, Any]) -> bool:
    """Whether a container was given GPUs, by runtime, by request or by CDI."""
    devices = [device.get("PathOnHost", "") for device in container["devices"] or []]
    return (
        container["runtime"] == "nvidia" or bool(container["requests"]) or any("nvidia" in device for device in devices)
    )


def published(container: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Address and port of the host, for each port that the container publishes."""
    bindings = [binding for found in (container["ports"] or {}).values() for binding in found or []]
    return [(binding["HostIp"], int(binding["HostPort"])) for binding in bindings]


def pci(answers: Answers) -> list[tuple[str, str, str]]:
    """Bus address, class and bound driver (empty for none) of each NVIDIA device."""
    rows = [line.split(" ") for line in answers["gpu.pci"].out.splitlines()]
    return [(row[0], row[1], row[2] if len(row) > 2 else "") for row in rows if len(row) > 1]


def pci_gpus(answers: Answers) -> list[tuple[str, str, str]]:
    """The PCI devices that are GPUs: display controllers (class 0x03)."""
    return [row for row in pci(answers) if row[1].startswith("0x03")]


def has_gpu(answers: Answers) -> bool:
    """Whether an NVIDIA GPU is here, whatever state its driver is in."""
    return bool(pci_gpus(answers)) or answers["driver.loaded"].ok or answers["gpu.smi"].ok


def driver(answers: Answers) -> str:
    """The loaded driver's version; empty where none is loaded."""
    loaded = re.search(r"Module[^.\n]*\s(\d+\.[\d.]+)\s", answers["driver.loaded"].out)
    shown = SMI_VERSION.search(answers["gpu.smi"].out)
    return loaded.group(1) if loaded else shown.group(1) if shown else ""


def smi_works(answers: Answers) -> bool:
    """Whether nvidia-smi answers on the host."""
    return answers["gpu.smi"].ok


def packages(answers: Answers) -> dict[str, str]:
    """Name and version of those packages of asked.PACKAGES that are installed."""
    rows = [line.split() for line in answers["doctor.packages"].out.splitlines()]
    return {row[0]: row[1] for row in rows if row[2:] == ["installed"]}


def toolkit(answers: Answers) -> dict[str, str]:
    """The installed packages of the NVIDIA Container Toolkit."""
    return {key: value for key, value in packages(answers).items() if "nvidia-container" in key}


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparing: `1.19.1-1` is (1, 19, 1); an epoch and a suffix are left out."""
    upstream = re.match(r"(?:\d+:)?v?([\d.]+)", version)
    return tuple(int(part) for part in upstream.group(1).split(".") if part) if upstream else ()


def listed(items: Sequence[str], most: int = 5) -> str:
    """Join names for a sentence, the first few and how many more."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
