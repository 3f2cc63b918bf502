"""What a step is, and what can become of it on a host; converge.py runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from gpudock.actions import Action
from gpudock.answers import Answers
from gpudock.errors import GpudockError, Refused
from gpudock.questions import Questions
from gpudock.settings import Settings

F = TypeVar("F")
Plan = Sequence[Action]
Status = Literal["ok", "changed", "planned", "skipped", "failed"]


class Interrupted(GpudockError):
    """The operator pressed Ctrl-C: nothing new was begun."""


class Blocked(Refused):
    """A step cannot be planned before another one has run, which `by` names."""

    def __init__(self, by: str, missing: str) -> None:
        super().__init__(f"{missing} Run {by} first, or setup, which runs all steps in order.")
        self.by = by
        self.missing = missing


@dataclass(frozen=True)
class Step(Generic[F]):
    """One documented step: what it asks, how it reads the answers, and what it does about them.

    `questions` only look; `read` makes facts of their answers; `plan` names the actions that bring the host from these
    facts to what the settings say, and none where it is there. `summary` is the task's help. `skip` gives the reason to
    leave the step out of a chain such as `setup`, or None; the step's own task ignores it. An empty reason: nobody
    asked for the step, and people are told nothing. `needs` raises Refused for what a person must settle before a chain
    begins: nobody should wait for a build to hear that a port is taken.
    """

    name: str
    summary: str
    questions: Callable[[Settings], Questions]
    read: Callable[[Settings, Answers], F]
    plan: Callable[[Settings, F], Plan]
    skip: Callable[[Settings, F], str | None] = lambda settings, facts: None
    needs: Callable[[Settings, F], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one step on one host. `seconds` is wall time without the chain's first look, which steps share."""

    host: str
    step: str
    status: Status
    actions: tuple[Action, ...] = ()
    seconds: float = 0.0
    reason: str = ""
    error: GpudockError | None = None
    facts: Any = None
