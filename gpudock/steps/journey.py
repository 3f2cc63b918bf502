"""All of it: setup, plan, status, teardown, config. Here the steps of every noun come together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gpudock.actions import Action
from gpudock.command import Command, Job, command
from gpudock.config import Loaded, describe
from gpudock.converge import Step
from gpudock.errors import ProblemsFound
from gpudock.questions import Answers
from gpudock.report import columns
from gpudock.settings import Settings
from gpudock.steps import jupyter, removal, ssh, toolkit
from gpudock.steps.jupyter import Jupyter

Steps = Sequence[Step[Any]]


def setup(steps: Steps) -> Command:
    """Make the task that runs all steps in order."""

    @command()
    def setup(job: Job) -> None:
        """Take this host from nothing to a running, proven GPU container; again: change nothing."""
        outcomes = job.converge(*steps, chained=True)
        if not job.options.dry_run and all(outcome.error is None for outcome in outcomes):
            _arrival(job, {outcome.step: outcome.facts for outcome in outcomes}[jupyter.START.name])

    return setup


def plan(steps: Steps) -> Command:
    """Make the task that shows what `setup` would do."""

    @command(options={"check": "End with code 4 if there is anything to do."})
    def plan(job: Job, check: bool = False) -> None:
        """Show what setup would do, files as a diff; touch nothing."""
        job.dry_run()
        outcomes = job.converge(*steps, chained=True)
        if check and any(outcome.status == "planned" for outcome in outcomes):
            raise ProblemsFound(f"{job.host.name} is not as the settings say: `setup` would change it as shown.")

    return plan


def status() -> Command:
    """Make the task that tells how things are."""

    @command()
    def status(job: Job) -> None:
        """Tell what is on the host: engine, toolkit, image, container, services, addresses."""
        kit = job.facts(_STATUS)
        rows = overview(job.settings, kit[0], kit[1], job.host.name)
        job.say(columns([(job.host.name, name, value) for name, value in rows]), **dict(rows))

    return status


def teardown() -> Command:
    """Make the task that takes gpudock's things off a host."""

    @command(
        options={
            "volumes": "Take the named volumes away too: home, caches, SSH host keys.",
            "toolkit": "Uninstall the toolkit too.",
        }
    )
    def teardown(job: Job, volumes: bool = False, toolkit: bool = False) -> None:
        """Take stack, image and gpudock's files off the host; volumes, /opt/ai, engine and toolkit stay."""
        job.converge(*removal.steps(volumes=volumes, with_toolkit=toolkit))

    return teardown


@command(name="config")
def config(job: Job) -> None:
    """Show every setting, its value, and where it was set."""
    rows = list(describe(Loaded(job.settings, job.origins)))
    job.say(columns(rows), **{key: {"value": value, "origin": origin} for key, value, origin in rows})


def overview(settings: Settings, kit: toolkit.Toolkit, lab: Jupyter, host: str) -> list[tuple[str, str]]:
    """The rows of `status`."""
    container = lab.services.container
    engine, machine = kit.engine, kit.engine.machine
    built = f", built {age(container.image.created)} ago" if container.image.id else ""
    return [
        ("system", f"{machine.distribution} {machine.version} {machine.architecture}"),
        ("driver", machine.driver or "none"),
        (
            "engine",
            f"Docker {engine.version}, {' '.join(engine.compose) or 'no Compose'}"
            if engine.answers
            else "none answers",
        ),
        ("toolkit", kit.version or "none"),
        ("image", f"{settings.image.name}{built}" if container.image.id else "none"),
        ("container", f"{container.status} ({container.health or 'no health check'})" if container.id else "none"),
        ("ssh", "on" if "ssh" in lab.services.up else "off"),
        ("jupyter", "on" if "jupyter" in lab.services.up else "off"),
        ("address", jupyter.url(settings) if "jupyter" in lab.services.up else "-"),
        ("login", login(settings, lab, host) if "ssh" in lab.services.up else "-"),
    ]


def login(settings: Settings, lab: Jupyter, host: str) -> str:
    """The ssh command into the container."""
    machine = lab.services.container.machine
    user = machine.user if settings.stack.user == "operator" else "root"
    return ssh.command(settings, host, user)


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


def _arrival(job: Job, lab: Jupyter) -> None:
    """Say where everything is now."""
    settings, host = job.settings, job.host.name
    sign_in = "with your password" if lab.password_hash else f"with the token of `{job.program} jupyter.url`"
    found = {}
    if settings.jupyter.enabled:
        found["JupyterLab"] = f"{jupyter.url(settings)}   (sign in {sign_in})"
        if tunnel := jupyter.tunnel(settings, host):
            found["tunnel to it"] = tunnel
    if settings.ssh.enabled:
        found["SSH"] = login(settings, lab, host)
    found["shell"] = f"{job.program} stack.shell"
    width = max(len(name) for name in found)
    job.say("\n".join(f"  {name:<{width}}  {value}" for name, value in found.items()), **found)


def _read_status(settings: Settings, answers: Answers) -> tuple[toolkit.Toolkit, Jupyter]:
    return toolkit.read(settings, answers), jupyter.read(settings, answers)


def _no_plan(settings: Settings, facts: Any) -> list[Action]:
    return []


_STATUS: Step[tuple[toolkit.Toolkit, Jupyter]] = Step(
    "status",
    "",
    lambda settings: {**toolkit.questions(settings), **jupyter.questions(settings)},
    _read_status,
    _no_plan,
)
