"""What doctor asks a host: every question of every rule, by name, answered side by side in one round trip.

Each is read-only, takes well under a second, and prints little: a shell text does the picking on the host.
"""

from __future__ import annotations

import time

from gpudock import measure
from gpudock.questions import Questions, after_engine, engine, file
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import compose, image, machine, ports
from gpudock.steps.doctor import scripts
from gpudock.steps.toolkit import daemon, repository

TOOLKIT_CONFIG = "/etc/nvidia-container-runtime/config.toml"

PACKAGES = (
    *("nvidia-container-toolkit", "nvidia-container-toolkit-base", "libnvidia-container-tools"),
    *("libnvidia-container1", "docker-ce", "docker.io", "moby-engine", "containerd.io", "containerd", "runc"),
)


def questions(settings: Settings) -> Questions:
    """All questions. Those that steps ask too have the same name and the same text there."""
    name = settings.stack.name
    return {
        **{key: machine.QUESTIONS[key] for key in ("os-release", "limits")},
        **ports.questions(settings),
        **_gpu(),
        **_engine(settings),
        **_packages(),
        "doctor.containers": after_engine(scripts.CONTAINERS),
        "doctor.container-gpus": after_engine(scripts.CONTAINER_GPUS),
        "doctor.inside": after_engine(scripts.INSIDE, name),
        "stack.container": engine(f"/containers/{name}/json"),
        "doctor.jupyter": after_engine(scripts.JUPYTER, f"{compose.folder(settings)}/container"),
        "doctor.disks": after_engine(scripts.DISKS, settings.host.state),
        "doctor.ss": question("command -v ss"),
        "doctor.limits": question(scripts.LIMITS),
        "doctor.selinux": question("getenforce && getsebool container_use_devices"),
        "doctor.cgroup": question("stat -fc %T /sys/fs/cgroup"),
        **_network(settings),
    }


def _gpu() -> Questions:
    return {
        "gpu.pci": question(scripts.PCI),
        "gpu.smi": question("nvidia-smi 2>&1"),
        "gpu.list": question("nvidia-smi -L 2>&1"),
        "gpu.query": question("nvidia-smi --query-gpu=index,name,mig.mode.current --format=csv,noheader 2>&1"),
        "gpu.cuda": question(scripts.CUDA),
        "gpu.kernel-log": question(scripts.KERNEL_LOG),
        "gpu.fabric": question(scripts.FABRIC),
        "gpu.persistence": question(scripts.PERSISTENCE),
        "driver.loaded": file("/proc/driver/nvidia/version"),
        "driver.module": question("modinfo -F version nvidia"),
        "driver.secure-boot": question(scripts.SECURE_BOOT),
        "driver.wsl": question(scripts.WSL),
        "cdi.specs": question(scripts.CDI),
    }


def _engine(settings: Settings) -> Questions:
    steps = image.questions(settings)
    return {
        **{key: steps[key] for key in ("docker.info", "docker.daemon", "image")},
        "doctor.daemon-json": file(daemon.PATH),
        "doctor.validate": question(scripts.VALIDATE, daemon.PATH),
        "doctor.daemon-command": question(scripts.DAEMON_COMMAND),
        "doctor.engine-kind": question(scripts.ENGINE_KIND),
        "doctor.runc": question("runc --version"),
        "doctor.hook": question(scripts.HOOK),
        "toolkit.config": file(TOOLKIT_CONFIG),
    }


def _packages() -> Questions:
    return {
        "doctor.packages": question(scripts.PACKAGES, *PACKAGES),
        "doctor.candidates": question(scripts.CANDIDATES, "docker.io", "moby-engine", "runc"),
        "doctor.holds": question(scripts.HOLDS),
        "toolkit.others": repository.QUESTIONS["toolkit.others"],
        "apt.entries": question(scripts.APT_ENTRIES),
        "apt.keys": question(scripts.APT_KEYS, repository.KEYRING),
        "apt.lock": question(scripts.APT_LOCK),
        "doctor.half": question(scripts.HALF),
        "doctor.audit": question("command -v dpkg >/dev/null && dpkg --audit | head -n 3"),
    }


def _network(settings: Settings) -> Questions:
    addresses = [f"{layer}={address}" for layer, address in layers(settings).items() if plain(address)]
    network = settings.network
    proxy = network.https_proxy or network.http_proxy
    return {
        "network.names": question(scripts.NAMES, *[] if proxy else addresses),
        "network.reach": question(scripts.REACH, proxy if plain(proxy) else "", *addresses),
        "network.proxy": after_engine(scripts.PROXY, proxy.rpartition("@")[2]),
        "network.clock": question(scripts.CLOCK, str(int(time.time()))),
    }


def plain(address: str) -> bool:
    """Whether an address holds no password, and so may be an argument, which every user of the host can read."""
    return "@" not in address


def layers(settings: Settings) -> dict[str, str]:
    """A small file of each mirror that the settings name, by layer; {id} and {release} are the host's to fill in."""
    chosen = {name: str(getattr(settings.mirrors, name)) for name in settings.mirrors.__struct_fields__}
    registry = chosen.pop("registry").partition("/")[0]
    files = {layer: f"{address}{measure.SMALL_FILES.get(layer, '')}" for layer, address in chosen.items() if address}
    return {**files, "registry": measure.REGISTRY.format(host=registry)} if registry else files
