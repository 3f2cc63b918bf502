"""settings → facts → plan → apply → facts again → outcome, for one host.

The facts of all steps come in one round trip. A plan is pure. After a step's actions its facts are asked
again, and a plan that is then not empty is an error: so idempotence is checked on every run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

from gpudock.actions import Action
from gpudock.answers import Answers
from gpudock.errors import CannotTell, GpudockError, Locked, NotConverged, Refused, Unreachable, UsageError
from gpudock.host import Host
from gpudock.lock import Lock
from gpudock.questions import GET, TIME_LIMIT, ask
from gpudock.settings import Settings
from gpudock.step import Blocked, Interrupted, Outcome, Plan, Status, Step

LOCK_EVERY = 2.0  # seconds between two tries to get another operator's lock


class Progress(Protocol):
    """Who is told how it goes: see report.py."""

    def begin(self, host: str, step: str, action: Action) -> None:
        """An action begins."""

    def line(self, host: str, text: str) -> None:
        """The running action's tool printed a line."""

    def end(self, host: str, step: str, action: Action, seconds: float) -> None:
        """The action is done."""

    def outcome(self, outcome: Outcome) -> None:
        """A step is done."""

    def note(self, host: str, text: str) -> None:
        """Something the operator should know, such as what is waited for."""


@dataclass
class Convergence:
    """A chain of steps on one host, run by `task`. `stop` is set when no new action may begin (Ctrl-C).

    `wait` tells to wait for another operator's lock.
    """

    host: Host
    settings: Settings
    progress: Progress
    task: str = ""
    dry_run: bool = False
    chained: bool = False
    wait: bool = False
    stop: Event = field(default_factory=Event)
    answers: Answers = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    lock: Lock | None = None

    def run(self, steps: Sequence[Step[Any]]) -> list[Outcome]:
        """Bring the host to what the settings say, step by step, up to the first failure.

        Raises GpudockError where the host cannot even be asked.
        """
        self.answers = self._ask(steps)
        try:
            for index, step in enumerate(steps):
                outcome = (None if index else self._refusal(steps)) or self._settle(step, steps[index:])
                self.outcomes.append(outcome)
                self.progress.outcome(outcome)
                if outcome.status == "failed":
                    break
        finally:
            self._unlock()
        return self.outcomes

    def _refusal(self, steps: Sequence[Step[Any]]) -> Outcome | None:
        """What a person must settle before any step begins; what cannot be told yet a step may mend."""
        for step in steps:
            try:
                if step.needs:
                    step.needs(self.settings, step.read(self.settings, self.answers))
            except (Refused, UsageError) as error:
                return Outcome(self.host.name, step.name, "failed", error=error)
            except CannotTell:
                continue
        return None

    def _settle(self, step: Step[Any], rest: Sequence[Step[Any]]) -> Outcome:
        started = time.monotonic()
        done: list[Action] = []
        reason: str | None = None
        facts, error = None, None
        try:
            facts, plan, reason = self._look(step)
            if plan and not self.dry_run and not self.lock:
                self._take_lock()
                self.answers = self._ask(rest)  # whoever held it before has changed something
                facts, plan, reason = self._look(step)
            status = self._decide(step, plan, reason, done)
            if status == "changed":
                self.answers = self._ask(rest)
                facts = self._confirm(step)
        except Blocked as blocked:
            status, reason, error = self._blocked(blocked)
        except GpudockError as failure:
            status, error = "failed", failure
        seconds = time.monotonic() - started
        return Outcome(self.host.name, step.name, status, tuple(done), seconds, reason or "", error, facts)

    def _look(self, step: Step[Any]) -> tuple[Any, Plan, str | None]:
        """Return the step's facts, its plan, and the reason to skip it, None where there is none."""
        facts = self._read(step)
        if self.chained and (reason := step.skip(self.settings, facts)) is not None:
            return facts, (), reason
        return facts, step.plan(self.settings, facts), None

    def _read(self, step: Step[Any]) -> Any:
        """The step's facts. Raises CannotTell for a question without an answer: it would read as "is not there"."""
        late = {name: answer.argv[0] for name, answer in self.answers.items() if answer.timed_out}
        if late and GET not in late.values():  # where it is the engine that hangs, the step itself says so
            names = ", ".join(name for name in step.questions(self.settings) if name in late)
            if names:
                raise CannotTell(
                    f"{self.host.name} did not say within {TIME_LIMIT} s: {names}. A disk, a network folder or a name "
                    "server that does not answer keeps it: mend that, then run the same command again."
                )
        return step.read(self.settings, self.answers)

    def _decide(self, step: Step[Any], plan: Plan, reason: str | None, done: list[Action]) -> Status:
        """Apply unless it is a dry run; `done` gathers the actions begun, or in a dry run planned."""
        if reason is not None:
            return "skipped"
        if not plan:
            return "ok"
        if self.dry_run:
            done.extend(plan)
            return "planned"
        for action in plan:
            done.append(action)
            self._apply(step, action)
        return "changed"

    def _apply(self, step: Step[Any], action: Action) -> None:
        if self.stop.is_set():
            raise Interrupted(f"stopped before it would {action.why}. The same command goes on from there.")
        lock = self._take_lock()
        started = time.monotonic()
        self.progress.begin(self.host.name, step.name, action)
        lock.begin(step.name, action)
        result = "failed"
        try:
            action.apply(self.host, lambda text: self.progress.line(self.host.name, text))
            result = "done"
        except Unreachable:
            result = "interrupted"
            raise
        finally:
            lock.end(step.name, action, result, time.monotonic() - started)
        self.progress.end(self.host.name, step.name, action, time.monotonic() - started)

    def _take_lock(self) -> Lock:
        """Take the host's lock once, waiting for it where told to. Raises Locked, or Interrupted by Ctrl-C."""
        holder = ""
        while not self.lock:
            try:
                self.lock = Lock.take(self.host, self.settings.host, self.task)
            except Locked as locked:
                if not self.wait:
                    raise
                if locked.holder != holder:
                    holder = locked.holder
                    self.progress.note(self.host.name, f"waits for {holder}")
                if self.stop.wait(LOCK_EVERY):
                    raise Interrupted(f"stopped while it waited for {holder}.") from None
        return self.lock

    def _unlock(self) -> None:
        if self.lock and (trouble := self.lock.release()):
            path = self.settings.host.audit
            self.progress.note(self.host.name, f"some changes could not be recorded in {path}: {trouble}")
        self.lock = None

    def _confirm(self, step: Step[Any]) -> Any:
        facts = self._read(step)
        if left := step.plan(self.settings, facts):
            whys = "; ".join(action.why for action in left)
            raise NotConverged(
                f"{step.name}: everything was done, and still there would be to do: {whys}",
                output="",
                next_move="Something on the host undoes or hides the change; `inv doctor` looks for what.",
            )
        return facts

    def _blocked(self, blocked: Blocked) -> tuple[Status, str, GpudockError | None]:
        pending = [outcome.step for outcome in self.outcomes if outcome.status == "planned"]
        if self.dry_run and pending:
            return "planned", f"known only after {blocked.by}: {blocked.missing}", None
        return "failed", "", blocked

    def _ask(self, steps: Sequence[Step[Any]]) -> Answers:
        questions: dict[str, tuple[str, ...]] = {}
        for step in steps:
            questions.update(step.questions(self.settings))
        return ask(self.host, questions)
