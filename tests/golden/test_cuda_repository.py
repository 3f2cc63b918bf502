"""NVIDIA's CUDA repository as the toolkit's source: its key, its one line, and nothing but the toolkit from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpudock.actions import Run, Write
from gpudock.errors import Refused, UsageError
from gpudock.steps.toolkit import PACKAGES, Toolkit, cuda_repository, package, repository, source, uninstall
from gpudock.steps.toolkit.former import Leaving
from gpudock.steps.toolkit.key import FetchKey
from gpudock.steps.toolkit.record import Record
from tests.conftest import Settle
from tests.golden.toolkit_facts import NONE, on, whys

CUDA = "toolkit.source=cuda"
CHINA = "https://developer.download.nvidia.cn/compute/cuda/repos"
BOOKWORM = on(NONE, version="12", codename="bookworm")


def converged(settle: Settle) -> Toolkit:
    """The facts after `toolkit.repo`."""
    settings = settle(CUDA)
    text = cuda_repository.render(settings, BOOKWORM.engine.machine, repository.KEYRING)
    return replace(
        BOOKWORM, source=text, preferences=cuda_repository.preferences(settings, PACKAGES), key_mode="644",
        fingerprints=(settings.toolkit.cuda_fingerprint,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("distribution", "version", "name"),
    [("debian", "12", "debian12"), ("ubuntu", "22.04", "ubuntu2204"), ("ubuntu", "24.04", "ubuntu2204")],
)
def test_the_cuda_repository_is_one_flat_line(settle: Settle, distribution: str, version: str, name: str) -> None:
    """Preferences first, then the key of its own fingerprint, then the list; a second time nothing."""
    facts = on(NONE, distribution=distribution, version=version)
    plan = source.plan_repository(settle(CUDA), facts)
    assert whys(plan) == [
        "have apt take the toolkit alone from NVIDIA's CUDA repository",
        "fetch NVIDIA's key and check its fingerprint", "add NVIDIA's repository",
    ]  # fmt: skip
    _, fetch, listed = plan
    assert isinstance(fetch, FetchKey)
    assert fetch.fingerprint == "EB693B3035CD5710E231E123A4B469963BF863CC"
    assert fetch.addresses == (f"{CHINA}/{name}/x86_64/3bf863cc.pub",)
    assert isinstance(listed, Write)
    assert listed.text == f"deb [signed-by={repository.KEYRING}] {CHINA}/{name}/x86_64/ /\n"
    assert source.plan_repository(settle(CUDA), converged(settle)) == []
    assert source.plan_channel(settle(CUDA), converged(settle)) == []


def test_nothing_but_the_toolkit_comes_from_there(settle: Settle) -> None:
    """Its drivers would otherwise replace the host's at the next upgrade."""
    pins = source.plan_repository(settle(CUDA), BOOKWORM)[0]
    assert isinstance(pins, Write)
    general, own = pins.text.split("\n\n")
    assert general == 'Package: *\nPin: origin "developer.download.nvidia.cn"\nPin-Priority: -1'
    assert own.startswith(f"Package: {' '.join(PACKAGES)}\n")
    run = package.plan(settle(CUDA), converged(settle))[-1]
    assert isinstance(run, Run)
    assert f"{CHINA}/" in run.argv


def test_the_experimental_channel_is_not_there(settle: Settle) -> None:
    """Said in words, with the source that has it, by both steps."""
    settings = settle(CUDA, "toolkit.channel=experimental")
    for plan in (source.plan_repository, source.plan_channel):
        with pytest.raises(UsageError, match=r"toolkit\.source=github"):
            plan(settings, converged(settle))


@pytest.mark.parametrize(
    "machine",
    [{"version": "13"}, {"version": "12", "architecture": "arm64"}, {"distribution": "ubuntu", "version": "26.04"}],
)
def test_a_machine_without_such_a_tree_is_told_what_else(settle: Settle, machine: dict[str, str]) -> None:
    """Debian 13's tree has no toolkit, and its apt turns from the signature of 12's."""
    with pytest.raises(UsageError, match=r"Debian 12 and Ubuntu 22\.04") as caught:
        source.plan_repository(settle(CUDA), on(NONE, **machine))
    assert caught.value.code == 2


def test_it_is_for_apt_alone(settle: Settle) -> None:
    """Dnf and the others are told so."""
    facts = on(replace(NONE, manager="dnf"), distribution="rocky", version="9.7", architecture="x86_64")
    with pytest.raises(UsageError, match="dnf"):
        source.plan_repository(settle(CUDA), facts)


def test_the_owners_cuda_repository_is_left_alone(settle: Settle) -> None:
    """One at the same address is refused by name; one elsewhere, or switched off, does no harm and is not touched."""
    path = "/etc/apt/sources.list.d/cuda-debian12-x86_64.list"
    entry = f"deb [signed-by=/usr/share/keyrings/cuda-archive-keyring.gpg] {CHINA}/debian12/x86_64/ /\n"
    with pytest.raises(Refused, match="cuda-debian12"):
        source.plan_repository(settle(CUDA), replace(BOOKWORM, others={path: entry}))
    for text in (f"# {entry}", entry.replace(".cn", ".com")):
        assert source.plan_repository(settle(CUDA), replace(converged(settle), others={path: text})) == []
    assert path not in str(source.plan_repository(settle(), replace(NONE, others={path: entry})))


def test_the_way_back_and_the_other_source(settle: Settle) -> None:
    """Uninstalling takes the preferences away, and so does going back to github, with its own key."""
    there = replace(converged(settle), record=Record(made=True))
    assert "remove apt's preferences for NVIDIA's CUDA repository" in whys(
        uninstall.plan(settle(CUDA), Leaving(there, {}))
    )
    assert whys(source.plan_repository(settle(), there)) == [
        "remove apt's preferences for NVIDIA's CUDA repository", "fetch NVIDIA's key and check its fingerprint",
        "add NVIDIA's repository",
    ]  # fmt: skip
