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


def _plan_image(settings: Settings, facts: Image) -> list[Action]:
    engine.need(facts.engine)
    return image.forget(settings) if facts.id else []


def _files_questions(settings: Settings) -> Questions:
    return {"host.files": shell(LOOK, settings.host.state, settings.stack.name)}


def _files_read(settings: Settings, answers: Answers) -> bool:
    return bool(answers["host.files"].out.strip())


def _plan_files(settings: Settings, there: bool) -> list[Action]:
    return [command("remove gpudock's files", CLEAN, settings.host.state, settings.stack.name)] if there else []


IMAGE = Step("image.remove", "Remove the image.", image.questions, image.read, _plan_image)
FILES = Step("host.clean", "Remove gpudock's files from the host.", _files_questions, _files_read, _plan_files)
