"""Serves the stand-in repository from a container of its own, so that ports 80 and 443 are free and sessions do not collide."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.engine import docker
from tests.hosts.nvidia import certificate, packages
from tests.testbed import CA_BUNDLE, TestHost, start
from tests.waiting import until

HOST_NAME = "nvidia.github.io"
PATH = "libnvidia-container"
SERVER = Path(__file__).with_name("server.py")
TRUSTED = "/etc/ssl/gpudock-test.crt"
LISTENING = "import socket; [socket.create_connection(('127.0.0.1', port)).close() for port in (80, 443)]"


@dataclass(frozen=True)
class Repository:
    """The served repository.

    `address` is a mirror of it without TLS that every host can reach; `authority` is the certificate (PEM) that signs
    https://nvidia.github.io on hosts started with `reach`; `fingerprint` is the signing key's, not NVIDIA's.
    """

    server: TestHost
    ip: str
    fingerprint: str
    folder: Path
    authority: str

    @property
    def address(self) -> str:
        """The base address as a setting of mirrors.toolkit."""
        return f"http://{self.ip}/{PATH}"

    @property
    def overrides(self) -> list[str]:
        """The command line's settings that point the toolkit's steps at the mirror."""
        return ["--set", f"mirrors.toolkit={self.address}", *self.key_override]

    @property
    def key_override(self) -> list[str]:
        """The setting for hosts that reach the repository by its real address: its key alone."""
        return ["--set", f"toolkit.fingerprint={self.fingerprint}"]

    @property
    def reach(self) -> tuple[str, str]:
        """The option for a host's start that makes NVIDIA's host name mean this repository; then call `trust`."""
        return ("--add-host", f"{HOST_NAME}:{self.ip}")

    def end(self) -> None:
        """Serve no more, and end the agents that gpg has started for its keys."""
        self.server.remove()
        for home in self.folder.glob("*gnupg"):
            packages.run(["gpgconf", "--kill", "all"], {"GNUPGHOME": str(home)})

    def trust(self, host: TestHost) -> None:
        """Let the host's programs trust the repository's certificate, over reboots too.

        The machine's own bundle is mounted there read-only, so a copy with our authority is mounted over it.
        """
        host.sh(f"{{ cat {CA_BUNDLE}; cat; }} >{TRUSTED}", data=self.authority)
        host.sh(f"grep -qs {TRUSTED} /etc/fstab || echo '{TRUSTED} {CA_BUNDLE} none bind 0 0' >>/etc/fstab")
        host.sh(f"mountpoint -q {CA_BUNDLE} && umount {CA_BUNDLE}; mount --bind {TRUSTED} {CA_BUNDLE}")


def serve(folder: Path, key: Path) -> Repository:
    """Build the repository in a folder and serve it; `end` ends it."""
    fingerprint = packages.build(folder, folder / "served" / PATH)
    authority = certificate.issue(HOST_NAME, folder / "certificate.pem")
    server = start("fresh", key)
    for path in (SERVER, folder / "certificate.pem", folder / "served"):
        docker("cp", str(path), f"{server.name}:/srv/")
    docker("exec", "-d", server.name, "python3", "/srv/server.py")
    until(lambda: server.sh(f"python3 -c {shlex.quote(LISTENING)} 2>&1 && echo up; :").endswith("up\n"))
    ip = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", server.name).strip()
    return Repository(server, ip, fingerprint, folder, authority)
