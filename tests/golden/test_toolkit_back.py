"""The way back: uninstalling, and the backups of daemon.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gpudock.actions import Action, Run
from gpudock.answers import Answer
from gpudock.errors import CannotTell, UsageError
from gpudock.steps.toolkit import PACKAGES, Toolkit, backups, daemon, record, uninstall
from gpudock.steps.toolkit.change import Replace, digest, encode
from gpudock.steps.toolkit.former import Leaving
from gpudock.steps.toolkit.record import Record
from tests.conftest import Settle
from tests.golden.toolkit_facts import ENGINE, INSTALLED, whys, with_daemon


def back(settle: Settle, facts: Toolkit, offered: Mapping[str, tuple[str, ...]] | None = None) -> list[Action]:
    """The plan of the way back."""
    return uninstall.plan(settle(), Leaving(facts, offered or {}))


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
    assert back(settle, with_daemon(text, record=Record())) == []


def test_a_record_that_cannot_be_read_is_not_taken_for_none(settle: Settle) -> None:
    """A disk that fails, or a minimal RHEL without tar: uninstall says so, and takes nothing for its own."""
    for code, said in ((1, "Cannot open: Input/output error"), (127, "install tar on this host")):
        with pytest.raises(CannotTell, match=said):
            record.read(settle(), {"toolkit.record": Answer((), code, "", said)})
    assert not record.read(settle(), {"toolkit.record": Answer((), 0, "", "")}).made


def test_uninstall_takes_away_what_the_record_says(settle: Settle) -> None:
    """Another's entry and key stay; a Docker that does not know the runtime is not reloaded."""
    text, record = written("{}")
    facts = with_daemon(text, record=record, fingerprints=("F",))
    assert whys(back(settle, facts)) == [
        "take the nvidia runtime out of daemon.json", "remove the packages that came with gpudock",
        "remove NVIDIA's repository", "remove NVIDIA's key",
        "forget what was here before (the backups of daemon.json stay)",
    ]  # fmt: skip
    before = {**record.before, "source": b"deb theirs\n", "keyring": b"k"}
    theirs = replace(facts, record=replace(record, before=before, brought=()))
    assert whys(back(settle, theirs))[1:3] == [
        "bring the former entry for NVIDIA's repository back", "bring the former key back",
    ]  # fmt: skip


def test_the_way_back_waits_for_apts_lock_as_long_as_the_settings_say(settle: Settle) -> None:
    """Removing what came, and installing what was here before: 600 s were waited whatever apt.lock_timeout said."""
    _, noted = written("{}")
    former = {"packages": "".join(f"{name} 1.0-1\n" for name in PACKAGES[:2]).encode()}
    facts = with_daemon("{}", record=replace(noted, before=former))
    offered = dict.fromkeys(PACKAGES[:2], ("1.0-1",))
    planned = uninstall.plan(settle("apt.lock_timeout=7"), Leaving(facts, offered))
    runs = [action.argv for action in planned if isinstance(action, Run) and "apt-get" in "".join(action.argv)]
    assert [argv[4] for argv in runs] == ["7", "7"]


FORGET = ["have Docker forget the nvidia runtime", "reload Docker (containers go on running)"]
TAKE_OUT = "take the nvidia runtime out of daemon.json"


@pytest.mark.parametrize(
    ("before", "default", "between", "steps"),
    [
        ("{}", False, {"runtimes": {}}, [*FORGET, TAKE_OUT]),
        ('{"debug": true}', True, {"debug": True, "runtimes": {}, "default-runtime": "runc"}, [*FORGET, TAKE_OUT]),
        ('{"runtimes": {"kata": {"path": "k"}}}', False, None, [TAKE_OUT, FORGET[1]]),
        ('{"runtimes": {"nvidia": {"path": "n"}}}', True, {"runtimes": {"nvidia": {"path": "n"}}, "default-runtime": "runc"},
         [*FORGET, TAKE_OUT]),
    ],
)  # fmt: skip
def test_docker_forgets_the_runtime_before_its_program_goes(
    settle: Settle, before: str, default: bool, between: Any, steps: list[str]
) -> None:
    """A reload passes over a key that is missing: an empty `runtimes`, and runc by default, are there for its while."""
    text, record = written(before, default=default)
    plan = back(settle, with_daemon(text, record=record, engine=replace(ENGINE, runtimes={"nvidia": {}})))
    assert whys(plan)[: len(steps)] == steps
    changes = [action for action in plan if isinstance(action, Replace)]
    assert changes[-1].text == before
    if between:
        assert daemon.parse(changes[0].text) == between
        assert changes[-1].file.text == changes[0].text


OLD = dict.fromkeys(PACKAGES[:3], "1.18.0-1")
ROWS = "".join(f"{name} {version}\n" for name, version in OLD.items())


@pytest.mark.parametrize(
    ("manager", "first", "back_to"),
    [("apt", "bring", "nvidia-container-toolkit=1.18.0-1"), ("dnf", "remove", "nvidia-container-toolkit-1.18.0-1"),
     ("zypper", "remove", "nvidia-container-toolkit=1.18.0-1")],
)  # fmt: skip
def test_packages_that_were_here_go_back_to_their_version(
    settle: Settle, manager: str, first: str, back_to: str
) -> None:
    """Held by their owner before, they are again; what came is removed; a hole they had is told, as it is theirs."""
    before = {"packages": ROWS.encode(), "holds": PACKAGES[0].encode(), "automatic": PACKAGES[1].encode()}
    facts = replace(INSTALLED, manager=manager, record=Record(True, before, PACKAGES[3:]), held=PACKAGES[:1])
    plan = back(settle, facts, dict.fromkeys(OLD, ("1.20.0-1", "1.18.0-1")))
    bring, removal = (
        "bring the toolkit back to 1.18.0-1, which has CVE-2026-24260, as before",
        "remove the packages that came",
    )
    changes = [bring, removal] if first == "bring" else [removal, bring]
    said = whys(plan)
    assert [why.startswith(start) for why, start in zip(said[:4], ["release", *changes, "hold"], strict=True)] == [
        True
    ] * 4
    assert any(isinstance(action, Run) and back_to in action.argv for action in plan)


def test_packages_stay_where_no_repository_has_their_version(settle: Settle) -> None:
    """All or none, as they need one another, and it is said."""
    facts = replace(INSTALLED, record=Record(True, {"packages": ROWS.encode()}, PACKAGES[3:]))
    offered = dict.fromkeys(PACKAGES[:2], ("1.20.0-1", "1.18.0-1"))
    said = whys(back(settle, facts, offered))
    assert not [why for why in said if why.startswith("bring")]
    assert "libnvidia-container-tools stays at 1.20.0-1, as no repository has all of 1.18.0-1" in said[-1]


def test_a_backup_is_brought_back_by_name(settle: Settle) -> None:
    """The one that is there already is nothing to do; a name that is none is told what there is."""
    kept = backups.Kept(with_daemon("{}"), (backups.Backup("20261125T010203.123Z", "add it", "{}\n"),))
    plan = backups.plan(settle(), kept, "20261125T010203.123Z")
    assert isinstance(plan[0], Replace)
    assert plan[0].text == "{}\n"
    assert backups.plan(settle(), replace(kept, toolkit=with_daemon("{}\n")), "20261125T010203.123Z") == []
    with pytest.raises(UsageError, match="20261125T010203"):
        backups.plan(settle(), kept, "yesterday")
