"""NVIDIA's repository for dnf, yum and zypper.

https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
"""

from __future__ import annotations

import re

from gpudock.actions import Action, Run, shell
from gpudock.answers import Answers
from gpudock.questions import Questions, file
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import login
from gpudock.steps.machine import Machine
from gpudock.steps.toolkit.repository import NAME, address, public

DNF_SOURCE = "/etc/yum.repos.d/nvidia-container-toolkit.repo"
ZYPPER_SOURCE = "/etc/zypp/repos.d/nvidia-container-toolkit.repo"
KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-nvidia-container-toolkit"

ZYPPER_LOGIN = "/etc/zypp/credentials.d/gpudock-toolkit"  # named by `credentials=` in an address, by file name alone

# openSUSE has dnf too, for those who like it; zypper is what its owners use. Where dnf is dnf5, it is called dnf.
MANAGER = """manager() {
  names="dnf dnf5 yum zypper"; ! grep -qsiE '^ID(_LIKE)?=.*(suse|sles)' /etc/os-release || names="zypper $names"
  for name in $names; do ! command -v $name >/dev/null || { echo $name; return; }; done; }
"""
QUESTIONS: Questions = {
    "toolkit.manager": question(f"{MANAGER}manager"),
    "toolkit.dnf-source": file(DNF_SOURCE),
    "toolkit.zypper-source": file(ZYPPER_SOURCE),
}

# As in NVIDIA's own file, lists are five minutes old at most.
SECTION = """[{name}]
name={name}
baseurl={base}/{channel}/rpm/$basearch{credentials}
repo_gpgcheck=1
gpgcheck=0
enabled={enabled}
gpgkey=file://{key}
sslverify=1
metadata_expire=300
{login}"""


def manager(machine: Machine, answers: Answers) -> str:
    """The package manager: apt where the distribution has it, else zypper on SUSE, else dnf or yum."""
    return "apt" if machine.apt else answers["toolkit.manager"].out.strip()


def source(name: str) -> str:
    """Where a package manager keeps the repository's file."""
    return ZYPPER_SOURCE if name == "zypper" else DNF_SOURCE


def read_source(name: str, answers: Answers) -> str | None:
    """The text of the repository's file; None where there is none."""
    return answers["toolkit.zypper-source" if name == "zypper" else "toolkit.dnf-source"].file()


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


def channels(text: str | None) -> str:
    """The repositories that the file has switched on, separated by a space."""
    return f"{NAME} {NAME}-experimental" if experimental(text) else NAME


def trust(fingerprint: str, trusted: tuple[str, ...]) -> list[Action]:
    """Let zypper know the key that was checked, so that it need not trust whichever one it is served."""
    if entries(fingerprint, trusted):
        return []
    return [shell("let rpm trust NVIDIA's key", 'rpm --import "$1"', KEY)]


def forget(fingerprints: tuple[str, ...], trusted: tuple[str, ...], before: bytes) -> list[Action]:
    """Take NVIDIA's key out of rpm's database, where it came with gpudock."""
    found = [entry for key in fingerprints for entry in entries(key, trusted) if entry not in before.decode().split()]
    return [Run("have rpm no longer trust NVIDIA's key", ("rpm", "-e", *found))] if found else []


def entries(fingerprint: str, trusted: tuple[str, ...]) -> list[str]:
    """A key's entries in rpm's database, `gpg-pubkey-ID-TIME`: ID is how the fingerprint ends, in rpm 6 all of it."""
    return [entry for entry in trusted if fingerprint.lower().endswith(entry.split("-")[2])]
