"""Packages by apt, without questions, patient with locks, finishing what broke off before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gpudock.actions import Action, Run
from gpudock.settings import Settings
from gpudock.steps.machine import Machine

# DPkg::Lock::Timeout does not cover the lists' lock of `update` (ipspace/netlab#2473): hence the loop. To apt it is no
# failure if no server answers; it is one where there are no older lists to go by.
UPDATE = """limit=$1; shift; waited=0; log=$(mktemp); trap 'rm -f "$log"' EXIT
until apt-get update "$@" >"$log" 2>&1; do
  cat "$log"
  grep -q 'Could not get lock' "$log" && [ $waited -lt $limit ] || exit 100
  echo "another package manager holds apt's lock: waited ${waited}s of ${limit}s"
  sleep 5; waited=$((waited + 5))
done; cat "$log"
! grep -q 'Failed to fetch' "$log" || ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1"""

# `dpkg --configure` leaves a package that was cut off while it unpacked; `apt-get install NAME=VERSION` takes it for
# installed.
MEND = """configure() { dpkg --configure -a --force-confdef --force-confold; }
half=$(dpkg-query -W -f '${db:Status-Eflag} ${binary:Package}\\n' | sed -n 's/^reinstreq //p')
if [ -n "$half" ]; then configure; "$@" --reinstall $half || exit; fi
configure"""


def _options(*settings: str) -> tuple[str, ...]:
    return tuple(part for setting in settings for part in ("-o", setting))


PATIENT = _options("Acquire::Retries=3", "Acquire::http::Timeout=20", "Acquire::https::Timeout=20")


def environment(settings: Settings) -> Mapping[str, str]:
    """The environment for tools that download: proxies, and no questions from packages."""
    return {"DEBIAN_FRONTEND": "noninteractive", **settings.network.environment}


def update(settings: Settings, why: str, source: str = "") -> Run:
    """Fetch package lists: all, or of one file under /etc/apt/sources.list.d, others' troubles left aside."""
    only = _options(
        f"Dir::Etc::sourcelist={source}",
        "Dir::Etc::sourceparts=-",
        "APT::Get::List-Cleanup=0",
        "APT::Update::Error-Mode=any",
    )
    argv = ("sh", "-c", UPDATE, "sh", str(settings.apt.lock_timeout), *PATIENT, *(only if source else ()))
    return Run(why, argv, environment=environment(settings))


def install(settings: Settings, why: str, *packages: str, options: tuple[str, ...] = ()) -> Run:
    """Install packages, as `name` or `name=version`, and wait for a lock as long as apt.lock_timeout says.

    Never removes a package to make room: for Debian's engine apt would take away Docker's containerd.io, by which a
    node of Kubernetes lives, or podman-docker.
    """
    waiting = ("-o", f"DPkg::Lock::Timeout={settings.apt.lock_timeout}")
    keep = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
    argv = (
        "apt-get",
        "install",
        "-y",
        "--no-remove",
        "--no-install-recommends",
        *waiting,
        *keep,
        *PATIENT,
        *options,
        *packages,
    )
    return Run(why, argv, environment=environment(settings))


def mend(settings: Settings, machine: Machine) -> list[Action]:
    """Finish what a package manager that was cut off left half done."""
    return [finish(settings)] if machine.interrupted_packages else []


def finish(settings: Settings) -> Action:
    """Install again what was cut off while it unpacked, and configure what is left."""
    again = install(settings, "finish the package installation that broke off")
    return replace(again, argv=("sh", "-c", MEND, "sh", *again.argv))
