"""1.1 to 1.3 by dnf, yum and zypper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gpudock.actions import Action, Run, Write
from gpudock.errors import CannotTell
from gpudock.steps.toolkit import PACKAGES, Toolkit, package, rpm, source, uninstall, upgrade
from gpudock.steps.toolkit.former import Leaving
from gpudock.steps.toolkit.record import Record
from tests.conftest import Settle
from tests.golden.toolkit_facts import BASE, ENGINE, NONE, on, whys

SYSTEMS = [
    ("rhel", "8.10", "dnf", rpm.DNF_SOURCE), ("rocky", "9.7", "dnf", rpm.DNF_SOURCE),
    ("almalinux", "10.0", "dnf5", rpm.DNF_SOURCE), ("rhel", "8.2", "yum", rpm.DNF_SOURCE),
    ("amzn", "2023", "dnf", rpm.DNF_SOURCE), ("opensuse-leap", "15.6", "zypper", rpm.ZYPPER_SOURCE),
    ("sles", "15.6", "zypper", rpm.ZYPPER_SOURCE),
]  # fmt: skip
OLD = dict.fromkeys(PACKAGES, "1.18.0-1")
KEY = "gpg-pubkey-f796ecb0-5a2b1c3d"  # as NVIDIA's fingerprint ends


def system(distribution: str, version: str, manager: str) -> Toolkit:
    """A system of rpm's world."""
    machine = {"distribution": distribution, "version": version, "like": "", "architecture": "x86_64"}
    return on(replace(NONE, manager=manager, engine=replace(ENGINE, running=0)), **machine)


def argvs(plan: Sequence[Action]) -> list[str]:
    """The commands of a plan."""
    return [" ".join(action.argv) for action in plan if isinstance(action, Run)]


@pytest.mark.parametrize(("distribution", "version", "manager", "path"), SYSTEMS)
def test_rpm_systems_have_the_same_steps(
    settle: Settle, distribution: str, version: str, manager: str, path: str
) -> None:
    """A .repo file that names the checked key, four packages at one version, and back."""
    facts = system(distribution, version, manager)
    plan = source.plan_repository(settle(), facts)
    trust = ["let rpm trust NVIDIA's key"] if manager == "zypper" else []
    assert whys(plan) == ["fetch NVIDIA's key and check its fingerprint", *trust, "add NVIDIA's repository"]
    assert isinstance(plan[-1], Write)
    assert plan[-1].path == path
    assert f"baseurl={BASE}/stable/rpm/$basearch\nrepo_gpgcheck=1\n" in plan[-1].text
    run = package.plan(settle("toolkit.version=1.20.0"), replace(facts, source=plan[-1].text))[-1]
    assert isinstance(run, Run)
    assert run.argv[4:8] == (manager, "nvidia-container-toolkit", "1.19.1", "1.20.0-1")
    assert run.argv[8:] == PACKAGES
    back = uninstall.plan(settle(), Leaving(replace(facts, source="x", versions=OLD), {}))
    assert whys(back)[:2] == ["remove the packages that came with gpudock", "remove NVIDIA's repository"]
    theirs = "".join(f"{name} 1.18.0-1\n" for name in PACKAGES).encode()
    kept = replace(facts, source="x", versions=OLD, record=Record(True, {"packages": theirs, "source": b"x"}))
    assert len(uninstall.plan(settle(), Leaving(kept, {}))) == 1


def test_the_experimental_repository_counts_where_it_is_switched_on(settle: Settle) -> None:
    """The newest is looked for in what the .repo file has switched on."""
    on_too = rpm.render(settle(), "dnf", experimental=True)
    run = package.plan(settle(), replace(system("rocky", "9.7", "dnf"), source=on_too))[-1]
    assert isinstance(run, Run)
    assert run.argv[5:8] == ("nvidia-container-toolkit nvidia-container-toolkit-experimental", "1.19.1", "")


@pytest.mark.parametrize(
    ("manager", "lock", "unlock"),
    [("dnf", "dnf -q --disablerepo=* versionlock add", "dnf -q --disablerepo=* versionlock delete"),
     ("zypper", "zypper --non-interactive addlock", "zypper --non-interactive removelock")],
)  # fmt: skip
def test_a_lock_is_set_lifted_for_a_change_and_set_again(settle: Settle, manager: str, lock: str, unlock: str) -> None:
    """Dnf and zypper change no locked package, so the lock is off for that while; its owner's comes back too."""
    facts = replace(system("rocky", "9.7", manager), source="x", versions=OLD, held=PACKAGES[:1])
    safe = replace(facts, versions=dict.fromkeys(PACKAGES, "1.20.0-1"))
    assert argvs(package.plan(settle("toolkit.hold=true"), safe)) == [f"{lock} {' '.join(PACKAGES[1:])}"]
    assert argvs(package.plan(settle(), safe)) == [f"{unlock} {PACKAGES[0]}"]
    owners = replace(facts, record=Record(True, {"holds": PACKAGES[0].encode()}))
    commands = argvs(package.plan(settle(), owners))
    assert (commands[0], commands[-1]) == (f"{unlock} {PACKAGES[0]}", f"{lock} {PACKAGES[0]}")
    assert argvs(package.plan(settle(), replace(safe, record=owners.record))) == []


def test_what_a_cut_off_transaction_left_twice_is_mended(settle: Settle) -> None:
    """The older one of the two goes first, though the newer one is all that is wanted."""
    facts = replace(
        system("rocky", "9.7", "dnf"), source="x", versions=dict.fromkeys(PACKAGES, "1.20.0-1"),
        doubled=("libnvidia-container1-1.19.1-1",),
    )  # fmt: skip
    assert argvs(package.plan(settle(), facts))[0] == "rpm -e --nodeps libnvidia-container1-1.19.1-1"


def test_zypper_is_told_the_key_once_and_forgets_it(settle: Settle) -> None:
    """It takes no key that it is served; rpm's database has ours as an entry, which goes unless it was here before."""
    facts = replace(system("sles", "15.6", "zypper"), fingerprints=(settle().toolkit.fingerprint,), key_mode="644")
    assert "let rpm trust NVIDIA's key" in whys(source.plan_repository(settle(), facts))
    known = replace(facts, trusted=("gpg-pubkey-39db7c82-5f6874d5", KEY))
    assert "let rpm trust NVIDIA's key" not in whys(source.plan_repository(settle(), known))
    assert f"rpm -e {KEY}" in argvs(uninstall.plan(settle(), Leaving(known, {})))
    theirs = replace(known, record=Record(True, {"trusted": KEY.encode()}))
    assert f"rpm -e {KEY}" not in argvs(uninstall.plan(settle(), Leaving(theirs, {})))


def test_an_upgrade_stops_where_the_newest_is_here(settle: Settle) -> None:
    """And does not guess where the repository does not answer."""
    facts = replace(system("rocky", "9.7", "dnf"), source="x", versions=dict.fromkeys(PACKAGES, "1.20.0-1"))
    assert upgrade.plan_lists(settle(), upgrade.Offer(facts, "", fresh=False)) == []
    assert upgrade.plan(settle(), upgrade.Offer(facts, "1.20.0-1", fresh=False)) == []
    assert whys(upgrade.plan(settle(), upgrade.Offer(facts, "1.21.0-1", fresh=False)))
    with pytest.raises(CannotTell, match="Could not resolve"):
        upgrade.plan(settle(), upgrade.Offer(facts, "", fresh=False, error="Could not resolve host"))
