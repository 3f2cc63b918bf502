"""doctor: what is wrong on a host, why it matters, and the command that mends it.

A rule is data (rule.py), by topic in files of their own (rules.py lists them). The questions of all rules (asked.py)
go to the host in one round trip; what a rule makes of the answers is a pure function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpudock.actions import Action
from gpudock.answers import Answers
from gpudock.command import Job, command
from gpudock.errors import ProblemsFound, Refused
from gpudock.questions import AFTER, GET, Questions, ask
from gpudock.settings import Settings
from gpudock.step import Outcome, Step

if TYPE_CHECKING:
    from gpudock.steps.doctor.rule import Examination, Rule


@command(
    name="doctor",
    subject="rule",
    options={
        "fix": "Run the safe fixes: none stops a container, reboots, or touches the driver.",
        "rule": "Explain this rule and look at it alone.",
        "undo": "Bring back what a fix replaced, named as the list names it; without a name they are listed.",
    },
    optional=("undo",),
)
def DOCTOR(job: Job, fix: bool = False, rule: str = "", undo: str | bool = "") -> None:  # noqa: N802  # a task
    """Say what is wrong on the host, why it matters and the command that mends it; code 4 if an error is found."""
    if undo:
        from gpudock.steps.doctor import undo as back

        back.undo(job, "" if undo is True else str(undo))
    else:
        _examine(job, fix, rule)


def _examine(job: Job, fix: bool, rule: str) -> None:
    from gpudock.steps.doctor import rules, show, typed  # 60 rules are read only where they are used

    chosen = (rules.rule(rule),) if rule else rules.RULES
    seen, answers = look(job, chosen)
    explained = f"{show.explanation(chosen[0], job.program, typed.manager(answers))}\n\n" if rule else ""
    apart = "\n" if job.report.hosts > 1 else ""
    job.say(explained + show.text(seen, job.program) + apart, **show.facts(seen, job.program))
    if fix and (outcomes := _mend(job, seen, answers)):
        if any(outcome.error for outcome in outcomes):
            return
        if not job.options.dry_run:
            seen, answers = look(job, chosen)
            job.say(f"what they replaced is kept: {job.program} doctor --undo lists it")
            job.say("after the fixes:\n\n" + show.text(seen, job.program) + apart, **show.facts(seen, job.program))
    if seen.errors:
        count = f"{len(seen.errors)} thing{'s' * (len(seen.errors) > 1)}"
        raise ProblemsFound(f"{count} must be fixed: {show.ids(seen.errors)}. The commands are above.")


def look(job: Job, rules: Sequence[Rule]) -> tuple[Examination, Answers]:
    """Put the questions of these rules to the host, in one round trip, and judge the answers."""
    from gpudock.steps.doctor.rule import examine

    answers = ask(job.host, _questions(job.settings, rules))
    return examine(rules, job.settings, answers), answers


def mending(rule: Rule) -> Step[Any]:
    """The step that runs a rule's safe fix and then looks whether the rule is silent."""
    from gpudock.steps.doctor import undo

    def read(settings: Settings, answers: Answers) -> Answers | None:
        return None if rule.evidence(settings, answers) is None else answers

    def plan(settings: Settings, found: Answers | None) -> Sequence[Action]:
        return undo.keeping(settings, rule, rule.mend(settings, found)) if rule.mend and found else []

    return Step(f"doctor.{rule.id}", rule.good, lambda settings: _questions(settings, [rule]), read, plan)


def _mend(job: Job, seen: Examination, answers: Answers) -> Sequence[Outcome]:
    """Show the safe fixes, then run them, one failing without holding the others up."""
    plans = [(finding.rule, _plan(finding.rule, job.settings, answers)) for finding in seen.findings]
    safe = [(rule, plan) for rule, plan in plans if plan]
    lines = [f"  {rule.id}: {action.why}" for rule, plan in safe for action in plan]
    job.say("\n".join(["safe to fix now:", *lines]) if lines else "nothing here can be fixed safely by itself",
            fixing=[rule.id for rule, _ in safe])  # fmt: skip
    return [outcome for rule, _ in safe for outcome in job.converge(mending(rule))]


def _plan(rule: Rule, settings: Settings, answers: Answers) -> Sequence[Action]:
    """A rule's safe fix; nothing where there is none, or where a person has to decide after all."""
    try:
        return rule.mend(settings, answers) if rule.mend else []
    except Refused:
        return []


def _questions(settings: Settings, rules: Sequence[Rule]) -> Questions:
    from gpudock.steps.doctor import asked

    wanted = {"os-release", *(name for rule in rules for name in rule.asks)}
    every = asked.questions(settings)
    if any(every[name][0] == AFTER for name in wanted):  # such a one reads what the engine said to the others
        wanted |= {name for name, argv in every.items() if argv[0] == GET}
    return {name: argv for name, argv in every.items() if name in wanted}
