"""The way back: stack, image and gpudock's files go; what was here before gpudock is not touched."""

from __future__ import annotations

from typing import Any

from gpudock.actions import Action
from gpudock.actions import shell as command
from gpudock.converge import Step
from gpudock.questions import Answers, Questions, shell
from gpudock.settings import Settings
from gpudock.steps import engine, image, stack, toolkit
from gpudock.steps.image import Image

# As long as the toolkit that gpudock brought is here, so is the record that `toolkit.uninstall` goes by.
OTHERS = """others() { [ -d "$1" ] || return 0
  if [ -d "$1/toolkit/before" ]; then find "$1" -mindepth 1 -maxdepth 1 ! -name toolkit; else echo "$1"; fi; }
"""
LOOK = OTHERS + 'others "$1"'
CLEAN = OTHERS + 'others "$1" | while IFS= read -r path; do rm -rf -- "$path"; done'


def steps(*, volumes: bool, with_toolkit: bool) -> tuple[Step[Any], ...]:
    """The steps of `teardown`, in order."""
    back = (toolkit.UNINSTALL,) if with_toolkit else ()
    return (stack.down_step(volumes=volumes), IMAGE, *back, FILES)


def _plan_image(settings: Settings, facts: Image) -> list[Action]:
    engine.need(facts.engine)
    return image.forget(settings) if facts.id else []


def _files_questions(settings: Settings) -> Questions:
    return {"host.files": shell(LOOK, settings.host.state)}


def _files_read(settings: Settings, answers: Answers) -> bool:
    return bool(answers["host.files"].out.strip())


def _plan_files(settings: Settings, there: bool) -> list[Action]:
    return [command("remove gpudock's files", CLEAN, settings.host.state)] if there else []


IMAGE = Step("image.remove", "Remove the image.", image.questions, image.read, _plan_image)
FILES = Step("host.clean", "Remove gpudock's files from the host.", _files_questions, _files_read, _plan_files)
