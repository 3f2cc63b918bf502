"""All of it: setup, plan, teardown, config. Here the steps of every noun come together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpudock.command import Command, Job, command
from gpudock.config import Loaded, describe
from gpudock.errors import ProblemsFound
from gpudock.report import columns
from gpudock.step import Step
from gpudock.steps import jupyter, removal, status
from gpudock.steps.jupyter import Jupyter

Steps = Sequence[Step[Any]]


def setup(steps: Steps) -> Command:
    """Make the task that runs all steps in order."""

    @command()
    def setup(job: Job) -> None:
        """Take this host from nothing to a running, proven GPU container; again: change nothing."""
        outcomes = job.converge(*steps, chained=True)
        arrived = {outcome.step: outcome.facts for outcome in outcomes if outcome.error is None}.get(jupyter.START.name)
        news = job.report.hosts == 1 or job.options.json or any(outcome.status == "changed" for outcome in outcomes)
        # A script of yours that fails takes nothing of it away; of a fleet nobody reads again what is as it was.
        if arrived and news and not job.options.dry_run:
            _arrival(job, arrived)

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
        job.converge(*removal.steps(volumes=volumes, with_toolkit=toolkit), chained=True)

    return teardown


@command(name="config")
def config(job: Job) -> None:
    """Show every setting, its value, and where it was set."""
    rows = list(describe(Loaded(job.settings, job.origins)))
    job.say(columns(rows), **{key: {"value": value, "origin": origin} for key, value, origin in rows})


def _arrival(job: Job, lab: Jupyter) -> None:
    """Say where everything is now."""
    settings = job.settings
    found = {}
    if settings.jupyter.enabled:
        found["JupyterLab"] = jupyter.url(settings)
        if tunnel := jupyter.tunnel(settings, job.way):
            found["tunnel to it"] = tunnel
        found["sign in"] = "with your password" if lab.password_hash else f"with the token: {job.program} jupyter.url"
    if settings.ssh.enabled:
        found["SSH"] = status.login(settings, lab, job.way)
    found["shell"] = f"{job.program} stack.shell"
    width = max(len(name) for name in found)
    job.say("\n".join(f"  {name:<{width}}  {value}" for name, value in found.items()), **found)
