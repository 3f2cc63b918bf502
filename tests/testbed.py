"""Real hosts to test against: containers that boot systemd, with sshd, sudo, and room for an engine of their own.

What they need, and why, was found out on a plain machine without systemd, GPU or image registry: see
CONTRIBUTING.md, "Test hosts".
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "gpudock-test"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BARE = "systemd,systemd-sysv,dbus,openssh-server,sudo,ca-certificates,iproute2,procps,iptables,python3-minimal"
ENGINE = "docker.io docker-cli docker-compose docker-buildx curl gnupg mmdebstrap"

SYSTEMD = """FROM {base}
RUN systemctl mask systemd-modules-load.service console-getty.service getty.target systemd-logind.service \\
 && rm -f /usr/sbin/policy-rc.d && mkdir -p /root/.ssh && chmod 700 /root/.ssh \\
 && printf 'MaxStartups 200\\nMaxSessions 100\\nUseDNS no\\n' >/etc/ssh/sshd_config.d/test.conf \\
 && useradd -m -u 1234 -s /bin/bash ops && useradd -m -s /bin/bash ask && useradd -m -s /bin/bash nosudo \\
 && echo 'ask:test-sudo-password' | chpasswd && usermod -p '*' ops && usermod -p '*' nosudo \\
 && printf 'ops ALL=(ALL) NOPASSWD:ALL\\nask ALL=(ALL) ALL\\n' >/etc/sudoers.d/test
ENV container=docker
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
"""
# GPUDOCK_TEST_TOOLS=sid tries the newest that Debian has of Docker, BuildKit, Compose, dnf and zypper; a mirror's copy of
# it may be some weeks old.
TOOLS = os.environ.get("GPUDOCK_TEST_TOOLS", "trixie")
WITH_PACKAGES = {
    "trixie": "FROM {base}\nRUN apt-get update && apt-get install -y --no-install-recommends {packages}\n",
    "sid": """FROM {base}
RUN sed -n 's/ trixie main/ sid main/p' /etc/apt/sources.list >/etc/apt/sources.list.d/sid.list \\
 && apt-get -o Acquire::Check-Valid-Until=false update \\
 && apt-get install -y --no-install-recommends -t sid {packages} python3 \\
 && rm /etc/apt/sources.list.d/sid.list && apt-get update
""",
}[TOOLS]
# A host of rpm's world as far as Debian has it: real dnf, zypper and rpm, with a database of their own, and no apt.
RPM = f"{'dnf5' if TOOLS == 'sid' else 'dnf dnf-plugins-core'} zypper rpm createrepo-c python3-systemd"
WITHOUT_APT = """RUN mkdir -p /etc/pki/rpm-gpg /etc/yum.repos.d /usr/lib/away \\
 && mv /usr/bin/apt* /usr/bin/dpkg* /usr/lib/away && command -v dnf || ln -s dnf5 /usr/bin/dnf \\
 && ! [ -e /etc/dnf/plugins/local.conf ] || sed -i 's/^enabled.*/enabled = 0/' /etc/dnf/plugins/local.conf
"""

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


def docker(*arguments: str, check: bool = True, data: str | None = None) -> str:
    """Run the Docker client that fits the engine and return what it prints."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(
        [client(), *arguments], input=data, capture_output=True, text=True, env=environment, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"docker {shlex.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + ("" if check else done.stderr)


def client() -> str:
    """The engine's own client: another one earlier on PATH may be unable to build."""
    return next((path for path in ("/usr/bin/docker", shutil.which("docker") or "") if Path(path).exists()), "docker")


def reachable() -> str:
    """Why no engine can be used, or an empty text where one can."""
    try:
        docker("info")
    except (RuntimeError, OSError) as error:
        return f"no Docker engine answers ({str(error).strip().splitlines()[-1]}): run ./inv engine.install"
    return ""


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

    def reboot(self) -> None:
        """Stop and start the machine, and wait until it is up."""
        docker("restart", "-t", "10", self.name)
        self.port = _port(self.name)
        self.wait()

    def wait(self) -> None:
        """Wait until systemd and sshd are up."""
        until(
            lambda: "running" in (said := self.sh("systemctl is-system-running; :", check=False)) or "degraded" in said
        )
        until(lambda: ":22 " in self.sh("ss -Hltn", check=False))

    def remove(self) -> None:
        """Remove the host and all it holds."""
        docker("rm", "-f", "-v", self.name, check=False)


def image(kind: str) -> str:
    """Make the image of a kind of host, once a machine: `trixie`, `trixie-docker`, `trixie-rpm`, `bookworm`, `fresh`."""
    recipe = f"{kind}{BARE}{ENGINE}{SYSTEMD}{WITH_PACKAGES}"
    recipe += RPM + WITHOUT_APT if kind.endswith("-rpm") else ""
    tag = f"{PREFIX}/{kind}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    # Test runs side by side must not make the same image twice.
    with (Path(tempfile.gettempdir()) / f"{PREFIX}-{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not docker("image", "ls", "-q", tag).strip():
            _make(kind, tag)
    return tag


def _make(kind: str, tag: str) -> None:
    if kind == "fresh":
        _bootstrap("bookworm", "python3,ca-certificates", tag)
    elif kind.endswith("-docker"):
        base = image(kind.removesuffix("-docker"))
        docker("build", "-t", tag, "-", data=WITH_PACKAGES.format(base=base, packages=ENGINE))
    elif kind.endswith("-rpm"):
        base = image(kind.replace("-rpm", "-docker"))
        docker("build", "-t", tag, "-", data=WITH_PACKAGES.format(base=base, packages=RPM) + WITHOUT_APT)
    else:
        _bootstrap(kind, BARE, f"{tag}-base")
        docker("build", "-t", tag, "-", data=SYSTEMD.format(base=f"{tag}-base"))


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
    host.wait()
    public = key.with_suffix(".pub").read_text()
    for user in host.users:
        home = f"$(getent passwd {user} | cut -d: -f6)"
        folder = f"{home}/.ssh"
        host.sh(
            f"install -d -m 0700 -o {user} {folder}; cat >{folder}/authorized_keys; chown {user} {folder}/*",
            data=public,
        )
    return host


def at(name: str, key: Path) -> TestHost:
    """The host that a running container is."""
    return TestHost(name, _port(name), key)


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


def until(holds: object, seconds: float = 60) -> None:
    """Wait until a function returns something true."""
    assert callable(holds)
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.2)


def until_said(running: subprocess.Popen[str], text: str) -> str:
    """Wait until a program says something on standard error, and return what it has said there so far."""
    assert running.stderr
    said = ""
    while text not in said:
        part = os.read(running.stderr.fileno(), 65536)  # its own buffer would hide lines from communicate()
        assert part, said
        said += part.decode()
    return said


def _port(name: str) -> int:
    return int(docker("port", name, "22").split(":")[-1])


def _bootstrap(release: str, packages: str, tag: str) -> None:
    if not shutil.which("mmdebstrap"):
        raise RuntimeError("test hosts are made with mmdebstrap: apt-get install mmdebstrap")
    hooks = ["--customize-hook=rm -f $1/etc/hostname $1/etc/resolv.conf"]
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", *hooks, release, "-"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as made:
        subprocess.run([client(), "import", "-", tag], stdin=made.stdout, check=True, capture_output=True)
    if made.returncode:
        raise RuntimeError(f"mmdebstrap {release} failed")
