"""The way back: stack, image and gpudock's files go; what was here before gpudock is not touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpudock.actions import Action
from gpudock.actions import shell as command
from gpudock.answers import Answers
from gpudock.questions import Questions, shell
from gpudock.settings import Settings
from gpudock.step import Step
from gpudock.steps import engine, image, ports, stack, toolkit
from gpudock.steps.image import Image

# By name, as host.state may be somebody's folder. What stacks share stays as long as there is another one, and the
# record that `toolkit.uninstall` goes by as long as the toolkit that gpudock brought is here.
OURS = """ours() {
  [ ! -e "$1/$2" ] || echo "$1/$2"
  for other in "$1"/*/compose.yml; do [ ! -e "$other" ] || [ "$other" = "$1/$2/compose.yml" ] || return 0; done
  for name in build doctor registry rolled-back gpu-proof toolkit; do
    [ ! -e "$1/$name" ] || [ -e "$1/$name/before" ] || echo "$1/$name"
  done
}
"""
LOOK = OURS + 'ours "$1" "$2"'
CLEAN = OURS + 'ours "$1" "$2" | while IFS= read -r path; do rm -rf -- "$path"; done; rmdir "$1" 2>/dev/null || :'


def steps(*, volumes: bool, with_toolkit: bool) -> tuple[Step[Any], ...]:
    """The steps of `teardown`, in order."""
    back = (toolkit.UNINSTALL,) if with_toolkit else ()
    return (stack.down_step(volumes=volumes), IMAGE, *back, FILES)


@dataclass(frozen=True)
class Used:
    """The image on a host, and the containers that are made of it, the stack's own left out."""

    image: Image
    by: tuple[str, ...]


def _image_questions(settings: Settings) -> Questions:
    return {**image.questions(settings), **ports.CONTAINERS}


def _image_read(settings: Settings, answers: Answers) -> Used:
    found = image.read(settings, answers)
    names = (each["Names"][0].lstrip("/") for each in ports.every(answers) if each["ImageID"] == found.id)
    return Used(found, tuple(name for name in names if name != settings.stack.name))


def plan_image(settings: Settings, used: Used) -> list[Action]:
    """Remove the image."""
    engine.need(used.image.engine)
    return image.forget(settings) if used.image.id else []


def keep_image(settings: Settings, used: Used) -> str | None:
    """Leave the image to others who use it: Docker would not let it go."""
    return f"made of it: {', '.join(used.by)}" if used.by else None


def _files_questions(settings: Settings) -> Questions:
    return {"host.files": shell(LOOK, settings.host.state, settings.stack.name)}


def _files_read(settings: Settings, answers: Answers) -> bool:
    return bool(answers["host.files"].out.strip())


def _plan_files(settings: Settings, there: bool) -> list[Action]:
    return [command("remove gpudock's files", CLEAN, settings.host.state, settings.stack.name)] if there else []


IMAGE = Step("image.remove", "Remove the image.", _image_questions, _image_read, plan_image, keep_image)
FILES = Step("host.clean", "Remove gpudock's files from the host.", _files_questions, _files_read, _plan_files)
