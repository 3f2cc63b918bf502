"""The loop of facts, plan and actions, on this machine."""

from __future__ import annotations

from pathlib import Path

import invoke
import pytest

from gpudock import questions
from gpudock.actions import shell
from gpudock.converge import Convergence
from gpudock.errors import CannotTell
from gpudock.host import Host
from gpudock.report import Report
from gpudock.step import Step
from tests.conftest import Settle


def test_an_answer_that_does_not_come_is_not_taken_for_no(
    settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that hangs is named, and what it would have told of is neither made nor done again."""
    make = shell("make it", 'touch "$1"', str(tmp_path / "made"))
    step = Step(
        "test.step", "", lambda settings: {"made": questions.shell("sleep 600; echo yes")},
        lambda settings, answers: answers["made"].out, lambda settings, made: [] if made else [make],
    )  # fmt: skip
    monkeypatch.setattr(questions, "TIME_LIMIT", 1)
    (outcome,) = Convergence(Host(invoke.Context(), "here"), settle(), Report(), "test").run([step])
    assert isinstance(outcome.error, CannotTell)
    assert "here did not say within 30 s: made." in str(outcome.error)
    assert (outcome.actions, list(tmp_path.iterdir())) == ((), [])
