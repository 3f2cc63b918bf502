"""image.rollback: the former image back under its name; what was there becomes the former one, so twice is forth again.

Each build that succeeds keeps the image it replaces under a tag of its own (build.py). After a rollback `setup` leaves
the image as it is, and says so, until the settings ask for another one than was rolled back or `image.build` is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpudock.actions import Action, Write, remove, shell
from gpudock.answers import Answers
from gpudock.command import Job, command
from gpudock.errors import Refused
from gpudock.questions import Questions
from gpudock.questions import engine as engine_api
from gpudock.settings import Settings
from gpudock.step import Step
from gpudock.steps import engine, image, stack, work
from gpudock.steps.build import INPUTS, previous
from gpudock.steps.container import Container
from gpudock.steps.image import Image
from gpudock.steps.inputs import fingerprint

# Cut off anywhere, the former image is still under one of the two names, and the same command does the rest.
SWAP = """new=$1 former=$2 aside=$2-aside
docker tag "$new" "$aside"; docker tag "$former" "$new"; docker tag "$aside" "$former"; docker image rm "$aside"
"""


@dataclass(frozen=True)
class Former:
    """The image on a host and the one it replaced; `id` is empty where there is none."""

    image: Image
    id: str
    inputs: str
    created: str


def questions(settings: Settings) -> Questions:
    """What to know of both."""
    return {**image.questions(settings), "former": engine_api(f"/images/{previous(settings.image.name)}/json")}


def read(settings: Settings, answers: Answers) -> Former:
    """Make a Former of the answers."""
    found = answers["former"].json() if answers["former"].ok else {}
    labels: dict[str, Any] = (found.get("Config") or {}).get("Labels") or {}
    known = image.read(settings, answers)
    return Former(known, found.get("Id", ""), labels.get(INPUTS, ""), found.get("Created", ""))


def plan(settings: Settings, former: Former, target: str, *, running: bool) -> list[Action]:
    """Bring the image `target` back under the name, and remember that setup shall not build over it.

    The work in a `running` container is looked for before, as the stack starts anew afterwards.
    """
    name = settings.image.name
    if former.image.id == target:
        return []
    wanted = fingerprint(settings, former.image.machine)
    hold = image.hold_path(settings)
    remember = (
        remove("let setup build again, as this is what the settings say", hold)
        if former.inputs == wanted
        else Write("have setup leave this image as it is", hold, f"{wanted}\n")
    )
    why = f"bring back the image of {former.created[:16].replace('T', ' ')}, {target.removeprefix('sha256:')[:12]}"
    spare = work.spare(settings, "The container would start anew, of its former image") if running else []
    return [*spare, remember, shell(why, SWAP, name, previous(name))]


def step(target: str, *, running: bool = False) -> Step[Former]:
    """The step that brings one image back."""

    def planned(settings: Settings, former: Former) -> list[Action]:
        return plan(settings, former, target, running=running)

    return Step("image.rollback", rollback.__doc__ or "", questions, read, planned)


@command(name="rollback")
def rollback(job: Job) -> None:
    """Bring the former image back and start the stack anew; again: forth to the one that was rolled back."""
    former: Former = job.facts(step(""))
    engine.need(former.image.engine)
    if not former.id:
        raise Refused(
            f"There is no former image of {job.settings.image.name}: a build keeps the image it replaces, and none has "
            "replaced one here."
        )
    there: Container = job.facts(stack.UP)
    job.converge(step(former.id, running=there.running), *([stack.UP] if there.id else []))
