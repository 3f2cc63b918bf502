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
from gpudock.questions import Questions, engine
from gpudock.settings import Settings
from gpudock.steps import work
from gpudock.steps.build import INPUTS

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
FORGET = """said=$(docker image rm "$1" 2>&1) && echo "$said" || case $said in
  *conflict:*) echo "it stays: another container has it";; *"No such image"*) ;; *) echo "$said"; exit 1;;
esac"""


def questions(settings: Settings) -> Questions:
    """All containers that Compose made for the stack, running or not, and images of ours without a name."""
    filters = json.dumps({"label": [f"{label}={settings.stack.name}" for label in (PROJECT, SERVICE)]})
    unnamed = json.dumps({"dangling": ["true"], "label": [INPUTS]})
    return {
        "stack.all": engine(f"/containers/json?all=1&filters={quote(filters)}"),
        "stack.unnamed": engine(f"/images/json?filters={quote(unnamed)}"),
    }


def read(settings: Settings, answers: Answers) -> tuple[str, ...]:
    """The names of those that are not called as the stack is."""
    answer = answers["stack.all"]
    names = [name.lstrip("/") for found in (answer.json() if answer.ok else ()) for name in found["Names"]]
    return tuple(name for name in names if name != settings.stack.name)


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
