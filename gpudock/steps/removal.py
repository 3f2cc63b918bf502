"""The way back: stack, image and gpudock's files go; what was here before gpudock is not touched."""

from __future__ import annotations

from typing import Any

from gpudock.actions import Action, remove
from gpudock.converge import Step
from gpudock.questions import Answers, Questions, shell
from gpudock.settings import Settings
from gpudock.steps import engine, image, stack, toolkit
from gpudock.steps.image import Image


def steps(*, volumes: bool, with_toolkit: bool) -> tuple[Step[Any], ...]:
    """The steps of `teardown`, in order."""
    ends = (stack.down_step(volumes=volumes), IMAGE, FILES)
    return (*ends, toolkit.UNINSTALL) if with_toolkit else ends


def _plan_image(settings: Settings, facts: Image) -> list[Action]:
    engine.need(facts.engine)
    return image.forget(settings) if facts.id else []


def _files_questions(settings: Settings) -> Questions:
    return {"host.state": shell('[ -e "$1" ]', settings.host.state)}


def _files_read(settings: Settings, answers: Answers) -> bool:
    return answers["host.state"].ok


def _plan_files(settings: Settings, there: bool) -> list[Action]:
    return [remove("remove gpudock's files", settings.host.state)] if there else []


IMAGE = Step("image.remove", "Remove the image.", image.questions, image.read, _plan_image)
FILES = Step("host.clean", "Remove gpudock's files from the host.", _files_questions, _files_read, _plan_files)
