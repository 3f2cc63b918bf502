"""1. The toolkit's plans are pure: facts and settings in, actions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gpudock.actions import Action, Run, Write
from gpudock.converge import Blocked
from gpudock.errors import ProblemsFound, Refused, UsageError
from gpudock.steps import toolkit
from gpudock.steps.engine import Engine
from gpudock.steps.machine import Machine
from gpudock.steps.toolkit import (
    PACKAGES,
    Toolkit,
    backups,
    configure,
    containers,
    daemon,
    package,
    repository,
    restart,
    rpm,
    source,
    uninstall,
    upgrade,
)  # fmt: skip
from gpudock.steps.toolkit.change import DaemonFile, Replace, decode, digest, encode
from gpudock.steps.toolkit.record import Record
from tests.conftest import Settle

DEBIAN = Machine("debian", "", "13", "trixie", "amd64", True, "580.95.05", "ops", 1234, 1234, False, True)
ENGINE = Engine(
    DEBIAN, True, "26.1.5", "", "/usr/bin/docker", True, ("/usr/bin/docker", "compose"), True, ("ops",), False,
    {"runc": {}}, False, 2, False, False,
)  # fmt: skip
NOTED = Record(made=True)
NONE = Toolkit(ENGINE, True, (), "", None, {}, {}, record=NOTED, running=("db", "web"))
INSTALLED = replace(NONE, source="x", versions=dict.fromkeys(PACKAGES, "1.20.0-1"))
SIGNED = "deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg] "
BASE = "https://nvidia.github.io/libnvidia-container"


def whys(plan: Sequence[Action]) -> list[str]:
    """The log lines of a plan."""
    return [action.why for action in plan]


def with_daemon(text: str | None, **more: Any) -> Toolkit:
    """An installed toolkit beside this daemon.json."""
    return replace(INSTALLED, daemon=DaemonFile(daemon.PATH, text), **more)


def on(facts: Toolkit, **machine: Any) -> Toolkit:
    """The same facts on another machine."""
    return replace(facts, engine=replace(facts.engine, machine=replace(facts.engine.machine, **machine)))


def test_the_repository_is_templated_never_downloaded(settle: Settle) -> None:
    """Key by fingerprint, then NVIDIA's two lines with signed-by, experimental switched off."""
    plan = source.plan_repository(settle(), NONE)
    assert whys(plan) == ["fetch NVIDIA's key and check its fingerprint", "add NVIDIA's repository"]
    assert isinstance(plan[1], Write)
    assert plan[1].text == f"{SIGNED}{BASE}/stable/deb/$(ARCH) /\n#{SIGNED}{BASE}/experimental/deb/$(ARCH) /\n"


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


def test_daemon_json_keeps_every_other_key(settle: Settle) -> None:
    """The runtime is added; order, indentation, siblings inside `features` and `runtimes` stay."""
    before = '{\n  "debug": true,\n  "runtimes": {"kata": {"path": "kata"}},\n  "features": {"buildkit": true}\n}\n'
    settings = settle("gpu.mode=cdi")
    plan = configure.plan(settings, with_daemon(before))
    assert whys(plan)[:2] == ["add the nvidia runtime to daemon.json", "note that CDI needs a start of Docker"]
    assert isinstance(plan[0], Replace)
    assert plan[0].text is not None
    after = daemon.parse(plan[0].text)
    assert list(after) == ["debug", "runtimes", "features"]
    assert after["runtimes"] == {"kata": {"path": "kata"}, "nvidia": daemon.RUNTIME}
    assert after["features"] == {"buildkit": True, "cdi": True}
    assert plan[0].text.splitlines()[1].startswith('  "debug"')
    assert '+  "runtimes"' in plan[0].diff() or '+    "nvidia"' in plan[0].diff()
    assert whys(configure.plan(settings, with_daemon(plan[0].text))) == ["generate the CDI specification"]


@pytest.mark.parametrize(
    "text",
    ['{"a": 1,}', '{"a": 1} garbage', '{"a": 1} {"b": 2}', "[]", '{"a": NaN}', '{"a": 1, "a": 2}', '{"runtimes": []}',
     '{"features": 1}', decode(b'{"a": "caf\xe9"}')],
)  # fmt: skip
def test_a_broken_daemon_json_is_refused_untouched(settle: Settle, text: str) -> None:
    """What does not parse as one object, or would lose something when written again, is the owner's to mend."""
    with pytest.raises(Refused, match="untouched"):
        configure.plan(settle(), with_daemon(text))


