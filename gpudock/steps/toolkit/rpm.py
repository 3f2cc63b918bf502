"""NVIDIA's repository and packages for dnf, yum and zypper. Plans only: no rpm host was at hand to run them on.

https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
"""

from __future__ import annotations

import re

from gpudock.actions import Action, Run, shell
from gpudock.questions import Answers, Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import apt, login
from gpudock.steps.machine import Machine
from gpudock.steps.toolkit.repository import address, public

DNF_SOURCE = "/etc/yum.repos.d/nvidia-container-toolkit.repo"
ZYPPER_SOURCE = "/etc/zypp/repos.d/nvidia-container-toolkit.repo"
KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-nvidia-container-toolkit"

ZYPPER_LOGIN = "/etc/zypp/credentials.d/gpudock-toolkit"  # named by `credentials=` in an address, by file name alone

READ_SOURCE = (
    f"for file in {DNF_SOURCE} {ZYPPER_SOURCE}; do [ ! -e $file ] || exec cat $file; done; exec cat {DNF_SOURCE}"
)
MANAGERS = "for name in dnf5 dnf yum zypper; do ! command -v $name >/dev/null || { echo $name; exit; }; done"
QUESTIONS: Questions = {"toolkit.rpm-source": question(READ_SOURCE), "toolkit.manager": question(MANAGERS)}

SECTION = """[{name}]
name={name}
baseurl={base}/{channel}/rpm/$basearch{credentials}
repo_gpgcheck=1
gpgcheck=0
enabled={enabled}
gpgkey=file://{key}
sslverify=1
{login}"""


def manager(machine: Machine, answers: Answers) -> str:
    """The package manager: apt where the distribution has it, else the first of dnf5, dnf, yum, zypper."""
    return "apt" if machine.apt else answers["toolkit.manager"].out.strip()


def source(name: str) -> str:
    """Where a package manager keeps the repository's file."""
    return ZYPPER_SOURCE if name == "zypper" else DNF_SOURCE


def render(settings: Settings, manager: str, *, experimental: bool) -> str:
    """Write the .repo file: signed metadata, as NVIDIA's own, but with the key that was checked.

    A mirror's login stands in it for dnf and yum, which have no file of their own for that.
    """
    pair = login.given(address(settings))
    inside = f"username={pair[0]}\npassword={pair[1]}\n" if pair and manager != "zypper" else ""
    named = f"?credentials={ZYPPER_LOGIN.rpartition('/')[2]}" if pair and manager == "zypper" else ""
    channels = (("", "stable", True), ("-experimental", "experimental", experimental))
    return "\n".join(
        SECTION.format(
            name=f"nvidia-container-toolkit{suffix}", base=public(settings), channel=channel, enabled=int(on), key=KEY,
            credentials=named, login=inside,
        )
        for suffix, channel, on in channels
    )  # fmt: skip


def zypper_login(settings: Settings) -> str | None:
    """The file of a mirror's login for zypper; None where it has none."""
    pair = login.given(address(settings))
    return f"username={pair[0]}\npassword={pair[1]}\n" if pair else None


def private(text: str) -> bool:
    """Whether a .repo file holds a login."""
    return "\npassword=" in text or "\nusername=" in text


def experimental(text: str | None) -> bool:
    """Whether a .repo file has the experimental channel switched on."""
    return bool(re.search(r"^\[[^\]]*experimental\](?:\n(?!\[).*)*\nenabled=1$", text or "", re.MULTILINE))


def install(settings: Settings, name: str, why: str, packages: tuple[str, ...], *, there: bool) -> list[Action]:
    """Install the four packages at the version of the settings, or the newest; `there` tells that some are here.

    With a version, dnf's `install` goes up or down to it (https://dnf.readthedocs.io, "Install Command"); without one
    it leaves what is there, so that `upgrade` has to follow. zypper's `install` upgrades by itself.
    """
    version = settings.toolkit.version
    pinned = tuple(f"{package}-{version}" if version else package for package in packages)
    environment = apt.environment(settings)
    if name == "zypper":
        pinned = tuple(f"{package}={version}" if version else package for package in packages)
        argv = ("zypper", "--non-interactive", "--gpg-auto-import-keys", "install", "--oldpackage", *pinned)
        return [Run(why, argv, environment=environment)]
    actions: list[Action] = [Run(why, (name, "-y", "install", "--allowerasing", *pinned), environment=environment)]
    if there and not version:
        actions.append(
            Run("bring it to the newest version", (name, "-y", "upgrade", *packages), environment=environment)
        )
    return actions


def remove(name: str, packages: tuple[str, ...]) -> Action:
    """Take packages away."""
    quiet = ("--non-interactive",) if name == "zypper" else ("-y",)
    return Run("remove the toolkit's packages", (name, *quiet, "remove", *packages))


def trust() -> Action:
    """Let rpm know the key that was checked."""
    return shell("let rpm trust NVIDIA's key", 'rpm --import "$1"', KEY)
