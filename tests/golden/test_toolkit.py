"""1.1 to 1.3: repository, channel and packages, by apt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpudock.actions import Run, Write
from gpudock.errors import ProblemsFound, Refused, UsageError
from gpudock.step import Blocked
from gpudock.steps import toolkit
from gpudock.steps.toolkit import PACKAGES, configure, containers, package, repository, restart, rpm, source, upgrade
from gpudock.steps.toolkit.record import Record
from tests.conftest import Settle
from tests.golden.toolkit_facts import BASE, INSTALLED, NONE, SIGNED, on, whys


def test_the_repository_is_templated_never_downloaded(settle: Settle) -> None:
    """Key by fingerprint, then NVIDIA's two lines with signed-by, experimental switched off."""
    plan = source.plan_repository(settle(), NONE)
    assert whys(plan) == ["fetch NVIDIA's key and check its fingerprint", "add NVIDIA's repository"]
    assert isinstance(plan[1], Write)
    assert plan[1].text == f"{SIGNED}{BASE}/stable/deb/$(ARCH) /\n#{SIGNED}{BASE}/experimental/deb/$(ARCH) /\n"


def test_a_machine_that_trusts_nobody_gets_authorities_before_the_key(settle: Settle) -> None:
    """A minimal Debian has no ca-certificates, and apt no TLS without them."""
    bare, usual = (whys(source.plan_repository(settle(), facts)) for facts in (on(NONE, authorities=""), NONE))
    assert bare.index("install TLS's authorities") < next(i for i, why in enumerate(bare) if "key" in why)
    assert "install TLS's authorities" not in usual


def test_what_is_here_is_noted_before_the_first_change(settle: Settle) -> None:
    """Whichever step changes something first makes the record first; a step with nothing to do makes none."""
    fresh = Record()
    first = [
        source.plan_repository(settle(), replace(NONE, record=fresh)),
        package.plan(settle(), replace(NONE, record=fresh, source="x")),
        configure.plan(settle(), replace(INSTALLED, record=fresh)),
    ]
    assert {whys(plan)[0] for plan in first} == {"note what is here before"}
    assert package.plan(settle(), replace(INSTALLED, record=fresh)) == []


LIST = f"# mine\ndeb https://example.com/a ./\ndeb {BASE}/ubuntu18.04/$(ARCH) /\n"
STANZAS = f"Types: deb\nURIs: https://example.com/a\nSuites: ./\n\n# NVIDIA\nTypes: deb\nURIs: {BASE}/stable/deb/amd64\nSuites: /\n"


@pytest.mark.parametrize(("path", "text", "off"), [("nvidia-docker.list", LIST, 1), ("nvidia.sources", STANZAS, 3)])
def test_an_older_entry_is_switched_off_and_brought_back(settle: Settle, path: str, text: str, off: int) -> None:
    """Only NVIDIA's lines or stanza become comments, the diff shows them, and the way back gives the same bytes."""
    place = f"/etc/apt/sources.list.d/{path}"
    plan = source.plan_repository(settle(), replace(NONE, others={place: text}))
    write = plan[0]
    assert isinstance(write, Write)
    assert write.text.count(repository.MARK) == off
    assert "https://example.com/a" in write.text
    assert write.diff()
    assert whys(source.plan_repository(settle(), replace(NONE, others={place: write.text})))[0].startswith("fetch")
    back = repository.switch_on({place: write.text})[0]
    assert isinstance(back, Write)
    assert back.text == text


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [("stable", False, 0), ("experimental", True, 0), ("experimental", False, 1), ("stable", True, 1)],
)
def test_the_channel_is_switched_only_where_it_differs(settle: Settle, wanted: str, there: bool, expected: int) -> None:
    """Both ways, and not at all where it is right; the same for apt and for dnf."""
    settings = settle(f"toolkit.channel={wanted}")
    for manager, text in [
        ("apt", repository.render(settings, experimental=there)), ("dnf", rpm.render(settings, "dnf", experimental=there)),
    ]:  # fmt: skip
        facts = replace(NONE, source=text, manager=manager)
        assert facts.experimental is there
        assert len(source.plan_channel(settings, facts)) == expected


@pytest.mark.parametrize(
    ("version", "installed", "expected"),
    [
        ("", "1.20.0-1", False),
        ("", "1.19.1-1", False),
        ("", "1.18.0-1", True),
        ("1.19.1", "1.20.0-1", True),
        ("1.20.0", "1.20.0-1", False),
    ],
)
def test_a_version_below_the_security_floor_is_replaced(
    settle: Settle, version: str, installed: str, expected: bool
) -> None:
    """Installed and safe stays; CVE-2026-24260 or another pin than asked for does not."""
    facts = replace(INSTALLED, versions=dict.fromkeys(PACKAGES, installed))
    plan = package.plan(settle(f"toolkit.version='{version}'"), facts)
    assert bool(plan) is expected
    if expected:
        assert isinstance(plan[-1], Run)
        assert plan[-1].argv[4:6] == ("1.19.1", f"{version}-1" if version else "")
        assert plan[-1].argv[-4:] == PACKAGES


