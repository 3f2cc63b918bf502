"""The services in the container, sshd and JupyterLab: switched by files on the host, run by its supervisor.

A file says that a service is wanted, so the switch outlives the container, a `docker restart` and a reboot;
`gpudock-service apply` in the container brings the services to what the files say.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpudock.actions import Action, Run, Write, remove
from gpudock.converge import Blocked
from gpudock.questions import Answers, Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import compose, engine, stack
from gpudock.steps.stack import Container


@dataclass(frozen=True)
class Services:
    """Which services are wanted, by their files, and which are up, by their supervisor.

    `users` tells that the container's accounts are what their files say.
    """

    container: Container
    wanted: tuple[str, ...]
    up: tuple[str, ...]
    users: bool = True


def files(settings: Settings) -> str:
    """The folder on the host that the container sees, read-only, as /etc/gpudock."""
    return f"{compose.folder(settings)}/container"


def questions(settings: Settings) -> Questions:
    """What to know of the services."""
    return {
        **stack.questions(settings),
        "services.wanted": question('ls "$1" 2>/dev/null; :', f"{files(settings)}/services"),
        "services.up": ("docker", "exec", settings.stack.name, "gpudock-service", "status"),
    }


def read(settings: Settings, answers: Answers) -> Services:
    """Make Services of the answers; `status` prints a line `name up` or `name down` for each."""
    rows = [line.split() for line in answers["services.up"].out.splitlines()]
    return Services(
        container=stack.read(settings, answers),
        wanted=tuple(answers["services.wanted"].out.split()),
        up=tuple(row[0] for row in rows if row[1:] == ["up"]),
        users=["users", "applied"] in rows,
    )


def start(settings: Settings, services: Services, name: str, *, changed: bool) -> list[Action]:
    """Switch a service on, or have it take up files that have `changed`. Raises Blocked without a container."""
    engine.need(services.container.image.engine)
    if not services.container.running:
        raise Blocked("stack.up", f"The container {settings.stack.name} does not run.")
    if name in services.wanted and name in services.up and not changed:
        return []
    switch = Write(f"switch {name} on", f"{files(settings)}/services/{name}", "on\n", None)
    return [*([] if name in services.wanted else [switch]), _apply(settings, f"start {name} and wait until it listens")]


def stop(settings: Settings, services: Services, name: str) -> list[Action]:
    """Switch a service off; it stays off until it is started again."""
    engine.need(services.container.image.engine)
    actions: list[Action] = []
    if name in services.wanted:
        actions.append(remove(f"switch {name} off", f"{files(settings)}/services/{name}"))
    if services.container.running and (name in services.wanted or name in services.up):
        actions.append(_apply(settings, f"stop {name}"))
    return actions


def _apply(settings: Settings, why: str) -> Action:
    return Run(why, ("docker", "exec", settings.stack.name, "gpudock-service", "apply"))