@pytest.mark.parametrize("text", [None, "", "\n", '{"runtimes": null}', "\ufeff{}", "\ufeff"])
def test_an_empty_daemon_json_is_filled(settle: Settle, text: str | None) -> None:
    """No file, an empty one, null runtimes, and a byte order mark are all fine to begin with."""
    plan = configure.plan(settle(), with_daemon(text))
    assert isinstance(plan[-1], Replace)
    assert daemon.parse(plan[-1].text) == {"runtimes": {"nvidia": daemon.RUNTIME}}


def test_a_runtime_of_the_owners_is_kept_as_it_is(settle: Settle) -> None:
    """Own arguments, which nvidia-ctk would drop, are no reason to write anything."""
    text = '{"runtimes": {"nvidia": {"path": "/opt/nvidia-container-runtime", "runtimeArgs": ["--debug"]}}}'
    assert configure.plan(settle(), with_daemon(text)) == []


def test_runtimes_by_flags_are_not_put_into_the_file_too(settle: Settle) -> None:
    """Dockerd does not start with the same key as a flag and in the file: refused, or left where it names ours."""
    flagged = replace(INSTALLED, daemon=DaemonFile(daemon.PATH, None, flags=("--add-runtime=kata=/usr/bin/kata",)))
    with pytest.raises(Refused, match="--add-runtime=kata"):
        configure.plan(settle(), flagged)
    known = replace(ENGINE, runtimes={"nvidia": {}})
    assert configure.plan(settle(), replace(flagged, engine=known)) == []


def test_docker_is_reloaded_not_restarted(settle: Settle) -> None:
    """A reload takes the runtime up, so no container stops, even on a daemon older than the toolkit."""
    plan = restart.plan(settle(), with_daemon('{"runtimes": {"nvidia": {}}}', outdated=True))
    assert isinstance(plan[0], Run)
    assert plan[0].argv[4] == "reload"
    assert (
        restart.plan(settle(), with_daemon(None, engine=replace(ENGINE, runtimes={"nvidia": {}}), outdated=True)) == []
    )


def test_a_restart_that_stops_containers_is_refused(settle: Settle) -> None:
    """With gpus, a daemon older than the toolkit must start anew: only with consent, live-restore, or nothing running."""
    facts = with_daemon('{"runtimes": {"nvidia": {}}}', outdated=True)
    with pytest.raises(Refused, match="db, web") as caught:
        restart.plan(settle("gpu.mode=gpus"), facts)
    assert "live-restore" in str(caught.value)
    idle, alive = replace(ENGINE, running=0), replace(ENGINE, live_restore=True)
    for settings, known in [
        (settle("gpu.mode=gpus"), idle), (settle("gpu.mode=gpus"), alive),
        (settle("gpu.mode=gpus", "engine.stop_containers=true"), ENGINE),
    ]:  # fmt: skip
        plan = restart.plan(settings, replace(facts, engine=known))
        assert isinstance(plan[0], Run)
        assert plan[0].argv[4] == "restart"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(INSTALLED, engine=replace(ENGINE, client="/snap/bin/docker")), "Snap"),
        (replace(INSTALLED, root="/var/snap/docker/common/var-lib-docker"), "Snap"),
        (replace(INSTALLED, engine=replace(ENGINE, desktop=True)), "Docker Desktop"),
        (replace(INSTALLED, engine=replace(ENGINE, rootless=True)), "systemctl --user"),
    ],
)
def test_engines_of_another_kind_have_words_of_their_own(settle: Settle, facts: Toolkit, said: str) -> None:
    """They do not read /etc/docker/daemon.json, so it is not written for them."""
    for plan in (configure.plan, restart.plan):
        with pytest.raises(Refused, match=said):
            plan(settle(), facts)


