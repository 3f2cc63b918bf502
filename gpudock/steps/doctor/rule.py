"""What a rule is: data about one thing that can be wrong on a host, and how to tell from the host's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gpudock.actions import Action
from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps.doctor import typed

Severity = Literal["error", "warning", "note"]
SEVERITIES: Sequence[Severity] = ("error", "warning", "note")
HANG = {"docker.info", "gpu.smi", "gpu.cuda"}  # that these hang is a finding itself


@dataclass(frozen=True)
class Seen:
    """The evidence that something is wrong. `fix` and `severity` replace the rule's own where this case differs."""

    text: str
    fix: str = ""
    severity: Severity | None = None


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong.

    `good` says what holds where it is not, `fix` is a command in which {gpudock} stands for `inv` or `fab -H host` and
    apt-get for the host's own package manager (typed.py), `asks` names the questions it needs of asked.py, and
    `evidence` is silent (None) where all is fine; it raises CannotTell where the answers do not say. `mend` gives the
    actions of a fix that is safe to run unasked: it stops no container, reboots nothing, and leaves the driver alone.
    `touches` are files that it changes by other means than a Write or chmod, so that they are kept for `doctor --undo`
    too.
    """

    id: str
    severity: Severity
    good: str
    why: str
    fix: str
    source: str
    asks: tuple[str, ...]
    evidence: Callable[[Settings, Answers], Seen | None]
    mend: Callable[[Settings, Answers], Sequence[Action]] | None = None
    touches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A rule that found something on a host."""

    rule: Rule
    seen: Seen
    manager: str = "apt"

    @property
    def severity(self) -> Severity:
        """How bad it is here."""
        return self.seen.severity or self.rule.severity

    def fix(self, program: str) -> str:
        """The command that mends it, as typed on this host; `program` is `inv` or `fab -H host`."""
        return typed.typed(self.seen.fix or self.rule.fix, program, self.manager)


@dataclass(frozen=True)
class Examination:
    """What all rules say of a host: `unknown` are rules whose question had no answer, with the reason."""

    findings: tuple[Finding, ...]
    unknown: tuple[tuple[Rule, str], ...]
    fine: tuple[Rule, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What must be fixed."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def _late(rule: Rule, answers: Answers, *, silent: bool) -> list[str]:
    """The questions whose answer did not come in time, so that nothing follows from it."""
    late = [name for name in rule.asks if answers[name].timed_out]
    return late if silent or set(late) - HANG else []


def examine(rules: Sequence[Rule], settings: Settings, answers: Answers) -> Examination:
    """Put each rule to the answers it asked for, and to no others; the worst findings come first."""
    findings: list[Finding] = []
    unknown: list[tuple[Rule, str]] = []
    fine: list[Rule] = []
    for rule in rules:
        try:
            seen = rule.evidence(settings, {name: answers[name] for name in rule.asks})
        except CannotTell as reason:
            unknown.append((rule, str(reason)))
            continue
        except (ValueError, LookupError, TypeError, AttributeError):  # tools of other versions print other things
            unknown.append((rule, "the host's answer is not one that the rule knows"))
            continue
        if late := _late(rule, answers, silent=seen is None):
            unknown.append((rule, f"the host did not say in time: {', '.join(late)}"))
        elif seen is None:
            fine.append(rule)
        else:
            findings.append(Finding(rule, seen, typed.manager(answers)))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Examination(tuple(findings), tuple(unknown), tuple(fine))
