"""What machines read: one JSON object a line."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from gpudock.errors import Unreachable
from gpudock.report import Report
from gpudock.step import Outcome


class JsonReport(Report):
    """One JSON object a line and nothing else: ARCHITECTURE.md, "Contracts"."""

    def news(self, host: str, text: str) -> None:
        return

    def done(self, host: str, text: str) -> None:
        return

    def leave_out(self, host: str, reason: str) -> None:
        super().leave_out(host, reason)
        self._object({"host": host, "step": "", "status": "skipped", "actions": [], "reason": reason, "seconds": 0.0})

    def show(self, outcome: Outcome) -> None:
        row: dict[str, Any] = {
            "host": outcome.host,
            "step": outcome.step,
            "status": outcome.status,
            "actions": [action.describe() for action in outcome.actions],
            "seconds": round(outcome.seconds, 3),
        }
        if is_dataclass(outcome.facts) and not isinstance(outcome.facts, type):
            row["facts"] = public(outcome.facts)
        if outcome.reason:
            row["reason"] = outcome.reason
        if outcome.error:
            row["error"] = outcome.error.message
            row["log"] = self.logs.path(outcome.host)
        self._object(row)

    def say(self, host: str, step: str, facts: Mapping[str, Any], text: str) -> None:
        self._object({"host": host, "step": step, "status": "ok", "actions": [], "facts": dict(facts), "seconds": 0.0})

    def close(self, codes: Mapping[str, int]) -> None:
        count = Counter(outcome.status for outcome in self.outcomes)
        summary = {
            "hosts": self.hosts,
            **{status: count[status] for status in ("ok", "changed", "planned", "skipped", "failed")},
            "unreachable": list(codes.values()).count(Unreachable.code),
            "not_begun": len(self.left_out),
        }
        self._object({"summary": {**summary, "seconds": round(time.monotonic() - self.started, 3)}})

    def _object(self, row: Mapping[str, Any]) -> None:
        self.write(json.dumps(row, default=str, ensure_ascii=False))


def public(facts: Any) -> dict[str, Any]:
    """A step's own facts as a mapping: secrets are left out, and what it shares with the steps before it."""
    shown = {item.name: getattr(facts, item.name) for item in fields(facts) if not item.metadata.get("secret")}
    return {name: value for name, value in shown.items() if not is_dataclass(value)}
