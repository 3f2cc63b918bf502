"""NVIDIA's packages by dnf, yum and zypper: which versions there are, installing, holding, and the way back.

https://dnf.readthedocs.io/en/latest/command_ref.html, https://doc.opensuse.org → zypper(8)
"""

from __future__ import annotations

from collections.abc import Mapping

from gpudock.actions import Action, Run, shell
from gpudock.settings import Settings
from gpudock.steps import apt
from gpudock.steps.toolkit import rpm

# What NVIDIA's own repository has of a package, whatever other repositories offer; newest first. $channels are the
# repositories that are switched on; what is locked is listed all the same.
OFFERED = """fetch() { [ "$manager" != zypper ] || zypper --non-interactive refresh $channels; }
offered() {
  case $manager in
  zypper)
    zypper --non-interactive --no-refresh search --details --match-exact --type package \\
      $(printf -- '--repo %s ' $channels) "$1" | awk -F'|' '{ gsub(/ /, "") } $3 == "package" { print $4 }';;
  *) "$manager" -q -y --disableplugin=versionlock $(printf -- '--repo=%s ' $channels) \\
      repoquery --qf '%{version}-%{release}\\n' "$1" | grep .;;
  esac | sort -urV; }
"""

# The same for the channels in the repository's files; nothing where these are not here.
LISTED = f"""{rpm.MANAGER}{OFFERED}manager=$(manager)
channels=$(cat {rpm.DNF_SOURCE} {rpm.ZYPPER_SOURCE} 2>/dev/null |
  awk -F'[][]' '/^\\[/ {{ name = $2 }} /^enabled=1/ {{ print name }}')
[ -z "$channels" ] || fetch >&2
"""

INSTALL = (
    OFFERED
    + """manager=$1 channels=$2 floor=$3 wanted=$4; shift 4; fetch || exit
if [ -z "$wanted" ]; then
  wanted=$(offered "$1" | head -n 1); [ -n "$wanted" ] || { echo "$channels: no $1 for this machine"; exit 1; }
  [ "$(printf '%s\\n' "$floor" "$wanted" | sort -V | head -n 1)" = "$floor" ] || {
    echo "the newest $1 of $channels is $wanted, older than toolkit.minimum_version $floor: is the mirror stale?"
    exit 1; }
fi
mark=-; [ "$manager" != zypper ] || mark="="
for name in "$@"; do set -- "$@" "$name$mark$wanted"; shift; done
case $manager in
zypper) zypper --non-interactive install --oldpackage "$@";;
*) "$manager" -y install "$@";;
esac"""
)

# Of what came, only that goes which nothing else has come to need meanwhile: removing must not spread, and what dnf
# takes for no longer needed is its owner's.
REMOVE = """manager=$1; shift; needed() { ! rpm -e --test "$@" >/dev/null 2>&1; }
if needed "$@"; then
  chosen=; for name in "$@"; do needed $chosen "$name" || chosen="$chosen $name"; done; set -- $chosen
fi
[ $# -gt 0 ] || exit 0
case $manager in
zypper) zypper --non-interactive remove "$@";;
*) "$manager" -y --setopt=clean_requirements_on_remove=0 remove "$@";;
esac"""


def install(
    settings: Settings, manager: str, why: str, channels: str, wanted: str, packages: tuple[str, ...]
) -> list[Action]:
    """Install the packages at the version wanted, or at the channels' newest, over older and newer ones."""
    words = (manager, channels, settings.toolkit.minimum_version, wanted)
    return [Run(why, ("sh", "-ec", INSTALL, "sh", *words, *packages), environment=apt.environment(settings))]


def bring_back(settings: Settings, manager: str, why: str, versions: Mapping[str, str]) -> list[Action]:
    """Install each package at a version of its own, older or newer than what is here."""
    mark, verb = ("=", ("install", "--oldpackage")) if manager == "zypper" else ("-", ("install",))
    words = (f"{name}{mark}{version}" for name, version in versions.items())
    quiet = "--non-interactive" if manager == "zypper" else "-y"
    return [Run(why, (manager, quiet, *verb, *words), environment=apt.environment(settings))]


def remove(manager: str, packages: tuple[str, ...]) -> Action:
    """Take packages away."""
    return shell("remove the packages that came with gpudock", REMOVE, manager, *packages)


def single(doubled: tuple[str, ...]) -> list[Action]:
    """Take away the older one of each package that a transaction which was cut off left twice."""
    why = "finish the package installation that broke off"
    return [Run(why, ("rpm", "-e", "--nodeps", *doubled))] if doubled else []


def hold(manager: str, packages: tuple[str, ...]) -> list[Action]:
    """Lock packages at the version they have."""
    return _locks("hold the toolkit's packages", manager, "addlock", "add", packages)


def release(manager: str, packages: tuple[str, ...]) -> list[Action]:
    """Take the locks of packages away: dnf and zypper would not change a locked one."""
    return _locks("release the toolkit's packages", manager, "removelock", "delete", packages)


def _locks(why: str, manager: str, zypper: str, dnf: str, packages: tuple[str, ...]) -> list[Action]:
    if not packages:
        return []
    if manager == "zypper":
        return [Run(why, ("zypper", "--non-interactive", zypper, *packages))]
    return [Run(why, (manager, "-q", "--disablerepo=*", "versionlock", dnf, *packages))]
