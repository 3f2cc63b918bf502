"""Light test hosts by the dozen, and the small project of tests/hosts/fleet run on them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

from gpudock.config import ROOT
from tests import testbed
from tests.engine import PREFIX, docker
from tests.testbed import TestHost
from tests.waiting import ended, until

PROJECT = ROOT / "tests" / "hosts" / "fleet"
UNHURRIED = {"GPUDOCK_FLEET__CONNECT_TIMEOUT": "60"}  # many hosts on few processors take their time to answer
SSHD = "mkdir -p /run/sshd; ssh-keygen -A >/dev/null; exec /usr/sbin/sshd -D -E /var/log/sshd.log"


@dataclass(frozen=True)
class Fleet:
    """Hosts by name, and the ssh_config that leads to them."""

    hosts: Mapping[str, TestHost]
    config: Path

    def start(self, *words: str, environ: Mapping[str, str] | None = None) -> Popen[str]:
        """Begin `fab` with our project on all hosts, as a CI job would, and do not wait for it."""
        names = [] if "-H" in words else ["-H", ",".join(self.hosts)]
        program = str(Path(sys.executable).with_name("fab"))
        argv = [program, "--search-root", str(PROJECT), "-S", str(self.config), *names, *words]
        return Popen(argv, cwd=ROOT, env=self.environ(environ), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, text=True)

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of our program; who failed last time is of these hosts alone."""
        return {**os.environ, **UNHURRIED, "GPUDOCK_STATE": str(self.config.parent), **(more or {})}

    def run(self, *words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Run it to the end: exit code, standard output, standard error."""
        return ended(self.start(*words, environ=environ))

    def marks(self) -> dict[str, list[str]]:
        """The marks that each host has."""
        return {name: host.sh("ls /srv/marks 2>/dev/null; :").split() for name, host in self.hosts.items()}

    def connect_as(self, user: str) -> None:
        """Write the ssh_config anew: ports change when a machine was down, users when a test says so."""
        testbed.ssh_config(self.config, [(name, host, user) for name, host in self.hosts.items()])

    def clear(self) -> None:
        """Take all marks away."""
        for host in self.hosts.values():
            host.sh("rm -rf /srv/marks /etc/slow /etc/held /run/gpudock")


@contextmanager
def light(number: int, key: Path, folder: Path) -> Iterator[Fleet]:
    """Start machines that are nothing but an sshd, each with a network and a disk of its own."""
    image = testbed.image("trixie")
    names = [f"{PREFIX}-light{index}-{os.getpid()}-{time.monotonic_ns()}" for index in range(1, number + 1)]

    def start(index: int, name: str) -> TestHost:
        keys = f"{key.with_suffix('.pub')}:/etc/keys:ro"
        able = ["--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"]
        options = [*able, "--init", "-p", "127.0.0.1::22", "-v", keys, "--tmpfs", "/small:size=1m"]
        command = f"echo AuthorizedKeysFile /etc/keys >/etc/ssh/sshd_config.d/keys.conf; chmod go-w /etc; {SSHD}"
        docker("run", "-d", "--name", name, "--hostname", f"gpu{index:02}", *options, image, "sh", "-c", command)
        return testbed.at(name, key)

    try:
        with ThreadPoolExecutor(4) as pool:
            hosts = list(pool.map(start, range(1, number + 1), names))
        named = {f"gpu{index:02}": host for index, host in enumerate(hosts, 1)}
        for host in hosts:
            host.until_listening(22)
        fleet = Fleet(named, folder / "config")
        fleet.connect_as("root")
        yield fleet
    finally:
        docker("rm", "-f", "-v", *names, check=False)


def hold(*hosts: TestHost) -> None:
    """Let no mark on these hosts be finished."""
    for host in hosts:
        host.write("/etc/held", "")


def let_go(*hosts: TestHost) -> None:
    """Let what was held up go on."""
    for host in hosts:
        host.sh("rm /etc/held")


def until_begun(host: TestHost, who: str = "") -> None:
    """Wait until a mark is in the making on a held host, by `who` if that is given: it is told, and it runs."""
    until(lambda: all(word in host.sh("cat /run/gpudock/holder", check=False) for word in ("make the", who)))
    until(lambda: host.sh("pgrep -f '[/]etc/held'; :"))
