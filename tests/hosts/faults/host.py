"""Faults of the host itself: engine, room, network, clock, SELinux."""

from __future__ import annotations

from tests.hosts.faults.fault import Batch, Fault, ended, listening, program, without

STATE = "/var/lib/gpudock"
SWITCHED = f"{STATE}/cuda_container_chatbot/container/services"
LISTEN = """python3 -c "import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', 8888)); s.listen(); time.sleep(3600)" >/dev/null 2>&1 &
echo $! >/run/port-holder; """ + listening(8888)
DROP_IN = "/etc/systemd/system/docker.service.d/test.conf"
TCP = "ExecStart=/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock -H fd:// -H tcp://0.0.0.0:2375"

BATCH = Batch(
    "host",
    (
        Fault(
            "engine-socket",
            f"mkdir -p $(dirname {DROP_IN}); printf '[Service]\\nExecStart=\\n{TCP}\\n' >{DROP_IN}; "
            "systemctl daemon-reload; systemctl reset-failed docker; systemctl restart docker",
            f"rm {DROP_IN}; systemctl daemon-reload; rm -f /etc/docker/daemon.json; systemctl reset-failed docker; systemctl restart docker",
            "dockerd listens on *:2375, without TLS",
        ),
        Fault(
            "daemon-flags",
            "mkdir -p /etc/docker; echo '{\"hosts\": [\"fd://\"]}' >/etc/docker/daemon.json",
            "",
            "given as a flag of dockerd and in daemon.json: hosts",
        ),
        Fault(
            "docker-snap",
            program("snap", '[ "$1 $2" = "list docker" ] || exit 64', "echo 'Name    Version  Rev   Tracking'",
                    "echo 'docker  28.1.1   3265  latest/stable'"),
            without("snap"),
            "Docker comes from a snap",
        ),
        Fault(
            "docker-rootless",
            "mkdir -p /run/user/1234; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/run/user/1234/docker.sock')\"",
            "rm -r /run/user/1234",
            "a rootless engine runs beside the system's: /run/user/1234/docker.sock",
        ),
        Fault(
            "jupyter-open",
            f"mkdir -p {STATE}; mount -t tmpfs -o size=8m,nr_inodes=200 tmpfs {STATE}; "
            f"mkdir -p {SWITCHED}; echo on >{SWITCHED}/jupyter",
            f"umount {STATE}",
            "neither a password nor a token",
        ),
        Fault("disk-full", ":", "", f"{STATE}: 0.0 GiB free"),
        Fault("inodes-low", f"seq 195 | (cd {STATE}; xargs touch 2>/dev/null); :", "", f"{STATE}: 0 of 200 inodes free"),
        Fault(
            "disk-low",
            "mount -t tmpfs -o size=5g tmpfs /var/lib/containerd",
            "umount -l /var/lib/containerd",
            "/var/lib/containerd: 5.0 GiB free",
        ),
        Fault("port-taken", LISTEN, ended("/run/port-holder"), "taken: 8888 by the process python3"),
        Fault(
            "clock-off",
            program("date", 'case "$*" in +%s) echo $(($(/usr/bin/date +%s) + 3600));; *) exec /usr/bin/date "$@";; esac'),
            without("date"),
            "its clock is 60 min ahead of this machine's",
        ),
        Fault(
            "names",
            "cp /etc/resolv.conf /run/resolv.kept; echo 'nameserver 127.0.0.9' >/etc/resolv.conf",
            "cat /run/resolv.kept >/etc/resolv.conf; echo '127.0.0.1 mirror.test' >>/etc/hosts",
            "mirror.test",
        ),
        Fault(
            "mirror",
            ":",
            "cd /run && mkdir -p debian/dists/trixie && touch debian/dists/trixie/InRelease && (python3 -m http.server 8081 --bind 127.0.0.1 >/dev/null 2>&1 & echo $! >/run/mirror.pid); " + listening(8081),
            "mirrors.apt http://mirror.test:8081",
        ),
    ),
    settings=("--set", "mirrors.apt=http://mirror.test:8081"),
    after=ended("/run/mirror.pid"),
)  # fmt: skip

STOPPED = Batch(
    "stopped",
    (
        Fault(
            "docker-down",
            "systemctl stop docker.socket docker",
            "systemctl reset-failed docker; systemctl start docker",
            "docker says: Cannot connect to the Docker daemon",
        ),
        Fault(
            "daemon-json",
            "mkdir -p /etc/docker; echo '{\"debug\": true,}' >/etc/docker/daemon.json",
            "rm /etc/docker/daemon.json",
            "/etc/docker/daemon.json cannot be read",
        ),
        Fault(
            "driver-mismatch",
            'mv /usr/bin/nvidia-smi /usr/bin/nvidia-smi.kept; printf \'#!/bin/sh\\necho "Failed to initialize NVML: Driver/library version mismatch"\\n'
            'echo "NVML library version: 580.178"\\nexit 18\\n\' >/usr/bin/nvidia-smi; chmod 755 /usr/bin/nvidia-smi',
            "mv /usr/bin/nvidia-smi.kept /usr/bin/nvidia-smi",
            "the libraries are of 580.178",
        ),
        Fault(
            "proxy",
            ":",
            'python3 -c "import socket, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)'
            "; s.bind(('127.0.0.1', 3128)); s.listen(); time.sleep(3600)\" >/dev/null 2>&1 & echo $! >/run/proxy.pid; "
            + listening(3128),
            "nothing answers at 127.0.0.1:3128",
        ),
    ),
    settings=("--set", "network.https_proxy=http://127.0.0.1:3128"),
    after=ended("/run/proxy.pid"),
)