def test_cdi_is_refused_where_docker_or_compose_cannot(settle: Settle) -> None:
    """Docker before 26.1 does not read the specification, Compose v1 takes its names for paths: exit code 2."""
    for engine in (replace(ENGINE, version="25.0.3"), replace(ENGINE, compose=("/usr/bin/docker-compose",))):
        with pytest.raises(UsageError, match=r"gpu\.mode=runtime"):
            configure.plan(settle("gpu.mode=cdi"), replace(INSTALLED, engine=engine))


def test_cdi_is_switched_on_only_before_docker_28_2(settle: Settle) -> None:
    """From 28.2 on it is on by default, and daemon.json needs the runtime alone."""
    plan = configure.plan(settle("gpu.mode=cdi"), replace(INSTALLED, engine=replace(ENGINE, version="28.2.0")))
    assert whys(plan) == ["add the nvidia runtime to daemon.json", "generate the CDI specification"]


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


@pytest.mark.parametrize(
    ("distribution", "version", "manager", "path", "install"),
    [
        ("rhel", "8.10", "dnf", rpm.DNF_SOURCE, "dnf -y install --allowerasing nvidia-container-toolkit-1.20.0 "),
        ("rocky", "9.7", "dnf", rpm.DNF_SOURCE, "dnf -y install --allowerasing nvidia-container-toolkit-1.20.0 "),
        ("almalinux", "10.0", "dnf5", rpm.DNF_SOURCE, "dnf5 -y install --allowerasing nvidia-container-toolkit-1.20.0 "),
        ("rhel", "8.2", "yum", rpm.DNF_SOURCE, "yum -y install --allowerasing nvidia-container-toolkit-1.20.0 "),
        ("amzn", "2023", "dnf", rpm.DNF_SOURCE, "dnf -y install --allowerasing nvidia-container-toolkit-1.20.0 "),
        ("opensuse-leap", "15.6", "zypper", rpm.ZYPPER_SOURCE, "nvidia-container-toolkit=1.20.0 "),
        ("sles", "15.6", "zypper", rpm.ZYPPER_SOURCE, "nvidia-container-toolkit=1.20.0 "),
    ],
)  # fmt: skip
def test_rpm_systems_have_the_same_steps(
    settle: Settle, distribution: str, version: str, manager: str, path: str, install: str
) -> None:
    """The checked key in rpm's database, a .repo file that names it, four packages at one version."""
    machine = {"distribution": distribution, "version": version, "like": "", "architecture": "x86_64"}
    facts = on(replace(NONE, manager=manager), **machine)
    plan = source.plan_repository(settle(), facts)
    assert whys(plan) == [
        "fetch NVIDIA's key and check its fingerprint", "let rpm trust NVIDIA's key", "add NVIDIA's repository",
    ]  # fmt: skip
    assert isinstance(plan[2], Write)
    assert plan[2].path == path
    assert f"baseurl={BASE}/stable/rpm/$basearch\nrepo_gpgcheck=1\n" in plan[2].text
    run = package.plan(settle("toolkit.version=1.20.0"), replace(facts, source=plan[2].text))[-1]
    assert isinstance(run, Run)
    assert install in " ".join(run.argv)
    newer = package.plan(settle(), replace(facts, source="x", versions=dict.fromkeys(PACKAGES, "1.18.0-1")))
    assert ("bring it to the newest version" in whys(newer)) is (manager != "zypper")
    back = uninstall.plan(settle(), replace(facts, source="x", versions=dict.fromkeys(PACKAGES, "1.20.0-1")))
    assert whys(back)[:2] == ["remove the toolkit's packages", "remove NVIDIA's repository"]
    theirs = Record(made=True, before={"packages": "\n".join(PACKAGES).encode(), "source": b"x"})
    kept = replace(facts, source="x", versions=dict.fromkeys(PACKAGES, "1.20.0-1"), record=theirs)
    assert len(uninstall.plan(settle(), kept)) == 1
    assert [word for word in run.argv if "1.20.0" in word] == [*run.argv[-4:]]


def written(before: str | None, **settings: Any) -> tuple[str, Record]:
    """daemon.json as `configure` leaves it, and the record beside it."""
    text = daemon.render(daemon.with_runtime(daemon.parse(before), **settings), before)
    kept = {} if before is None else {"daemon.json": encode(before)}
    return text, Record(made=True, before=kept, brought=PACKAGES, written=digest(text))


