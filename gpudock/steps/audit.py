"""Who changed what on a host, from where, when and why: its audit log, which lock.py writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gpudock.command import Job, command
from gpudock.options import whole_number
from gpudock.questions import ask, shell
from gpudock.report import columns

TAIL = '[ ! -e "$2" ] || tail -n "$1" -- "$2"'
HEAD = ("when", "who", "from", "task", "result", "what")


@command(options={"last": "How many of the newest entries (20)."})
def audit(job: Job, last: str = "20") -> None:
    """Show who changed what on the host, from where, when, why, and how it ended."""
    number = whole_number("--last", last, least=1)
    path = job.settings.host.audit
    answer = ask(job.host, {"audit": shell(TAIL, str(number), path)})["audit"]
    entries = list(parse(answer.out))
    text = columns([HEAD, *map(row, entries)]) if entries else f"nothing is recorded in {path}"
    job.say(text, entries=entries)


def parse(text: str) -> Sequence[Mapping[str, Any]]:
    """Read the log's lines; one that a full disk or a crash has cut off is left out."""
    return [entry for line in text.splitlines() if (entry := _entry(line))]


def row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """An entry as a row of the table."""
    seconds = f" ({entry['seconds']:.1f}s)" if "seconds" in entry else ""
    what = f"{entry.get('step', '')}: {entry.get('why', '')}"
    told = [str(entry.get(name, "")) for name in HEAD[:4]]
    return (*told, f"{entry.get('result', '')}{seconds}", what)


def _entry(line: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
