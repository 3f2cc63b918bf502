"""image.diff: the packages of the running image beside those that a build would put in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpudock.command import Job, command
from gpudock.report import columns
from gpudock.settings import Settings
from gpudock.step import Blocked
from gpudock.steps import additions, engine, stack, within
from gpudock.steps.container import Container
from gpudock.steps.inputs import CONTEXT, fingerprint, locks
from gpudock.steps.machine import Machine

Row = tuple[str, str, str]  # package; its version in the running image; that of a build


def locked_lines(settings: Settings, machine: Machine) -> list[str]:
    """The requirements of the groups' locks, hashes left out."""
    texts = ((CONTEXT / f"requirements/{name}.txt").read_text() for name in locks(settings, machine))
    return [
        line.removesuffix("\\").strip()
        for text in texts
        for line in text.splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    ]


def compare(installed: Mapping[str, str], locked: Mapping[str, str], *, more: bool) -> list[Row]:
    """What a build would add, change and take away.

    With `more`, the operator's own additions, what goes beyond the locks is known only to a build, and is left out.
    """
    names = sorted({*installed, *locked} if not more else locked)
    rows = ((name, installed.get(name, "-"), locked.get(name, "-")) for name in names)
    return [row for row in rows if row[1] != row[2]]


@command(name="diff")
def diff(job: Job) -> None:
    """Show which packages a build would change against the running image."""
    settings = job.settings
    facts: Container = job.facts(stack.UP)
    engine.need(facts.image.engine)
    running = facts.image_id or facts.image.id
    if not running:
        raise Blocked("image.build", f"There is neither a container nor an image {settings.image.name} on this host.")
    lines = locked_lines(settings, facts.machine)
    found = within.run(
        job.host, facts.image.engine, running, "packages", settings.image.environment, lines, settings.image.python,
        python=within.UV,
    )  # fmt: skip
    yours = additions.overview(settings)
    rows = compare(found["installed"], found["locked"], more=bool(yours))
    same = facts.image.id == running and facts.image.inputs == fingerprint(settings, facts.machine)
    said = [columns([("package", "running", "a build"), *rows])] if rows else ["no package of the groups would change"]
    if yours:
        said.append("resolved only by a build: " + ", ".join(yours))
    said.append("a build has nothing to do" if same else f"image.build would build {settings.image.name} anew")
    changed = [dict(zip(("package", "running", "build"), row, strict=True)) for row in rows]
    job.say("\n".join(said), packages=changed, additions=yours, builds=not same)
