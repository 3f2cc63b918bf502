"""The stack's container as it is on a host: what is asked of it, and what the answers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpudock.answers import Answers
from gpudock.questions import Questions, engine, file, shell
from gpudock.settings import Settings
from gpudock.steps import additions, astray, compose, folder, image, ports
from gpudock.steps.image import Image
from gpudock.steps.machine import Machine


@dataclass(frozen=True)
class Container:
    """The container on a host; `id` is empty where there is none.

    `ours` tells that compose started it for this stack; `volumes` are the stack's, where they were asked for; `others`
    are `name ports` of all that run, `stacks` those that gpudock started, `astray` those of the stack that have not its
    name, `foreign` those of somebody else's project of that name; `unnamed` are images of ours.
    """

    image: Image
    compose: str | None
    ca_hash: str
    id: str
    image_id: str
    configuration: str
    status: str
    health: str
    started: str
    ours: bool
    volumes: tuple[str, ...]
    others: tuple[str, ...]
    listeners: tuple[str, ...]
    scripts: Mapping[str, str] = field(default_factory=dict, repr=False)
    astray: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def machine(self) -> Machine:
        """The host it is on."""
        return self.image.machine

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.status == "running"

    @property
    def paused(self) -> bool:
        """Whether its processes are there and stand still: by `docker pause`, or while `docker commit` is at work."""
        return self.status == "paused"


def questions(settings: Settings) -> Questions:
    """What to know of the container, its compose file, and who holds which port."""
    return {
        **image.questions(settings),
        **ports.questions(settings),
        **astray.questions(settings),
        "stack.compose": file(compose.path(settings)),
        "stack.ca": shell('sha256sum "$1" 2>/dev/null; :', compose.ca_path(settings)),
        "stack.scripts": folder.asked(compose.shared(settings), *(f"scripts/{kind}" for kind in additions.KINDS)),
        "stack.container": engine(f"/containers/{settings.stack.name}/json"),
    }


def read(settings: Settings, answers: Answers) -> Container:
    """Make a Container of the answers."""
    answer = answers["stack.container"]
    found = answer.json() if answer.ok else {}
    state = found.get("State") or {}
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Container(
        image=image.read(settings, answers),
        compose=answers["stack.compose"].file(),
        ca_hash=answers["stack.ca"].out[:64],
        id=found.get("Id", ""),
        image_id=found.get("Image", ""),
        configuration=labels.get(compose.CONFIGURATION, ""),
        status=state.get("Status", ""),
        health=(state.get("Health") or {}).get("Status", ""),
        started=state.get("StartedAt", ""),
        ours=labels.get(astray.PROJECT) == settings.stack.name and compose.CONFIGURATION in labels,
        volumes=tuple(answers["stack.volumes"].out.split()) if "stack.volumes" in answers else (),
        others=ports.containers(answers),
        listeners=tuple(answers["ports.listeners"].out.splitlines()),
        stacks=ports.stacks(answers),
        scripts=folder.read(compose.shared(settings), answers["stack.scripts"]),
        astray=astray.read(settings, answers),
        unnamed=astray.unnamed(answers),
        foreign=astray.foreign(settings, answers),
    )
