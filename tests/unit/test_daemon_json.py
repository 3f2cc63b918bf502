"""daemon.json's merge and its inverse, for any settings that Docker's own file could hold."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gpudock.steps.toolkit import change, daemon

PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
NAMES = st.sampled_from(["nvidia", "kata", "runc"])
RUNTIMES = st.dictionaries(
    NAMES,
    st.fixed_dictionaries(
        {},
        optional={
            "path": st.sampled_from(["", "/usr/bin/x"]),
            "runtimeArgs": st.lists(st.text(max_size=4), max_size=2),
        },
    ),
)
KNOWN = {
    "runtimes": st.none() | RUNTIMES,
    "features": st.none() | st.dictionaries(st.sampled_from(["cdi", "buildkit"]), st.booleans()),
    "default-runtime": st.sampled_from(["nvidia", "runc", "kata"]),
    "debug": st.booleans(),
}
FILES = st.builds(
    lambda known, other: {**other, **known},
    st.fixed_dictionaries({}, optional=KNOWN),
    # Hypothesis tries words of the program's own source too: the others must not be among those that have a form.
    st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda name: name not in KNOWN), VALUES, max_size=4),
)


def others(settings: dict[str, Any]) -> dict[str, Any]:
    """All that is none of ours."""
    kept = {name: value for name, value in settings.items() if name not in ("runtimes", "features", "default-runtime")}
    inner = [("runtimes", "nvidia"), ("features", "cdi")]
    return {
        **kept,
        **{outer: {k: v for k, v in (settings.get(outer) or {}).items() if k != ours} for outer, ours in inner},
    }


@given(FILES, st.booleans(), st.booleans())
def test_the_merge_keeps_all_else_and_is_done_once(before: dict[str, Any], default: bool, cdi: bool) -> None:
    """Every other key stays as it was, the runtime has a program, and a second merge changes nothing."""
    after = daemon.with_runtime(before, default=default, cdi=cdi)
    assert others(after) == others(before)
    assert after["runtimes"]["nvidia"]["path"]
    assert daemon.with_runtime(after, default=default, cdi=cdi) == after


@given(FILES, st.booleans(), st.booleans())
def test_the_inverse_gives_back_what_was_there(before: dict[str, Any], default: bool, cdi: bool) -> None:
    """undo(merge(x)) is x, nulls, empty objects and an owner's own nvidia entry included."""
    assert daemon.undo(daemon.with_runtime(before, default=default, cdi=cdi), before) == before


@given(FILES, st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=3))
def test_the_inverse_keeps_what_others_changed_since(before: dict[str, Any], later: dict[str, Any]) -> None:
    """Keys that came after the merge are there after the inverse."""
    later = {name: value for name, value in later.items() if name not in KNOWN}
    after = {**daemon.with_runtime(before, cdi=True), **later}
    assert daemon.undo(after, before) == {**before, **later}


@given(FILES)
def test_what_is_written_reads_the_same(settings: dict[str, Any]) -> None:
    """Rendering and parsing lose nothing, whatever the indentation was."""
    text = daemon.render(settings, json.dumps(settings, indent=2))
    assert daemon.parse(text) == settings
    assert list(daemon.parse(text)) == list(settings)


def test_the_newest_backup_is_the_last_by_name_whatever_the_clock_says(tmp_path: Path) -> None:
    """A failed reload brings the last one back: one of before the clock was set back would undo what came since."""
    (tmp_path / "record/backups/29990101T000000.000Z").mkdir(parents=True)
    target = tmp_path / "daemon.json"
    for before, after in (("one", "two"), ("two", "three")):
        target.write_text(before)
        digest, owner = hashlib.sha256(before.encode()).hexdigest(), f"{os.getuid()}:{os.getgid()}"
        words = [str(target), str(tmp_path / "record"), "try", str(len(after)), digest, "644", owner, "true"]
        subprocess.run(["sh", "-ec", change.REPLACE, "sh", *words], input=after, text=True, check=True)
        assert target.read_text() == after
        last = sorted((tmp_path / "record/backups").iterdir())[-1]
        assert (last / "daemon.json").read_text() == before
