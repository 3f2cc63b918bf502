"""1. NVIDIA Container Toolkit: key and repository, experimental channel, package, Docker runtime, restart; and back."""

from __future__ import annotations

from gpudock.command import Job, command, namespace, step_command
from gpudock.step import Step
from gpudock.steps.toolkit import backups, configure, containers, former, package, restart, source, uninstall, upgrade
from gpudock.steps.toolkit.facts import PACKAGES, Toolkit, questions, read, skip

REPO = Step(
    "toolkit.repo", "1.1 Add NVIDIA's key and package repository.", questions, read, source.plan_repository, skip
)
CHANNEL = Step(
    "toolkit.channel", "1.2 Switch the experimental channel as toolkit.channel says.",
    questions, read, source.plan_channel, skip,
)  # fmt: skip
PACKAGE = Step("toolkit.package", "1.3 Install the NVIDIA Container Toolkit.", questions, read, package.plan, skip)
CONFIGURE = Step("toolkit.configure", "1.4 Have Docker know NVIDIA's runtime.", questions, read, configure.plan, skip)
RESTART = Step(
    "toolkit.restart", "1.5 Have Docker take the runtime up, by a reload where that is enough.",
    questions, read, restart.plan, skip,
)  # fmt: skip
UNINSTALL = Step(
    "toolkit.uninstall", "Take away what gpudock brought of the toolkit; what was here before is as it was.",
    former.questions, former.read, uninstall.plan,
)  # fmt: skip
CONTAINERS = Step(
    "toolkit.containers", "Ask the containers that had GPUs before whether they still see them.",
    containers.questions, containers.read, containers.plan, containers.skip,
)  # fmt: skip

STEPS = (REPO, CHANNEL, PACKAGE, CONFIGURE, RESTART)
ALL = step_command(*STEPS, CONTAINERS, name="install", summary="1. Install NVIDIA Container Toolkit: all five steps.")


@command(name="upgrade")
def upgrade_all(job: Job) -> None:
    """Bring the toolkit to its channel's newest version, and have Docker know it."""
    job.converge(upgrade.LISTS, upgrade.UPGRADE, CONFIGURE, RESTART, CONTAINERS)


TASKS = namespace("toolkit", *STEPS, ALL, upgrade_all, CONTAINERS, backups.restore, UNINSTALL)

__all__ = ["CONTAINERS", "PACKAGES", "STEPS", "TASKS", "UNINSTALL", "Toolkit", "questions", "read", "skip"]