def test_a_vulnerable_pin_needs_force(settle: Settle) -> None:
    """A version older than the floor is refused with the CVE's number, and taken where it is forced."""
    facts = replace(NONE, source="x")
    with pytest.raises(Refused, match="CVE-2026-24260"):
        package.plan(settle("toolkit.version=1.18.0"), facts)
    assert package.plan(settle("toolkit.version=1.18.0", "toolkit.allow_vulnerable=true"), facts)


def test_a_half_installed_toolkit_is_completed(settle: Settle) -> None:
    """Three of the four packages, or four of two versions, are not the toolkit."""
    assert package.plan(settle(), replace(INSTALLED, versions=dict.fromkeys(PACKAGES[:3], "1.20.0-1")))
    mixed = {**INSTALLED.versions, PACKAGES[3]: "1.19.1-1"}
    assert package.plan(settle(), replace(INSTALLED, versions=mixed))


def test_a_hold_is_set_and_released_and_others_holds_stay(settle: Settle) -> None:
    """toolkit.hold holds what is loose; off again releases what gpudock held, not what its owner did."""
    held = package.plan(settle("toolkit.hold=true"), replace(INSTALLED, held=PACKAGES[:1]))
    assert isinstance(held[0], Run)
    assert held[0].argv == ("apt-mark", "hold", *PACKAGES[1:])
    owners = Record(made=True, before={"holds": PACKAGES[0].encode()})
    released = package.plan(settle(), replace(INSTALLED, held=PACKAGES, record=owners))
    assert isinstance(released[0], Run)
    assert released[0].argv == ("apt-mark", "unhold", *PACKAGES[1:])
    assert package.plan(settle(), replace(INSTALLED, held=PACKAGES, record=Record())) == []


def test_a_hold_outlives_a_change_of_version(settle: Settle) -> None:
    """Apt drops it with the change: set anew afterwards, the owner's too."""
    old = dict.fromkeys(PACKAGES, "1.18.0-1")
    for settings, facts, names in [
        (settle("toolkit.hold=true"), replace(INSTALLED, versions=old, held=PACKAGES), PACKAGES),
        (settle(), replace(INSTALLED, versions=old, held=PACKAGES[:1], record=Record()), PACKAGES[:1]),
    ]:  # fmt: skip
        last = package.plan(settings, facts)[-1]
        assert isinstance(last, Run)
        assert last.argv == ("apt-mark", "hold", *names)


def test_an_upgrade_goes_to_the_newest_and_no_further(settle: Settle) -> None:
    """Lists first, unless they are fresh; then the channel's newest, and nothing where that is here."""
    offer = upgrade.Offer(INSTALLED, "1.20.0-1", fresh=False)
    assert whys(upgrade.plan_lists(settle(), offer))[0] == "fetch NVIDIA's package lists"
    assert upgrade.plan_lists(settle(), replace(offer, fresh=True)) == []
    assert upgrade.plan(settle(), offer) == []
    assert whys(upgrade.plan(settle(), replace(offer, newest="1.21.0-1")))[-1] == (
        "bring the toolkit from 1.20.0-1 to 1.21.0-1"
    )


def test_steps_say_which_one_they_wait_for(settle: Settle) -> None:
    """A step that needs another one names it instead of guessing."""
    for plan, by in [
        (package.plan, "toolkit.repo"), (source.plan_channel, "toolkit.repo"), (configure.plan, "toolkit.package"),
        (restart.plan, "toolkit.configure"),
    ]:  # fmt: skip
        with pytest.raises(Blocked) as caught:
            plan(settle(), NONE)
        assert caught.value.by == by


def test_setup_leaves_the_toolkit_out_without_a_gpu(settle: Settle) -> None:
    """No driver: skipped with the reason, or refused where a GPU is required."""
    facts = on(NONE, driver="")
    assert toolkit.skip(settle(), facts) == "no NVIDIA driver here"
    assert toolkit.skip(settle(), NONE) is None
    assert toolkit.skip(settle("gpu.use=off"), NONE) == "gpu.use is off"
    with pytest.raises(Refused):
        toolkit.skip(settle("gpu.use=required"), facts)


@pytest.mark.parametrize(
    ("distribution", "like", "version", "architecture"),
    [
        ("alpine", "", "3.20", "x86_64"), ("fedora", "", "42", "x86_64"), ("debian", "", "10", "amd64"),
        ("ubuntu", "debian", "18.04", "amd64"), ("rhel", "fedora", "7.9", "x86_64"), ("debian", "", "13", "ppc64el"),
        ("amzn", "centos rhel fedora", "2", "x86_64"),
    ],
)  # fmt: skip
def test_an_unsupported_system_ends_with_code_2_and_what_is(
    settle: Settle, distribution: str, like: str, version: str, architecture: str
) -> None:
    """Nothing is guessed where NVIDIA makes no packages."""
    facts = on(NONE, distribution=distribution, like=like, version=version, architecture=architecture)
    with pytest.raises(UsageError, match="Amazon Linux 2023") as caught:
        source.plan_repository(settle(), facts)
    assert caught.value.code == 2


def test_containers_that_lost_their_gpus_are_named(settle: Settle) -> None:
    """With the command that brings the GPUs back, and code 4."""
    assert containers.plan(settle(), containers.Lost(())) == []
    with pytest.raises(ProblemsFound, match="docker restart train-1 serve") as caught:
        containers.plan(settle(), containers.Lost(("train-1", "serve")))
    assert caught.value.code == 4
