"""What machine this is: distribution, architecture, init, GPU, and who operates it. Every step may ask it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from gpudock.answers import Answers
from gpudock.questions import Questions, file, shell
from gpudock.settings import Settings

# Cheap on a host whose GPU sleeps: nvidia-smi alone takes seconds without the persistence daemon. A line with the
# version, then one for each GPU.
DRIVER = """if read -r version 2>/dev/null </proc/driver/nvidia/version; then printf '%s\\n' "$version"
  for gpu in /proc/driver/nvidia/gpus/*; do [ ! -e "$gpu" ] || echo "$gpu"; done
elif all=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null); then
  printf '%s\\n' "${all%%
*}" "$all"; fi"""

# In a domain somebody may be `CORP\tom smith`, which `echo` would make a tab of.
OPERATOR = "printf '%s\\n' \"${SUDO_USER:-root}\" ${SUDO_UID:-0} ${SUDO_GID:-0}"

# Where distributions keep the certificates of all authorities that the machine trusts, a company's own among them:
# Debian and Ubuntu, the RHEL family, SUSE.
AUTHORITIES = """for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \\
  /etc/ssl/ca-bundle.pem; do
  [ -s $bundle ] && { sha256sum $bundle; break; }; done; :"""

# The open module says `Open Kernel Module for x86_64  565.57.01`, the closed one `x86_64 Kernel Module  580.173.02`,
# nvidia-smi the number alone, or why it has failed.
VERSION = re.compile(r"(?:^|Module[^.]*\s)(\d+\.[\d.]+)")

# What dpkg has begun and not finished. Its own --audit reads for 6 ms, and tells what `--configure` does not mend too.
HALF_DONE = """set -- /var/lib/dpkg/updates/[0-9]*; [ ! -e "$1" ] || exit 0
grep -qsE '^Status: .*(reinstreq|half-|unpacked|triggers-)' /var/lib/dpkg/status"""

QUESTIONS: Questions = {
    "os-release": file("/etc/os-release"),
    "architecture": shell("dpkg --print-architecture 2>/dev/null || uname -m"),
    "init": shell("[ -d /run/systemd/system ] && echo systemd || echo other"),
    "driver": shell(DRIVER),
    "operator": shell(OPERATOR),
    "limits": shell("ulimit -n 64 && ulimit -n 65"),  # who may not raise limits may still lower them
    "authorities": shell(AUTHORITIES),
    "dpkg.half-done": shell(HALF_DONE),
}


@dataclass(frozen=True)
class Machine:
    """A host's nature. `driver` is the NVIDIA driver's version, empty where none answers.

    `raises_limits` is false inside a container or sandbox that may not raise resource limits. `authorities` is the
    file with the certificates that the machine trusts, empty where there is none, and its SHA-256.
    """

    distribution: str
    like: str
    version: str
    codename: str
    architecture: str
    systemd: bool
    driver: str
    user: str
    uid: int
    gid: int
    interrupted_packages: bool
    raises_limits: bool
    authorities: str = ""
    authorities_hash: str = ""

    @property
    def apt(self) -> bool:
        """Whether packages come by apt: Debian, Ubuntu and what derives from them."""
        return bool({"debian", "ubuntu"} & {self.distribution, *self.like.split()})

    @property
    def upstream(self) -> str:
        """The distribution whose packages fit: `ubuntu` or `debian`."""
        return "ubuntu" if "ubuntu" in (self.distribution, *self.like.split()) else "debian"


def read(answers: Answers) -> Machine:
    """Make a Machine of the answers to QUESTIONS."""
    release = _release(answers["os-release"].file() or "")
    user, uid, gid = answers["operator"].out.splitlines()
    digest, _, authorities = answers["authorities"].out.strip().partition("  ")
    return Machine(
        distribution=release.get("ID", ""),
        like=release.get("ID_LIKE", ""),
        version=release.get("VERSION_ID", ""),
        codename=release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", ""),
        architecture=answers["architecture"].out.strip(),
        systemd=answers["init"].out.strip() == "systemd",
        driver=found.group(1) if (found := VERSION.search(answers["driver"].out.partition("\n")[0])) else "",
        user=user,
        uid=int(uid),
        gid=int(gid),
        interrupted_packages=answers["dpkg.half-done"].ok,
        raises_limits=may_raise(answers),
        authorities=authorities,
        authorities_hash=digest,
    )


@cache
def _release(text: str) -> Mapping[str, str]:
    """What os-release says. Hosts have the same, and each step reads it."""
    return dict(word.split("=", 1) for word in shlex.split(text, comments=True) if "=" in word)


def gpus(answers: Answers) -> int:
    """How many GPUs the driver has."""
    return max(len(answers["driver"].out.splitlines()) - 1, 0)


def wants_gpu(settings: Settings, machine: Machine) -> bool:
    """Whether the container is to see GPUs."""
    return settings.gpu.use != "off" and bool(machine.driver)


def may_raise(answers: Answers) -> bool:
    """Whether the host may raise resource limits."""
    return answers["limits"].ok
