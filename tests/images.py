"""The images of test hosts, made from the distribution's own packages, each once a machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.engine import PREFIX, client, docker

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


def image(kind: str) -> str:
    """Make the image of a kind of host, once a machine: `trixie`, `trixie-docker`, `trixie-rpm`, `bookworm`, `fresh`."""
    recipe = f"{kind}{BARE}{ENGINE}{SYSTEMD}{WITH_PACKAGES}"
    recipe += RPM + WITHOUT_APT if kind.endswith("-rpm") else ""
    tag = f"{PREFIX}/{kind}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    # Test runs side by side must not make the same image twice.
    with (Path(tempfile.gettempdir()) / f"{PREFIX}-{os.getuid()}-{kind}.lock").open("w") as lock:
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


def _bootstrap(release: str, packages: str, tag: str) -> None:
    if not shutil.which("mmdebstrap"):
        raise RuntimeError("test hosts are made with mmdebstrap: apt-get install mmdebstrap")
    hooks = ["--customize-hook=rm -f $1/etc/hostname $1/etc/resolv.conf"]
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", *hooks, release, "-"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as made:
        subprocess.run([client(), "import", "-", tag], stdin=made.stdout, check=True, capture_output=True)
    if made.returncode:
        docker("image", "rm", tag, check=False)  # what came of it so far must not be taken for whole
        raise RuntimeError(f"mmdebstrap {release} failed")
