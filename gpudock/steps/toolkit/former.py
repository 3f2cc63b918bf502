"""The packages' way back: what came with gpudock goes, and what was here before has its former version again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gpudock.actions import Action, Run
from gpudock.answers import Answers
from gpudock.questions import Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import apt
from gpudock.steps.gpu_mode import numbers
from gpudock.steps.toolkit import facts, package, record, rpm_package
from gpudock.steps.toolkit.facts import PACKAGES, Toolkit

# What the repositories offer of each package that was here before, a line a version.
OFFERS = (
    rpm_package.LISTED
    + """[ -s "$1/before/packages" ] || exit 0
while read -r name version; do
  if [ -n "$channels" ]; then offered "$name"
  else apt-cache madison "$name" | awk -F' *[|] *' '{ print $2 }'; fi | sed "s/^/$name /"
done <"$1/before/packages\""""
)
# Of what came along, only that goes which nothing else has come to need meanwhile: removing must not spread.
REMOVE = """lock=$1; shift; brought=" $* "; spreads() {
  for gone in $(apt-get -s remove "$@" | sed -n 's/^Remv \\([^ ]*\\).*/\\1/p'); do
    case "$brought" in *" $gone "*) ;; *) return 0;; esac; done; return 1; }
if spreads "$@"; then
  chosen=
  for name in "$@"; do spreads $chosen "$name" || chosen="$chosen $name"; done; set -- $chosen
fi
[ $# -eq 0 ] || apt-get -y --allow-change-held-packages -o DPkg::Lock::Timeout="$lock" purge "$@\""""
BACK = """lock=$1 brought=" $2 "; shift 2
apt="apt-get -y --no-install-recommends --allow-downgrades --allow-change-held-packages -o DPkg::Lock::Timeout=$lock"
for gone in $($apt -s install "$@" | sed -n 's/^Remv \\([^ ]*\\).*/\\1/p'); do
  case "$brought" in *" $gone "*) ;; *) echo "$gone needs the newer version, which stays"; exit 0;; esac; done
exec $apt install "$@\""""


@dataclass(frozen=True)
class Leaving:
    """The toolkit, and the versions that the repositories offer of each package that was here before gpudock."""

    toolkit: Toolkit
    offered: Mapping[str, tuple[str, ...]]


def questions(settings: Settings) -> Questions:
    """The toolkit's questions, and what the repositories offer."""
    return {**facts.questions(settings), "toolkit.offers": question(OFFERS, record.folder(settings))}


def read(settings: Settings, answers: Answers) -> Leaving:
    """Make a Leaving of the answers."""
    rows = [line.split() for line in answers["toolkit.offers"].out.splitlines()]
    offered: dict[str, tuple[str, ...]] = {}
    for name, version in (row for row in rows if len(row) == 2):
        offered[name] = (*offered.get(name, ()), version)
    return Leaving(facts.read(settings, answers), offered)


def packages(settings: Settings, leaving: Leaving) -> list[Action]:
    """Unlock what gpudock locked, bring back what was here before, remove the rest.

    apt, told of a former version, takes away by itself what cannot be with it, if it is ours; dnf and zypper do not, so
    there ours goes first.
    """
    toolkit, noted = leaving.toolkit, leaving.toolkit.record
    ours = _ours(toolkit)
    released = tuple(name for name in toolkit.held if name not in noted.holds)
    removal = _removal(settings, toolkit, ours)
    back = _former(settings, leaving)
    owners = tuple(name for name in PACKAGES if name in noted.holds and name in noted.versions) if back else ()
    automatic = tuple(name for name in PACKAGES if name in noted.automatic and name in toolkit.versions)
    return [
        *package.unlock(toolkit.manager, tuple(dict.fromkeys([*released, *owners]))),
        *(back + removal if toolkit.manager == "apt" else removal + back),
        *package.lock(toolkit.manager, owners),
        *([Run("have apt know again what came by itself", ("apt-mark", "auto", *automatic))] if automatic else []),
    ]


def _ours(toolkit: Toolkit) -> tuple[str, ...]:
    if toolkit.manager == "apt":
        return tuple(name for name in PACKAGES if name in toolkit.record.brought and name in toolkit.versions)
    return tuple(name for name in PACKAGES if name in toolkit.versions and name not in toolkit.record.versions)


def _removal(settings: Settings, toolkit: Toolkit, ours: tuple[str, ...]) -> list[Action]:
    if not ours:
        return []
    if toolkit.manager != "apt":
        return [rpm_package.remove(toolkit.manager, ours)]
    rest = tuple(name for name in toolkit.record.brought if name not in PACKAGES)
    argv = ("sh", "-ec", REMOVE, "sh", str(settings.apt.lock_timeout), *ours, *rest)
    return [Run("remove the packages that came with gpudock", argv, environment=apt.environment(settings))]


def _changed(leaving: Leaving) -> Mapping[str, str]:
    """The packages that were here before at another version than now, with that version."""
    now = leaving.toolkit.versions
    return {name: old for name, old in leaving.toolkit.record.versions.items() if now.get(name, old) != old}


def _former(settings: Settings, leaving: Leaving) -> list[Action]:
    """Bring packages back to their former versions: all of them, as they need one another, or none."""
    toolkit, changed = leaving.toolkit, _changed(leaving)
    if not changed or left(leaving):
        return []
    version = ", ".join(sorted(set(changed.values())))
    unsafe = min(map(numbers, changed.values())) < numbers(settings.toolkit.minimum_version)
    why = f"bring the toolkit back to {version}" + (", which has CVE-2026-24260, as before" if unsafe else "")
    if toolkit.manager != "apt":
        return rpm_package.bring_back(settings, toolkit.manager, why, changed)
    lock, brought = str(settings.apt.lock_timeout), " ".join(toolkit.record.brought)
    words = (lock, brought, *(f"{name}={old}" for name, old in changed.items()))
    return [Run(why, ("sh", "-ec", BACK, "sh", *words), environment=apt.environment(settings))]


def left(leaving: Leaving) -> list[str]:
    """What is said of packages that stay at their newer version."""
    changed, now = _changed(leaving), leaving.toolkit.versions
    if all(old in leaving.offered.get(name, ()) for name, old in changed.items()):
        return []
    return [f"{name} stays at {now[name]}, as no repository has all of {old}" for name, old in changed.items()]
