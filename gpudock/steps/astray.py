"""Containers of the stack that have not its name: Compose renames one that it replaces, and may break off then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from gpudock.actions import Action, Run
from gpudock.questions import Answers, Questions, engine
from gpudock.settings import Settings
from gpudock.steps import work

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


def questions(settings: Settings) -> Questions:
    """All containers that Compose made for the stack, running or not."""
    filters = json.dumps({"label": [f"{label}={settings.stack.name}" for label in (PROJECT, SERVICE)]})
    return {"stack.all": engine(f"/containers/json?all=1&filters={quote(filters)}")}


def read(settings: Settings, answers: Answers) -> tuple[str, ...]:
    """The names of those that are not called as the stack is."""
    answer = answers["stack.all"]
    names = [name.lstrip("/") for found in (answer.json() if answer.ok else ()) for name in found["Names"]]
    return tuple(name for name in names if name != settings.stack.name)


def gather(settings: Settings, names: Sequence[str]) -> list[Action]:
    """Remove them, unless somebody works in one."""
    actions: list[Action] = []
    for name in names:
        actions += work.spare(settings, f"{name}, left by a start that broke off, would be removed", name=name)
        actions.append(Run(f"remove {name}, left by a start that broke off", ("docker", "rm", "--force", name)))
    return actions
