"""How an examination reads: to people, what is wrong first and what is fine in one line; to machines, as data."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gpudock.steps.doctor import typed
from gpudock.steps.doctor.rule import SEVERITIES, Examination, Finding, Rule
from gpudock.steps.doctor.rules import TOPICS

WIDTH = 112


def text(seen: Examination, program: str) -> str:
    """The examination for people."""
    parts = [_counts(seen), *(_block(finding, program) for finding in seen.findings)]
    parts += [f"cannot tell, as {reason}: {ids}" for reason, ids in _unknown(seen)]
    parts.append(_fine(seen))
    return "\n\n".join(part for part in parts if part)


def facts(seen: Examination, program: str) -> dict[str, Any]:
    """The examination as data."""
    return {
        "findings": [_finding(finding, program) for finding in seen.findings],
        "unknown": [{"id": rule.id, "reason": reason} for rule, reason in seen.unknown],
        "fine": [rule.id for rule in seen.fine],
    }


def explanation(rule: Rule, program: str, manager: str) -> str:
    """What a rule is about, whatever the host says; `manager` installs its packages."""
    rows = [("holds", rule.good), ("why", rule.why), ("fix", typed.typed(rule.fix, program, manager))]
    return "\n".join([f"{rule.severity}  {rule.id}", *(_row(*row) for row in rows), _row("more", rule.source)])


def _counts(seen: Examination) -> str:
    count = Counter(finding.severity for finding in seen.findings)
    parts = [f"{count[name]} {name}{'s' * (count[name] != 1)}" for name in SEVERITIES if count[name]]
    return ", ".join(parts)


def _block(finding: Finding, program: str) -> str:
    rule, safe = finding.rule, f"   ({program} doctor --fix runs it)" if finding.rule.mend else ""
    rows = [("seen", finding.seen.text), ("why", rule.why)]
    lines = [f"{finding.severity}  {rule.id}", *(_row(*row) for row in rows)]
    return "\n".join([*lines, f"  fix   {finding.fix(program)}{safe}", f"  more  {rule.source}"])


def _row(name: str, value: str) -> str:
    """A row of a block; a command or an address is never broken, so that it can be copied."""
    if name in ("fix", "more"):
        return f"  {name:<6}{value}"
    lines = textwrap.wrap(value, WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    return f"  {name:<6}" + "\n        ".join(lines)


def _unknown(seen: Examination) -> list[tuple[str, str]]:
    reasons: dict[str, list[str]] = {}
    for rule, reason in seen.unknown:
        reasons.setdefault(reason, []).append(rule.id)
    return [(reason, ", ".join(ids)) for reason, ids in reasons.items()]


def _fine(seen: Examination) -> str:
    fine = {rule.id for rule in seen.fine}
    count = {topic: sum(rule.id in fine for rule in rules) for topic, rules in TOPICS.items()}
    total = len(fine) + len(seen.findings) + len(seen.unknown)
    topics = ", ".join(f"{topic} {number}" for topic, number in count.items() if number)
    return f"fine: {len(fine)} of {total} rules" + (f" ({topics})" if topics else "")


def _finding(finding: Finding, program: str) -> dict[str, Any]:
    return {
        "id": finding.rule.id,
        "severity": finding.severity,
        "seen": finding.seen.text,
        "why": finding.rule.why,
        "fix": finding.fix(program),
        "safe": finding.rule.mend is not None,
        "source": finding.rule.source,
    }


def ids(findings: Sequence[Finding]) -> str:
    """The rules' ids, for a sentence."""
    return ", ".join(finding.rule.id for finding in findings)
