"""What people read of a run."""

from __future__ import annotations

import pytest

from gpudock.actions import Run, Watch
from gpudock.live import fitted
from gpudock.report import Report
from gpudock.step import Outcome, Status


def outcome(step: str, status: Status, reason: str = "") -> Outcome:
    """What became of a step on the host gpu01."""
    return Outcome("gpu01", step, status, reason=reason)


def test_steps_that_did_nothing_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for all that are as they should be and one a reason to skip; nothing of what nobody asked for."""
    report = Report()
    report.arrive("gpu01")
    for done in (
        outcome("engine.install", "ok"),
        outcome("toolkit.repo", "skipped", "no NVIDIA driver here"),
        outcome("image.build", "ok"),
        outcome("image.push", "skipped"),
        outcome("jupyter.password", "ok"),
        outcome("jupyter.start", "ok"),
        outcome("gpu.prove", "skipped", "no NVIDIA driver here"),
    ):
        report.outcome(done)
    report.leave("gpu01", 0)
    report.close({"gpu01": 0})
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "gpu01 engine.install, image.build, jupyter.password, start: ok",
        "gpu01 toolkit.repo, gpu.prove: skipped, no NVIDIA driver here",
    ]
    assert report.count() == {"ok": 4, "skipped": 2}


def test_what_was_fine_is_told_before_what_failed(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines come in the order of the steps where something happens."""
    report = Report()
    report.arrive("gpu01")
    report.outcome(outcome("engine.install", "ok"))
    report.outcome(outcome("image.build", "planned", "known only after engine.install"))
    assert capfd.readouterr().out.splitlines() == [
        "gpu01 engine.install: ok",
        "gpu01 image.build: known only after engine.install",
    ]


def test_a_look_is_told_as_done_and_a_change_as_changed(capfd: pytest.CaptureFixture[str]) -> None:
    """Who reads the lines sees what the host has lost or got, and what was only waited for."""
    report = Report()
    for action in (Watch("wait until it is healthy", lambda host, line: None), Run("start it", ("true",))):
        report.begin("gpu01", "stack.up", action)
        report.end("gpu01", "stack.up", action, 1.0)
    assert capfd.readouterr().out.splitlines() == [
        "gpu01 stack.up: wait until it is healthy … done (1.0s)",
        "gpu01 stack.up: start it … changed (1.0s)",
    ]


def test_a_long_line_is_broken_between_words() -> None:
    """A terminal would break it anywhere; a command to paste stays whole, and a tool's own lines are not touched."""
    said = "gpu01 stack.up: failed. Run `fab -H gpu01 stack.down --set stack.name=old` first.\n    its own words, left as they are"
    assert fitted(said, 40).splitlines() == [
        "gpu01 stack.up: failed. Run",
        "    `fab -H gpu01 stack.down --set stack.name=old`",
        "    first.",
        "    its own words, left as they are",
    ]
    assert fitted("short", 40) == "short"
