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
from tests.testbed import TestHost

PROJECT = ROOT / "tests" / "hosts" / "fleet"
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
        state = {"GPUDOCK_STATE": str(self.config.parent)}  # who failed last time, of these hosts alone
        surroundings = {**os.environ, **state, **(environ or {})}
        return Popen(argv, cwd=ROOT, env=surroundings, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, text=True)

    def run(self, *words: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        """Run it to the end: exit code, standard output, standard error."""
        running = self.start(*words, environ=environ)
        out, err = running.communicate(timeout=120)
        return running.returncode, out, err

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

    def start(index: int) -> TestHost:
        name = f"{testbed.PREFIX}-light-{os.getpid()}-{time.monotonic_ns()}"
        keys = f"{key.with_suffix('.pub')}:/etc/keys:ro"
        able = ["--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"]
        options = [*able, "--init", "-p", "127.0.0.1::22", "-v", keys, "--tmpfs", "/small:size=1m"]
        command = f"echo AuthorizedKeysFile /etc/keys >/etc/ssh/sshd_config.d/keys.conf; chmod go-w /etc; {SSHD}"
        testbed.docker(
            "run", "-d", "--name", name, "--hostname", f"gpu{index:02}", *options, image, "sh", "-c", command
        )
        return testbed.at(name, key)

    with ThreadPoolExecutor(4) as pool:
        hosts = list(pool.map(start, range(1, number + 1)))
    try:
        named = {f"gpu{index:02}": host for index, host in enumerate(hosts, 1)}
        for host in hosts:
            testbed.until(lambda host=host: ":22 " in host.sh("ss -Hltn", check=False))
        fleet = Fleet(named, folder / "config")
        fleet.connect_as("root")
        yield fleet
    finally:
        testbed.docker("rm", "-f", "-v", *[host.name for host in hosts], check=False)


def hold(*hosts: TestHost) -> None:
    """Let no mark on these hosts be finished."""
    for host in hosts:
        host.write("/etc/held", "")


def let_go(*hosts: TestHost) -> None:
    """Let what was held up go on."""
    for host in hosts:
        host.sh("rm /etc/held")


def until_begun(host: TestHost, who: str = "") -> None:
    """Wait until a mark is in the making on a host, by `who` if that is given."""
    testbed.until(lambda: all(word in host.sh("cat /run/gpudock/holder", check=False) for word in ("make the", who)))
