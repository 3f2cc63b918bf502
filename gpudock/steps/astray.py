"""What the stack leaves: containers that have not its name, and the image that a container alone still held.

Compose renames a container that it replaces, and may break off then. An image that was replaced twice while its
container ran on, as work in it was not to be ended, has lost its names, and could not be removed by the build.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from gpudock.actions import Action, Run, shell
from gpudock.answers import Answers
from gpudock.errors import Refused
from gpudock.questions import Questions, engine
from gpudock.settings import Settings
from gpudock.steps import ports, work
from gpudock.steps.build import INPUTS
from gpudock.steps.compose import CONFIGURATION

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
FORGET = """said=$(docker image rm "$1" 2>&1) && echo "$said" || case $said in
  *conflict:*) echo "it stays: another container has it";; *"No such image"*) ;; *) echo "$said"; exit 1;;
esac"""


def questions(settings: Settings) -> Questions:
    """All containers, running or not, and images of ours without a name."""
    unnamed = json.dumps({"dangling": ["true"], "label": [INPUTS]})
    return {**ports.CONTAINERS, "stack.unnamed": engine(f"/images/json?filters={quote(unnamed)}")}


def read(settings: Settings, answers: Answers) -> tuple[str, ...]:
    """The names of the stack's containers that are not called as it is."""
    return tuple(name for name, ours in _others(settings, answers) if ours)


def foreign(settings: Settings, answers: Answers) -> tuple[str, ...]:
    """The names of somebody else's containers, whose Compose project has the stack's name."""
    return tuple(name for name, ours in _others(settings, answers) if not ours)


def _others(settings: Settings, answers: Answers) -> list[tuple[str, bool]]:
    """The containers of the Compose project of the stack's name, its own left out, and whether they are the stack's."""
    stack = settings.stack.name
    labelled = [(row["Names"], row.get("Labels") or {}) for row in ports.every(answers)]
    return [
        (name.lstrip("/"), labels.get(SERVICE) == stack and CONFIGURATION in labels)
        for names, labels in labelled
        for name in names
        if labels.get(PROJECT) == stack != name.lstrip("/")
    ]


def need_free_name(settings: Settings, there: str, theirs: Sequence[str]) -> None:
    """Raise Refused where somebody else has a container of the stack's name, its id `there`, or a project of it."""
    name = settings.stack.name
    if there:
        raise Refused(
            f"A container named {name} is here already and is not gpudock's, so it is left alone. Choose another name "
            f"(--set stack.name=…), or remove it yourself: docker rm -f {name}"
        )
    if theirs:  # Compose would take them for ours
        raise Refused(
            f"A Compose project named {name} is here already and is not gpudock's, so it is left alone, with its "
            f"containers {', '.join(theirs)}. Choose another name: --set stack.name=…"
        )


def unnamed(answers: Answers) -> tuple[str, ...]:
    """The ids of the images without a name."""
    answer = answers["stack.unnamed"]
    return tuple(found["Id"] for found in (answer.json() if answer.ok else ()))


def forget(image: str, without_name: Sequence[str]) -> list[Action]:
    """Remove the image of a container that has just gone, if it has no name: it is gigabytes that nobody needs."""
    return [shell("remove the image it ran before", FORGET, image)] if image in without_name else []


def gather(settings: Settings, names: Sequence[str]) -> list[Action]:
    """Remove them, unless somebody works in one."""
    actions: list[Action] = []
    for name in names:
        actions += work.spare(settings, f"{name}, left by a start that broke off, would be removed", name=name)
        actions.append(Run(f"remove {name}, left by a start that broke off", ("docker", "rm", "--force", name)))
    return actions
