"""Our whole `setup` with nothing to change against peers doing the documented toolkit step with nothing to change.

    .venv/bin/python benchmarks/fleet.py [--runs 5] [--hosts 1,8,32] [--peers-up-to 8]

Makes one test host on this machine, takes it through `setup` once, and has its sshd listen at 32 ports: each of them is
a host to all that take part: so operator and hosts share this machine's processors. Ansible and pyinfra come from PyPI
into a virtual environment that is thrown away. All take turns in one run; the figures are medians, in seconds of the
whole program. `floor` is what anything on Fabric costs: interpreter, import, a connection a host, one root command.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import fabric

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gpudock.config import load  # noqa: E402
from gpudock.host import Host  # noqa: E402
from gpudock.questions import ask  # noqa: E402
from gpudock.steps import gpu  # noqa: E402
from tests import testbed  # noqa: E402
from tests.hosts import nvidia  # noqa: E402

PEERS = ("pyinfra", "ansible")
THEIRS = ROOT / "benchmarks" / "peers"
PACKAGES = ("ansible-core==2.19.*", "pyinfra==3.*")
PORTS = range(2201, 2233)
# A driver that is loaded says so in /proc. Else nvidia-smi is asked, whose stand-in is a script that no real host has.
LOADED = """mount -t tmpfs none /proc/driver; mkdir -p /proc/driver/nvidia/gpus/0000:01:00.0
nvidia-smi --query-gpu=driver_version --format=csv,noheader >/tmp/version
echo "NVRM version: NVIDIA UNIX x86_64 Kernel Module  $(cat /tmp/version)  Tue Jun 23 08:38:17 UTC 2026" \\
  >/proc/driver/nvidia/version"""
OURS = ("--set", "image.groups=[notebook]", "--set", "gpu.mode=runtime")


def main() -> None:
    """Prepare, measure in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--hosts", default="1,8,32")
    parser.add_argument("--peers-up-to", type=int, default=8, help="leave peers out with more hosts: Ansible is slow")
    given = parser.parse_args()
    counts = [int(count) for count in given.hosts.split(",")]
    with tempfile.TemporaryDirectory() as folder, prepared(Path(folder)) as overrides:
        seconds: dict[tuple[str, int], list[float]] = {}
        busy: dict[tuple[str, int], list[float]] = {}
        memory = 0
        for run in range(given.runs):
            for count in counts:
                for name, argv in variants(Path(folder), overrides).items():
                    if name in PEERS and count > given.peers_up_to:
                        continue
                    took, own, peak = measure(argv, count, Path(folder))
                    seconds.setdefault((name, count), []).append(took)
                    busy.setdefault((name, count), []).append(own)
                    memory = max(memory, peak) if name == "gpudock" else memory
            print(f"\nmedians of {run + 1}", flush=True)
            report(seconds, counts)
            print("the same in processor time of the operator's program and its children")
            report(busy, counts)
            print(f"our process had {memory / 1024:.0f} MB at most", flush=True)


def report(seconds: dict[tuple[str, int], list[float]], counts: Sequence[int]) -> None:
    """Print medians, and how ours relates to each other's and to our own with one host."""
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    for count in counts:
        ours = medians["gpudock", count]
        told = [
            f"{count:>2} hosts: gpudock {ours:.2f} s = {ours / medians['gpudock', counts[0]]:.2f} x {counts[0]} host"
        ]
        for (name, hosts), value in medians.items():
            if hosts == count and name != "gpudock":
                told.append(f"{name} {value:.2f} s (ours {ours / value:.2f} x)")
        print(" · ".join(told), flush=True)


@contextmanager
def prepared(folder: Path, *, peers: bool = True) -> Iterator[list[str]]:
    """Have a host that had a whole `setup`, an ssh_config with a name for each port, and what the peers need."""
    key = testbed.make_key(folder / "id")
    with ExitStack() as held:
        repository = nvidia.serve(folder / "nvidia", key)
        held.callback(repository.server.remove)
        host = testbed.start("trixie-docker", key)
        held.callback(host.remove)
        host.sh("apt-get update -q && apt-get install -y -q python3 python3-apt >/dev/null")
        nvidia.plug_in_gpu(host)
        host.sh(LOADED)
        for ports in (PORTS[:16], PORTS[16:]):  # sshd has room for 16 sockets
            host.sh(f"/usr/sbin/sshd -o AddressFamily=inet {' '.join(f'-p {port}' for port in ports)}")
        address = testbed.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", host.name).strip()
        blocks = [
            f"Host gpu{index:02}\n  HostName {address}\n  Port {port}\n  User root\n  IdentityFile {key}\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking accept-new\n"
            for index, port in enumerate(PORTS, 1)
        ]
        (folder / "config").write_text("\n".join(blocks))
        login = f"ansible_user=root ansible_private_key_file={key}"
        inventory = [
            f"gpu{index:02} ansible_host={address} ansible_port={port} {login}\n" for index, port in enumerate(PORTS, 1)
        ]
        (folder / "all.ini").write_text("".join(inventory))
        overrides = [*OURS, *repository.overrides]
        fab = [str(ROOT / "fab"), "-S", str(folder / "config"), "-H", "gpu01", "setup", *overrides]
        subprocess.run(fab, cwd=ROOT, check=False)  # the stand-in GPU cannot compute: its proof fails
        _prove(folder, overrides)
        subprocess.run(fab, cwd=ROOT, check=True)
        if peers:
            _take_over(host, folder)
            _install_peers(folder)
        yield overrides


