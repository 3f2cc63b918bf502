"""A fix as it is typed on a host: gpudock as its operator calls it, and packages by the host's own program."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpudock.answers import Answers

# What apt's words, in which rules have their fixes, are elsewhere; the longer ones first.
WORDS: Mapping[str, Mapping[str, str]] = {
    "apt": {},
    "dnf": {
        "apt-get update && ": "",
        "apt-get install --only-upgrade": "dnf upgrade",
        "apt-get install": "dnf install",
        "apt-get purge": "dnf remove",
    },
    "zypper": {
        "apt-get update && ": "zypper refresh && ",
        "apt-get install --only-upgrade": "zypper update",
        "apt-get install": "zypper install",
        "apt-get purge": "zypper remove",
    },
}
RELEASE = re.compile(r'^ID(?:_LIKE)?="?([^"\n]*)', re.MULTILINE)


def manager(answers: Answers) -> str:
    """The program that installs packages, by what the distribution is or is like; apt where nothing is known."""
    answer = answers.get("os-release")
    names = " ".join(RELEASE.findall(answer.out if answer else "")).split()
    if any("suse" in name or name.startswith("sle") for name in names):
        return "zypper"
    return "dnf" if {"rhel", "fedora", "centos", "amzn"} & set(names) else "apt"


def typed(fix: str, program: str, manager: str) -> str:
    """A rule's fix for a host whose packages come by `manager`; `program` is `inv` or `fab -H host`."""
    for apt, other in WORDS[manager].items():
        fix = fix.replace(apt, other)
    return fix.replace("{gpudock}", program)
