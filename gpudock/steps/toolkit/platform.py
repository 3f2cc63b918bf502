"""Where the toolkit can be installed, and engines that are not an ordinary one: Snap's, rootless, Docker Desktop."""

from __future__ import annotations

from gpudock.errors import Refused, UsageError
from gpudock.steps.gpu_mode import numbers
from gpudock.steps.machine import Machine
from gpudock.steps.toolkit.facts import Toolkit

# https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/supported-platforms.html
OLDEST = {
    "debian": (11,), "ubuntu": (20, 4), "rhel": (8,), "centos": (8,), "rocky": (8,), "almalinux": (8,), "ol": (8,),
    "amzn": (2023,), "opensuse-leap": (15,), "sles": (15,),
}  # fmt: skip
ARCHITECTURES = ("amd64", "arm64", "x86_64", "aarch64")
SUPPORTED = (
    "Debian 11 to 13, Ubuntu 20.04 to 26.04 and what derives from them, RHEL, CentOS, Rocky, AlmaLinux, Oracle 8 to "
    "10, Amazon Linux 2023, openSUSE Leap and SLES 15; on amd64 and arm64"
)


def need_supported(machine: Machine) -> None:
    """Raise UsageError on a system for which NVIDIA makes no packages."""
    oldest = OLDEST.get(machine.distribution)
    derived = oldest is None and machine.apt
    new_enough = oldest is not None and (not machine.version or numbers(machine.version) >= oldest)
    if machine.architecture not in ARCHITECTURES or not (derived or new_enough):
        raise UsageError(
            f"NVIDIA has no Container Toolkit for {machine.distribution} {machine.version} {machine.architecture}. "
            f"There are packages for {SUPPORTED}."
        )


def need_ordinary_engine(toolkit: Toolkit) -> None:
    """Raise Refused for an engine that does not read /etc/docker/daemon.json, with what to do there instead."""
    engine = toolkit.engine
    if engine.client.startswith("/snap/") or "/var/snap/" in toolkit.root:
        raise Refused(
            "Docker here is the Snap, which ignores /etc/docker/daemon.json and cannot see NVIDIA's runtime. Take it "
            "off (snap remove docker; its containers and images go with it), then run engine.install."
        )
    if engine.desktop:
        raise Refused(
            "The engine here is Docker Desktop: it brings the toolkit itself and is configured in its own settings. "
            "Under WSL 2 install the driver in Windows, none in Linux."
        )
    if engine.rootless:
        raise Refused(
            "The engine here is rootless and reads ~/.config/docker/daemon.json of its user. As that user run: "
            "nvidia-ctk runtime configure --runtime=docker --config=$HOME/.config/docker/daemon.json, then systemctl "
            "--user restart docker, and as root nvidia-ctk config --in-place --set "
            "nvidia-container-cli.no-cgroups=true."
        )
