"""The backups of daemon.json, made before each change of it, and the way back to one of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpudock.actions import Action, shell
from gpudock.answers import Answers
from gpudock.command import Job, command
from gpudock.errors import UsageError
from gpudock.questions import Questions
from gpudock.questions import shell as question
from gpudock.report import columns
from gpudock.settings import Settings
from gpudock.step import Step
from gpudock.steps.toolkit import facts, record
from gpudock.steps.toolkit.change import Replace, decode
from gpudock.steps.toolkit.facts import Toolkit
from gpudock.steps.toolkit.take_up import TAKE_UP

LIST = """cd "$1/backups" 2>/dev/null || exit 0
for name in *; do [ -f "$name/reason" ] || continue; file=$name/daemon.json
  printf '%s\\t%s\\t%s\\n' "$name" "$(cat "$name/reason")" "$([ ! -e "$file" ] || echo "=$(base64 -w0 "$file")")"
done"""

APPLY = f"""{TAKE_UP}how=reload; answers || how=restart; take_up "$how" || :
waits 80 answers || {{ docker info 2>&1 | tail -n 3; exit 1; }}"""


@dataclass(frozen=True)
class Backup:
    """daemon.json as it was before a change. `name` is the time in UTC, `text` None where there was no file."""

    name: str
    reason: str
    text: str | None = field(repr=False)


@dataclass(frozen=True)
class Kept:
    """The backups on a host, oldest first."""

    toolkit: Toolkit
    backups: tuple[Backup, ...]


def questions(settings: Settings) -> Questions:
    """The toolkit's questions, and the backups."""
    return {**facts.questions(settings), "toolkit.backups": question(LIST, record.folder(settings))}


def read(settings: Settings, answers: Answers) -> Kept:
    """Make a Kept of the answers."""
    rows = [line.split("\t") for line in answers["toolkit.backups"].out.splitlines()]
    kept = tuple(
        Backup(name, reason, decode(base64.b64decode(text[1:])) if text else None) for name, reason, text in rows
    )
    return Kept(facts.read(settings, answers), kept)


def plan(settings: Settings, kept: Kept, name: str) -> Sequence[Action]:
    """Put one backup back; what it replaces becomes a backup too. Raises UsageError for a name that is none."""
    found = next((backup for backup in kept.backups if backup.name == name), None)
    if found is None:
        names = ", ".join(backup.name for backup in kept.backups) or "none"
        raise UsageError(f"There is no backup {name} of daemon.json here; there are: {names}.")
    if found.text == kept.toolkit.daemon.text:
        return []
    change = Replace(f"bring daemon.json of {name} back", kept.toolkit.daemon, found.text, record.folder(settings))
    return [change, shell("have Docker take it up", APPLY)]


@command(options={"backup": "The backup to bring back, as the list names it; without it they are listed."})
def restore(job: Job, backup: str = "") -> None:
    """List the backups of daemon.json, or bring one back."""
    step = Step("toolkit.restore", "", questions, read, lambda settings, kept: plan(settings, kept, backup))
    if backup:
        job.converge(step)
        return
    kept: Kept = job.facts(step)
    rows = [(item.name, item.reason, "" if item.text is not None else "(there was no file)") for item in kept.backups]
    listing = [{"name": item.name, "before": item.reason, "file": item.text is not None} for item in kept.backups]
    table = columns([("backup", "made before it would", ""), *rows])
    job.say(table if rows else "gpudock has changed no daemon.json here: there is no backup", backups=listing)
