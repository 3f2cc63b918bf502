"""doctor --undo: what a fix is surrounded with, and what brings back what it replaced."""

from __future__ import annotations

import pytest

from gpudock.actions import Action, Run, Write, shell
from gpudock.errors import Refused, UsageError
from gpudock.steps.doctor import rules, undo
from gpudock.steps.doctor.undo import Fixes, Kept
from tests.conftest import Settle
from tests.golden.toolkit_facts import whys

FIX = "20261125T050000Z-toolkit-no-cgroups"
CONFIG = "/etc/nvidia-container-runtime/config.toml"


def kept(now: str, *, fix: str = FIX, after: str = "644 0:0 b") -> Fixes:
    """A host where one fix touched one file, which now looks like `now`."""
    return Fixes((Kept(f"{fix}/1", CONFIG, "640 0:0 a", after, now),))


def test_a_fix_keeps_each_file_that_it_changes(settle: Settle) -> None:
    """What it writes, what it opens to others, what the rule names besides; a fix that changes no file keeps nothing."""
    plan: list[Action] = [
        Write("write", "/etc/a", "x"),
        Run("open", ("chmod", "0644", "/etc/b")),
        shell("load", "true"),
    ]
    around = undo.keeping(settle(), rules.rule("inotify-low"), plan)
    first, last = around[0], around[-1]
    assert isinstance(first, Run)
    assert isinstance(last, Run)
    names = ("/proc/sys/fs/inotify/max_user_instances", "/proc/sys/fs/inotify/max_user_watches")
    assert first.argv[-4:] == ("/etc/a", "/etc/b", *names)
    assert list(around[1:-1]) == plan
    assert undo.keeping(settle(), rules.rule("docker-runtime"), plan[2:]) == plan[2:]


def test_what_is_as_the_fix_left_it_is_brought_back(settle: Settle) -> None:
    """And the fix is noted as undone, so that a second time there is nothing to do."""
    plan = undo.plan(settle(), kept("644 0:0 b"), FIX)
    assert whys(plan) == [f"bring {CONFIG} back as it was before the fix", "note that the fix is undone"]
    assert isinstance(plan[0], Run)
    assert plan[0].argv[-2:] == (f"/var/lib/gpudock/doctor/{FIX}/1.file", CONFIG)
    assert undo.plan(settle(), Fixes((), (FIX,)), FIX) == []
    assert whys(undo.plan(settle(), kept("640 0:0 a"), FIX)) == ["note that the fix is undone"]


def test_what_was_changed_since_is_brought_back_with_consent_alone(settle: Settle) -> None:
    """A file that somebody wrote, or whose mode or owner is another, is named; the same where the fix was cut off."""
    for fixes in (kept("644 0:0 c"), kept("600 0:0 b"), kept("644 0:0 b", after="")):
        with pytest.raises(Refused, match=r"config\.toml has been changed since.*--yes"):
            undo.plan(settle(), fixes, FIX)
        assert len(undo.plan(settle(), fixes, FIX, consent=True)) == 2


def test_a_fix_that_is_none_is_told_what_there_is(settle: Settle) -> None:
    """Code 2, with the names."""
    with pytest.raises(UsageError, match=FIX):
        undo.plan(settle(), kept("644 0:0 b"), "yesterday")