def variants(folder: Path, overrides: Sequence[str]) -> dict[str, list[str]]:
    """The programs that take part; HOSTS, INVENTORY and COUNT are filled in for each number of hosts."""
    peers = folder / "peers" / "bin"
    common = f"-F {folder}/config -o ControlMaster=auto -o ControlPersist=60s"
    return {
        "gpudock": [str(ROOT / "fab"), "-S", f"{folder}/config", "-H", "HOSTS", "setup", *overrides],
        "floor": [sys.executable, str(THEIRS / "floor.py"), f"{folder}/config", "HOSTS"],
        "pyinfra": [str(peers / "pyinfra"), "-y", "INVENTORY.py", "deploy.py"],
        "ansible": [
            *(str(peers / "ansible-playbook"), "-i", "INVENTORY.ini", "--forks", "32"),
            *("--ssh-common-args", common, "playbook.yml"),
        ],
    }  # fmt: skip


def measure(argv: Sequence[str], count: int, folder: Path) -> tuple[float, float, int]:
    """Run a program on so many hosts: seconds, its own processor time, its most memory in KB."""
    names = [f"gpu{index:02}" for index in range(1, count + 1)]
    lines = (folder / "all.ini").read_text().splitlines()[:count]
    (folder / "some.ini").write_text("\n".join(lines))
    (folder / "some.py").write_text(f"hosts = {[_pyinfra(line, folder) for line in lines]!r}\n")
    filled = [word.replace("HOSTS", ",".join(names)).replace("INVENTORY", str(folder / "some")) for word in argv]
    environ = {**os.environ, "ANSIBLE_PIPELINING": "1", "ANSIBLE_HOST_KEY_CHECKING": "0", "ANSIBLE_HOME": f"{folder}/a"}
    with (folder / "output").open("w") as output:
        started = time.perf_counter()
        running = subprocess.Popen(
            filled, cwd=folder, env=environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(running.pid, 0)
        took = time.perf_counter() - started
    running.returncode = os.waitstatus_to_exitcode(status)
    text = (folder / "output").read_text()
    if running.returncode or ("gpudock" in argv[0] and "nothing to change" not in text):
        raise SystemExit(f"{shlex.join(filled)}: exit code {running.returncode}\n{text}")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _pyinfra(line: str, folder: Path) -> tuple[str, dict[str, object]]:
    name, *words = line.split()
    given = dict(word.split("=") for word in words)
    return name, {
        "ssh_hostname": given["ansible_host"],
        "ssh_port": int(given["ansible_port"]),
        "ssh_user": "root",
        "ssh_key": str(folder / "id"),
        "ssh_known_hosts_file": str(folder / "known_hosts"),
        "ssh_strict_host_key_checking": "accept-new",
    }


def _prove(folder: Path, overrides: Sequence[str]) -> None:
    """Put in place what `gpu.prove` leaves on a host whose GPUs compute."""
    settings = load([word for word in overrides if word != "--set"]).settings
    config = fabric.Config(runtime_ssh_path=str(folder / "config"))
    with fabric.Connection("gpu01", config=config) as connection:
        host = Host(connection, "gpu01")
        gpus = gpu.read(settings, ask(host, gpu.questions(settings)))
        host.write(gpu.proof(settings), f"{gpu.subject(settings, gpus)}\n".encode())


def _take_over(host: testbed.TestHost, folder: Path) -> None:
    """Give the peers what is on the host, so that they have nothing to change either."""
    for name, path in {
        "keyring.gpg": "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg",
        "toolkit.list": "/etc/apt/sources.list.d/nvidia-container-toolkit.list",
        "daemon.json": "/etc/docker/daemon.json",
    }.items():
        testbed.docker("cp", f"{host.name}:{path}", str(folder / name))
    for name in ("deploy.py", "playbook.yml"):
        (folder / name).write_text((THEIRS / name).read_text())


def _install_peers(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(folder / "peers")], check=True)
    pip = [str(folder / "peers" / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)


if __name__ == "__main__":
    main()
