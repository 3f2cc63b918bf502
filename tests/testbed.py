"""Real hosts to test against: containers that boot systemd, with sshd, sudo, and room for an engine of their own.

What they need, and why, was found out on a plain machine without systemd, GPU or image registry: see
CONTRIBUTING.md, "Test hosts".
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.engine import PREFIX, client, docker
from tests.images import image
from tests.waiting import until

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

# What systemd and a nested engine need; plain --privileged fails where the machine itself lacks a capability.
CAPABLE = (
    *("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--device-cgroup-rule=a *:* rwm"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"),
    *("--security-opt", "apparmor=unconfined"),
    *("-v", "/var/lib/docker", "-v", "/var/lib/containerd", "-v", "/sys/fs/cgroup:/sys/fs/cgroup"),
)
BOOTING = (
    *("-t", "--tmpfs", "/run", "--tmpfs", "/tmp:exec"),
    *("-e", "container=docker", "-e", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"),
)


@dataclass
class TestHost:
    """A running test host. `address` and `port` are where its sshd answers, `key` opens it for every user."""

    __test__ = False
    name: str
    port: int
    key: Path
    address: str = "127.0.0.1"
    users: tuple[str, ...] = field(default=("root", "ops", "ask", "nosudo"))

    def sh(self, script: str, *, check: bool = True, data: str | None = None) -> str:
        """Run a shell text as root on the host, by the engine and not by SSH."""
        return docker("exec", "-i", self.name, "sh", "-c", script, check=check, data=data)

    def read(self, path: str) -> str:
        """A file's text."""
        return self.sh(f"cat {shlex.quote(path)}")

    def write(self, path: str, text: str) -> None:
        """Put a file on the host."""
        self.sh(f"mkdir -p $(dirname {shlex.quote(path)}); cat >{shlex.quote(path)}", data=text)

    def run_container(self, name: str) -> None:
        """Run a container that is none of gpudock's: it sleeps, from an image of that one program."""
        libraries = "ldd /bin/sleep | grep -o '/lib[^ ]*' | xargs -I{} cp --parents {} /tmp/sleeper"
        self.sh(f"mkdir -p /tmp/sleeper/bin && cp /bin/sleep /tmp/sleeper/bin && {libraries}")
        self.sh(
            f"tar -C /tmp/sleeper -c . | docker import - {name} && docker run -d --name {name} {name} /bin/sleep 3600"
        )

    def load(self, image: str, name: str) -> None:
        """Have an image of this machine's engine in the host's own, by another name."""
        with subprocess.Popen([client(), "save", image], stdout=subprocess.PIPE) as saved:
            argv = [client(), "exec", "-i", self.name, "docker", "load"]
            subprocess.run(argv, stdin=saved.stdout, check=True, capture_output=True)
        self.sh(f"docker tag {image} {name}")

    def reboot(self) -> None:
        """Stop and start the machine, and wait until it is up."""
        docker("restart", "-t", "10", self.name)
        self.port = _port(self.name)
        self.wait()

    def wait(self) -> None:
        """Wait until systemd and sshd are up."""
        up = ("running", "degraded")  # the whole text: an engine says of another state "is not running"
        until(lambda: self.sh("systemctl is-system-running; :", check=False).strip() in up)
        self.until_listening(22)

    def until_listening(self, port: int) -> None:
        """Wait until something takes connections at a port of the host."""
        until(lambda: f":{port} " in self.sh("ss -Hltn", check=False))

    def remove(self) -> None:
        """Remove the host and all it holds."""
        remove([self])


def start(kind: str, key: Path, *options: str) -> TestHost:
    """Start a host of a kind and wait until it is up."""
    name = f"{PREFIX}-{kind}-{os.getpid()}-{time.monotonic_ns()}"
    mounts = ["-v", f"{CA_BUNDLE}:{CA_BUNDLE}:ro"] if CA_BUNDLE.exists() else []
    command = ["sleep", "infinity"] if kind == "fresh" else []
    booting = [] if kind == "fresh" else [*BOOTING, "-p", "127.0.0.1::22"]
    docker(
        "run", "-d", "--name", name, "--hostname", kind, *CAPABLE, *booting, *mounts, *options, image(kind), *command
    )
    if kind == "fresh":
        return TestHost(name, 0, key)
    host = at(name, key)
    try:
        _open(host)
    except BaseException:
        host.remove()
        raise
    return host


def _open(host: TestHost) -> None:
    """Wait until a host is up, and let the key in for each of its users."""
    host.wait()
    public = host.key.with_suffix(".pub").read_text()
    for user in host.users:
        home = f"$(getent passwd {user} | cut -d: -f6)"
        folder = f"{home}/.ssh"
        host.sh(
            f"install -d -m 0700 -o {user} {folder}; cat >{folder}/authorized_keys; chown {user} {folder}/*",
            data=public,
        )


def at(name: str, key: Path) -> TestHost:
    """The host that a running container is."""
    return TestHost(name, _port(name), key)


def remove(hosts: Sequence[TestHost]) -> None:
    """Remove hosts and all they hold, side by side: the images in one take seconds to delete."""
    if hosts:
        docker("rm", "-f", "-v", *[host.name for host in hosts], check=False)


def remove_stale() -> None:
    """Remove the hosts of test runs that are gone."""
    for name in docker("ps", "-a", "--format", "{{.Names}}", "--filter", f"name={PREFIX}-").split():
        owner = name.split("-")[-2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            docker("rm", "-f", "-v", name, check=False)


def ssh_config(path: Path, hosts: Sequence[tuple[str, TestHost, str]]) -> Path:
    """Write an ssh_config that names hosts: (alias, host, user). Host keys go to a file beside it."""
    blocks = [
        f"Host {alias}\n  HostName {host.address}\n  Port {host.port}\n  User {user}\n  IdentityFile {host.key}\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {path.parent}/known_hosts\n"
        for alias, host, user in hosts
    ]
    path.write_text("\n".join(blocks))
    return path


def make_key(path: Path) -> Path:
    """Make a key pair at a path, the public half beside it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = Ed25519PrivateKey.generate()
    openssh = serialization.PrivateFormat.OpenSSH
    path.write_bytes(made.private_bytes(serialization.Encoding.PEM, openssh, serialization.NoEncryption()))
    path.chmod(0o600)
    public = made.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.with_suffix(".pub").write_bytes(public + b"\n")
    return path


def _port(name: str) -> int:
    return int(docker("port", name, "22").split(":")[-1])
