"""How things are on a host, and on many: one table, a row a host, from the one round trip."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gpudock.actions import Action
from gpudock.answers import Answers
from gpudock.command import Command, Job
from gpudock.errors import Unreachable
from gpudock.report import Report, columns
from gpudock.settings import Settings
from gpudock.step import Outcome, Step
from gpudock.steps import compose, gpus, jupyter, ssh, toolkit
from gpudock.steps.container import Container
from gpudock.steps.gpus import Gpu
from gpudock.steps.jupyter import Jupyter
from gpudock.steps.toolkit import Toolkit
from gpudock.way import Way

HEAD = (
    "host",
    "reachable",
    "system",
    "driver",
    "toolkit",
    "engine",
    "image",
    "container",
    "ssh",
    "jupyter",
    "ports",
    "gpus",
)


@dataclass(frozen=True)
class Status:
    """All that is to be told of a host."""

    toolkit: Toolkit
    lab: Jupyter
    gpus: tuple[Gpu, ...]

    @property
    def container(self) -> Container:
        """The stack's container."""
        return self.lab.services.container


class StatusCommand(Command):
    """`status`: one host as a list; of many hosts a table when all have answered or failed."""

    def __init__(self) -> None:
        super().__init__(status, auto_shortflags=False)
        self.cells: dict[str, Mapping[str, str]] = {}

    def perform(self, job: Job, **own: Any) -> None:
        """Ask one host."""
        found: Status = job.facts(_STATUS)
        self.cells[job.host.name] = cells(job.settings, found)
        rows = overview(job.settings, found, job.way)
        if job.report.hosts == 1:
            job.say(columns([(job.host.name, name, value) for name, value in rows]), **public(rows, found))
        elif job.options.json:
            job.say("", **public(rows, found))

    def conclude(self, report: Report, hosts: Sequence[str], *, json: bool) -> None:
        """Print the table of many hosts; those that could not be reached or asked have a row too."""
        if len(hosts) > 1 and not json:
            report.write(table(hosts, self.cells, report.outcomes, tuple(report.left_out)))


def status(job: Job) -> None:
    """Tell what is on the host: engine, toolkit, image, container, services, GPUs; of many hosts a table."""


def table(
    hosts: Sequence[str],
    cells: Mapping[str, Mapping[str, str]],
    outcomes: Sequence[Outcome],
    left_out: Sequence[str] = (),
) -> str:
    """Lay the hosts out, one a row, in their order. Why one has no answer is told where it failed.

    `left_out` are those that a rollout did not begin.
    """
    unreachable = {outcome.host for outcome in outcomes if isinstance(outcome.error, Unreachable)}
    rows: list[tuple[str, ...]] = [HEAD]
    for host in hosts:
        word = "no" if host in unreachable else "not asked" if host in left_out else "failed"
        known = cells.get(host, {**dict.fromkeys(HEAD, "-"), "reachable": word})
        rows.append((host, *(known[name] for name in HEAD[1:])))
    return columns(rows)


def cells(settings: Settings, found: Status) -> Mapping[str, str]:
    """A host's cells of the table."""
    container, engine, machine = found.container, found.toolkit.engine, found.toolkit.engine.machine
    return {
        "reachable": "yes",
        "system": f"{machine.distribution} {machine.version}",
        "driver": machine.driver or "-",
        "toolkit": found.toolkit.version.partition("-")[0] or "-",
        "engine": engine.version if engine.answers else "-",
        "image": f"{age(container.image.created)} old" if container.image.created else "-",
        "container": (container.health or container.status) if container.running else container.status or "-",
        "ssh": "on" if "ssh" in found.lab.services.up else "off",
        "jupyter": "on" if "jupyter" in found.lab.services.up else "off",
        "ports": " ".join(map(str, compose.ports(settings))) if container.running else "-",
        "gpus": gpus.summary(found.gpus),
    }


def overview(settings: Settings, found: Status, way: Way) -> list[tuple[str, str]]:
    """The rows of one host."""
    container, engine, machine = found.container, found.toolkit.engine, found.toolkit.engine.machine
    up = found.lab.services.up
    built = f", {container.image.size / 1e9:.1f} GB, built {age(container.image.created)} ago"
    compose_command = " ".join(engine.compose) or "no Compose"
    none = f"Podman {engine.podman} in Docker's place" if engine.podman else "none answers"
    return [
        ("system", f"{machine.distribution} {machine.version} {machine.architecture}"),
        ("driver", machine.driver or "none"),
        ("engine", f"Docker {engine.version}, {compose_command}" if engine.answers else none),
        ("toolkit", found.toolkit.version or "none"),
        ("image", f"{settings.image.name}{built}" if container.image.id else "none"),
        ("container", f"{container.status} ({container.health or 'no health check'})" if container.id else "none"),
        ("ports", " ".join(map(str, compose.ports(settings))) if container.running else "-"),
        ("ssh", "on" if "ssh" in up else "off"),
        ("jupyter", "on" if "jupyter" in up else "off"),
        ("address", jupyter.url(settings) if "jupyter" in up else "-"),
        ("login", login(settings, found.lab, way) if "ssh" in up else "-"),
        *((f"gpu {gpu.index}", _gpu(gpu)) for gpu in found.gpus),
    ]


def public(rows: Sequence[tuple[str, str]], found: Status) -> Mapping[str, Any]:
    """The same for machines: the GPUs as numbers."""
    texts = {name: value for name, value in rows if not name.startswith("gpu ")}
    return {**texts, "gpus": [gpu.public() for gpu in found.gpus]}


def login(settings: Settings, lab: Jupyter, way: Way) -> str:
    """The ssh command into the container."""
    return ssh.command(settings, way, compose.user(settings, lab.services.container.machine))


def age(stamp: str) -> str:
    """How long ago an RFC 3339 time of the engine was, roughly: `3 h`."""
    if not stamp:
        return "-"
    then = datetime.fromisoformat(stamp[:19] + "+00:00").timestamp()
    seconds = max(time.time() - then, 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _gpu(gpu: Gpu) -> str:
    used, total = ("?" if size is None else f"{size / 1024:.1f}" for size in (gpu.memory_used, gpu.memory_total))
    busy = "utilisation unknown" if gpu.utilization is None else f"{gpu.utilization:.0f} %"
    return f"{gpus.short(gpu.name)}, {used} of {total} GiB, {busy}"


def _read(settings: Settings, answers: Answers) -> Status:
    lab = jupyter.read(settings, answers)
    return Status(toolkit.read(settings, answers), lab, gpus.read(answers["gpus"]))


def _no_plan(settings: Settings, facts: Status) -> list[Action]:
    return []


_STATUS: Step[Status] = Step(
    "status",
    "",
    lambda settings: {**toolkit.questions(settings), **jupyter.questions(settings), **gpus.QUESTIONS},
    _read,
    _no_plan,
)
STATUS = StatusCommand()
