"""Containers of anybody that have GPUs: a daemon-reload, which installing the toolkit runs, can take them away.

So those that see their GPUs are noted before, and asked again afterwards (nvidia-container-toolkit#48).
"""

from __future__ import annotations

from dataclasses import dataclass

from gpudock.actions import Action, shell
from gpudock.answers import Answers
from gpudock.errors import ProblemsFound
from gpudock.questions import Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps.toolkit import record
from gpudock.steps.toolkit.facts import Toolkit

# Whether a container sees its GPUs, and a line for each running one that has some: name and id. Without nvidia-smi
# inside, opening the control device tells: it is the device cgroup that loses it. A paused container cannot be asked,
# nor one that ends meanwhile, and a GPU that sleeps may take longer than is waited: none of them has lost anything.
SEES = """runs() { docker ps -q --no-trunc --filter status=running | grep -qxF "$1"; }
sees() {
  if docker exec "$1" sh -c 'command -v nvidia-smi' >/dev/null 2>&1; then timeout 20 docker exec "$1" nvidia-smi -L
  else docker exec "$1" sh -c ': </dev/nvidiactl'; fi >/dev/null 2>&1
}
with_gpus() {
  shown='{{.Name}} {{.Id}} {{.HostConfig.Runtime}} {{json .HostConfig.DeviceRequests}} {{json .HostConfig.Devices}}'
  docker ps -q | xargs -r docker inspect -f "$shown" |
  grep -E ' nvidia |"nvidia|"gpu"|/dev/nvidia' | while read -r name id rest; do echo "${name#/} $id"; done
}
"""
NOTE = (
    SEES
    + """mkdir -p -m 0755 "$1"; with_gpus | while read -r name id; do
  ! sees "$name" </dev/null || echo "$name $id"; done >"$1/sighted.new"; mv "$1/sighted.new" "$1/sighted\""""
)
LOST = (
    SEES
    + """[ -s "$1/sighted" ] || exit 0; echo; while read -r name id; do
  runs "$id" || continue; sees "$name" </dev/null && continue
  [ $? = 124 ] || ! runs "$id" || echo "$name"; done <"$1/sighted\""""
)


def note(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Note which containers see their GPUs, where any container runs at all."""
    if not toolkit.engine.running:
        return []
    return [shell("note which containers see their GPUs", NOTE, record.folder(settings))]


@dataclass(frozen=True)
class Lost:
    """The containers that saw their GPUs before the toolkit's packages changed, run on, and see none now.

    `noted` tells whether there were any that saw some.
    """

    names: tuple[str, ...]
    noted: bool = True


def questions(settings: Settings) -> Questions:
    """Whether a container lost its GPUs: asked only of those noted before, so mostly of none."""
    return {"toolkit.lost": question(LOST, record.folder(settings))}


def read(settings: Settings, answers: Answers) -> Lost:
    """Make a Lost of the answer."""
    said = answers["toolkit.lost"].out
    return Lost(tuple(said.split()), bool(said))


def skip(settings: Settings, lost: Lost) -> str | None:
    """Leave it out of a chain where nobody has anything to lose."""
    return None if lost.noted else ""


def plan(settings: Settings, lost: Lost) -> list[Action]:
    """Raise ProblemsFound, with the command that brings the GPUs back, where a container lost them."""
    if lost.names:
        raise ProblemsFound(
            f"{', '.join(lost.names)} saw GPUs before the toolkit's packages changed and sees none now: systemd's "
            "daemon-reload took them away. What brings them back, and stops what runs inside: docker restart "
            + " ".join(lost.names)
        )
    return []
