"""mirror.probe: how each layer's choices answer from the host, and which one `mirror: auto` takes."""

from __future__ import annotations

from gpudock import mirrors
from gpudock.command import Job, command, namespace
from gpudock.credentials import hide
from gpudock.measure import Measured
from gpudock.report import columns

HEAD = ("layer", "choice", "preset", "answers", "first byte", "rate", "auto")


@command(name="probe")
def probe(job: Job) -> None:
    """Measure each layer's mirrors from the host; what is best is kept for `mirror: auto`."""
    measured = mirrors.probe(job.host, job.settings)
    chosen = mirrors.remembered(job.host.name)[1]
    rows = [row(item, taken=chosen[item.choice.layer] == item.choice.address) for item in measured]
    hint = "" if job.settings.mirror == mirrors.AUTO else "\n`--set mirror=auto` uses the marked ones"
    facts = [dict(zip(HEAD, cells, strict=True)) for cells in rows]
    job.say(columns([HEAD, *rows]) + hint, choices=facts, chosen={key: hide(value) for key, value in chosen.items()})


def row(item: Measured, *, taken: bool) -> tuple[str, ...]:
    """A choice as a row of the table."""
    latency = f"{item.latency * 1000:.0f} ms" if item.answers else "-"
    rate = f"{item.rate / 1e6:.1f} MB/s" if item.answers else "-"
    address = hide(item.choice.address) or "its own default"
    answers, mark = "yes" if item.answers else "no", "*" if taken else ""
    return (item.choice.layer, address, item.choice.preset, answers, latency, rate, mark)


TASKS = namespace("mirror", probe)
