"""The answers of a well host to doctor's questions, and what a rule says of them."""

from __future__ import annotations

from typing import Any

from gpudock.answers import Answer, Answers
from gpudock.steps.doctor import asked, rules
from gpudock.steps.doctor.rule import Seen
from tests.conftest import Settle
from tests.golden.recordings import WELL


def answers(settle: Settle, **changed: Any) -> Answers:
    """The well host's answers, some changed: `gpu__smi="…"`, or (exit code, output)."""
    given: dict[str, Any] = {
        **WELL,
        **{name.replace("__", ".").replace("_", "-"): value for name, value in changed.items()},
    }
    made = {}
    for name, argv in asked.questions(settle()).items():
        value = given.get(name, "")
        code, out = value if isinstance(value, tuple) else (0, value)
        absent = name in ("image", "stack.container") and name not in given
        made[name] = Answer(argv, 1 if absent else code, out, "")
    return made


def say(settle: Settle, rule: str, *overrides: str, **changed: Any) -> Seen | None:
    """What a rule says of the well host with some answers changed."""
    found = rules.rule(rule)
    given = answers(settle, **changed)
    return found.evidence(settle(*overrides), {name: given[name] for name in found.asks})