@pytest.mark.parametrize("before", [None, "", "\ufeff{}", '{"runtimes": null,\t"debug":true}', '{"features": {}}\r\n'])
def test_uninstall_gives_daemon_json_back_byte_for_byte(before: str | None) -> None:
    """Whatever its form was, as long as nobody changed what gpudock wrote."""
    text, record = written(before, cdi=True, default=True)
    assert uninstall.former_daemon(with_daemon(text, record=record)) == before


def test_uninstall_keeps_what_its_owner_changed_since() -> None:
    """A key added after the installation stays; only ours go."""
    text, record = written('{"debug": true}')
    changed = text.replace('"debug": true', '"debug": false, "mtu": 1400')
    back = uninstall.former_daemon(with_daemon(changed, record=record))
    assert daemon.parse(back) == {"debug": False, "mtu": 1400}


def test_uninstall_keeps_what_its_owner_changed_between_two_runs() -> None:
    """A key that came before gpudock wrote again is in the file that gpudock wrote last, and stays all the same."""
    _, record = written('{"debug": true}')
    again = daemon.render(daemon.with_runtime({"debug": True, "mtu": 1400}), None)
    back = uninstall.former_daemon(with_daemon(again, record=replace(record, written=digest(again))))
    assert daemon.parse(back) == {"debug": True, "mtu": 1400}


def test_uninstall_without_a_record_takes_nothing_away(settle: Settle) -> None:
    """A toolkit that gpudock did not bring is none of its business."""
    text, _ = written(None)
    assert uninstall.plan(settle(), with_daemon(text, record=Record())) == []


def test_uninstall_takes_away_what_the_record_says(settle: Settle) -> None:
    """Packages that were here before stay, and so does another's entry and key."""
    text, record = written("{}")
    facts = with_daemon(text, record=record, fingerprints=("F",))
    assert whys(uninstall.plan(settle(), facts)) == [
        "take the nvidia runtime out of daemon.json", "remove the packages that came with gpudock",
        "remove NVIDIA's repository", "remove NVIDIA's key",
        "forget what was here before (the backups of daemon.json stay)",
    ]  # fmt: skip
    before = {**record.before, "source": b"deb theirs\n", "keyring": b"k"}
    theirs = replace(facts, record=replace(record, before=before, brought=()))
    assert whys(uninstall.plan(settle(), theirs))[1:3] == [
        "bring the former entry for NVIDIA's repository back", "bring the former key back",
    ]  # fmt: skip


def test_a_default_runtime_is_switched_back_before_its_program_goes(settle: Settle) -> None:
    """Docker keeps a default that a reload merely misses: runc is named first, or no container would start."""
    text, record = written("{}", default=True)
    plan = uninstall.plan(settle(), with_daemon(text, record=record))
    assert whys(plan)[:3] == [
        "make runc the default runtime again", "reload Docker", "take the nvidia runtime out of daemon.json",
    ]  # fmt: skip
    assert isinstance(plan[0], Replace)
    assert daemon.parse(plan[0].text)["default-runtime"] == "runc"
    assert isinstance(plan[2], Replace)
    assert plan[2].file.text == plan[0].text


def test_a_backup_is_brought_back_by_name(settle: Settle) -> None:
    """The one that is there already is nothing to do; a name that is none is told what there is."""
    kept = backups.Kept(with_daemon("{}"), (backups.Backup("20261125T010203.123Z", "add it", "{}\n"),))
    plan = backups.plan(settle(), kept, "20261125T010203.123Z")
    assert isinstance(plan[0], Replace)
    assert plan[0].text == "{}\n"
    assert backups.plan(settle(), replace(kept, toolkit=with_daemon("{}\n")), "20261125T010203.123Z") == []
    with pytest.raises(UsageError, match="20261125T010203"):
        backups.plan(settle(), kept, "yesterday")


def test_containers_that_lost_their_gpus_are_named(settle: Settle) -> None:
    """With the command that brings the GPUs back, and code 4."""
    assert containers.plan(settle(), containers.Lost(())) == []
    with pytest.raises(ProblemsFound, match="docker restart train-1 serve") as caught:
        containers.plan(settle(), containers.Lost(("train-1", "serve")))
    assert caught.value.code == 4
