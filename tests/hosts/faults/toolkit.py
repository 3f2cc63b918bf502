"""Faults of the toolkit, its packages and its repository, on a host with a GPU."""

from __future__ import annotations

from tests.hosts.faults.fault import RUNTIMES, Batch, Fault, ended, once

SOURCES = "/etc/apt/sources.list.d"
REPOSITORY = "https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH) /"
ENTRY = f"deb [signed-by=KEY] {REPOSITORY}"
CONFIG = "/etc/nvidia-container-runtime/config.toml"

# An empty package of any name and version, installed, or with `unpack` only unpacked: what dpkg calls broken.
PACKAGE = """package() { folder=$(mktemp -d); mkdir -p "$folder/DEBIAN"
  printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: test\\nDescription: test\\n' "$1" "$2" \\
    >"$folder/DEBIAN/control"; dpkg-deb -b "$folder" "$folder.deb" >/dev/null; dpkg "${3:---install}" "$folder.deb" >/dev/null; }
"""
HOLD_LOCK = """python3 -c "import fcntl, time
file = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(file, fcntl.LOCK_EX)
open('/run/locked', 'w'); time.sleep(3600)" >/dev/null 2>&1 &
echo $! >/run/lock-holder; """ + once("rm /run/locked 2>/dev/null")

BATCH = Batch(
    "toolkit",
    (
        Fault(
            "toolkit-cve",
            "package nvidia-container-toolkit 1.18.0-1",
            "dpkg -r nvidia-container-toolkit; package nvidia-container-toolkit 1.20.0-1",
            "nvidia-container-toolkit 1.18.0-1: older than 1.19.1",
        ),
        Fault(
            "toolkit-mixed",
            "package libnvidia-container1 1.20.0-1",
            "",
            "libnvidia-container1 1.20.0-1, nvidia-container-toolkit 1.18.0-1",
        ),
        Fault(
            "toolkit-held",
            "echo nvidia-container-toolkit hold | dpkg --set-selections",
            "echo nvidia-container-toolkit install | dpkg --set-selections",
            "held below the safe version: nvidia-container-toolkit",
        ),
        Fault(
            "toolkit-no-cgroups",
            f"mkdir -p /etc/nvidia-container-runtime; printf '[nvidia-container-cli]\\nno-cgroups = true\\n' >{CONFIG}",
            f"rm {CONFIG}",
            f"{CONFIG} has no-cgroups = true",
        ),
        Fault(
            "engine-older",
            once('[ "$(date +%s)" -gt "$(stat -c %Y /var/run/docker.pid)" ]')
            + "; printf '#!/bin/sh\\n' >/usr/bin/nvidia-container-runtime-hook; chmod 755 /usr/bin/nvidia-container-runtime-hook",
            "rm /usr/bin/nvidia-container-runtime-hook",
            "dockerd was started",
        ),
        Fault(
            "docker-runtime",
            ":",
            'mkdir -p /etc/docker; echo \'{"runtimes": {"nvidia": {"path": "runc"}}}\' >/etc/docker/daemon.json; '
            f"systemctl reload docker; {once(RUNTIMES)}",
            "Docker lists the runtimes",
        ),
        Fault(
            "apt-conflict",
            f"echo '{ENTRY}' | sed s,KEY,/usr/share/keyrings/one.gpg, >{SOURCES}/nvidia-container-toolkit.list; "
            f"echo '{ENTRY}' | sed s,KEY,/usr/share/keyrings/two.gpg, >{SOURCES}/nvidia-docker.list",
            f"rm -f {SOURCES}/nvidia-*.list",
            "2 different Signed-By",
        ),
        Fault("apt-key", ": >/usr/share/keyrings/one.gpg", "rm /usr/share/keyrings/one.gpg", "one.gpg holds no key"),
        Fault("packages-broken", "package half 1.0 --unpack", "dpkg -r half", "dpkg says: The following packages"),
        Fault("apt-locked", HOLD_LOCK, ended("/run/lock-holder"), "has held /var/lib/dpkg/lock-frontend"),
        Fault(
            "mig-empty",
            'sed -i.kept \'s/echo "Disabled"/echo "Enabled"/\' /usr/bin/nvidia-smi',
            "mv /usr/bin/nvidia-smi.kept /usr/bin/nvidia-smi",
            "MIG is on for GPU 0, and it has no instance",
        ),
    ),
    before=PACKAGE,
    after="dpkg --purge nvidia-container-toolkit libnvidia-container1 half; rm -f /etc/docker/daemon.json",
)
