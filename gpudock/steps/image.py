"""2. The image: a base, Python, the environment with its packages, SSH, a supervisor.

The Dockerfile is docker/Dockerfile and builds by hand too; this step chooses its arguments and builds only when
something that goes into it has changed, which a label on the image tells.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from gpudock.actions import Action, Push, Write, remove, shell
from gpudock.answers import Answers
from gpudock.command import Job, command, namespace
from gpudock.questions import Questions, file
from gpudock.questions import engine as engine_api
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.step import Step
from gpudock.steps import additions, base, engine
from gpudock.steps.build import INPUTS, build, previous
from gpudock.steps.engine import Engine
from gpudock.steps.inputs import CONTEXT, arguments, fingerprint
from gpudock.steps.lock import lock
from gpudock.steps.machine import Machine

BASES = f"/images/json?filters={quote(json.dumps({'reference': ['gpudock/base']}))}"


@dataclass(frozen=True)
class Image:
    """The image on a host. `id` is empty where there is none; `bases` are the base images that are there.

    `bootstrap` tells whether the tool that makes a base without a registry is there. `held` is the hash of the inputs
    that were rolled back, which `setup` does not build again.
    """

    engine: Engine
    id: str
    inputs: str
    created: str
    size: int
    bases: tuple[str, ...]
    bootstrap: bool
    held: str = ""

    @property
    def machine(self) -> Machine:
        """The host it is on."""
        return self.engine.machine


def questions(settings: Settings) -> Questions:
    """What to know of the image, its base, and the tool that can make one."""
    return {
        **engine.questions(settings),
        "image": engine_api(f"/images/{settings.image.name}/json"),
        "image.bases": engine_api(BASES),
        "image.bootstrap": question(base.BOOTSTRAP),
        "image.held": file(hold_path(settings)),
    }


def read(settings: Settings, answers: Answers) -> Image:
    """Make an Image of the answers."""
    known = engine.read(settings, answers)
    found = answers["image"].json() if answers["image"].ok else {}
    bases = answers["image.bases"].json() if answers["image.bases"].ok else ()
    return Image(
        engine=known,
        id=found.get("Id", ""),
        inputs=((found.get("Config") or {}).get("Labels") or {}).get(INPUTS, ""),
        created=found.get("Created", ""),
        size=int(found.get("Size", 0)),
        bases=tuple(tag for base in bases for tag in base.get("RepoTags") or ()),
        bootstrap=answers["image.bootstrap"].ok,
        held=(answers["image.held"].file() or "").strip(),
    )


def plan(settings: Settings, image: Image) -> list[Action]:
    """2.2 Build the image where what goes into it has changed; the former one stays until the new one is whole."""
    engine.need(image.engine)
    wanted = fingerprint(settings, image.machine)
    if image.inputs == wanted:
        return []
    folder = f"{settings.host.state}/build"
    actions: list[Action] = [Push("send the build context", CONTEXT, f"{folder}/context")]
    for name, text in additions.context(settings).items():
        mode = 0o755 if name.startswith("scripts/") else 0o644
        actions.append(Write(f"send your {name}", f"{folder}/context/additions/{name}", text, mode=mode))
    if base.tag(settings, image.machine) not in image.bases:
        actions += base.fetch(settings, image.engine, f"{folder}/context", bootstrap=image.bootstrap)
    return [*actions, *build(settings, image.engine, folder, wanted), *release(settings, image)]


def skip(settings: Settings, image: Image) -> str | None:
    """Leave the build out of `setup` where the image is brought from elsewhere, or was rolled back."""
    return rolled_back(settings, image) if settings.image.source == "build" else "image.source is push"


def rolled_back(settings: Settings, image: Image) -> str | None:
    """Why the image that the settings ask for is not wanted on this host; None where it is."""
    wanted = fingerprint(settings, image.machine)
    if image.held != wanted or image.inputs == wanted:
        return None
    return "what the settings say was rolled back: image.rollback goes forth again, image.build builds it anew"


def release(settings: Settings, image: Image) -> list[Action]:
    """End a rollback's hold: a new image is here because somebody asked for it."""
    return [remove("let setup build again", hold_path(settings))] if image.held else []


def hold_path(settings: Settings) -> str:
    """The file on the host with the hash of the inputs that were rolled back."""
    return f"{settings.host.state}/rolled-back/{settings.image.name.replace('/', '_')}"


@command(name="show")
def show(job: Job) -> None:
    """2.1 Show the Dockerfile and the arguments it is built with."""
    facts: Image = job.facts(BUILD)
    chosen = arguments(job.settings, facts.machine)
    text = (CONTEXT / "Dockerfile").read_text().rstrip("\n")
    lines = "\n".join(f"#   {name}={value}" for name, value in chosen.items())
    yours = additions.overview(job.settings)
    added = "".join(f"\n#   your {line}" for line in yours)
    job.say(
        f"# docker/Dockerfile, built with\n{lines}{added}\n\n{text}", arguments=chosen, dockerfile=text, additions=yours
    )


def forget(settings: Settings) -> list[Action]:
    """Take the image away; what it was built from stays in the engine's cache until that is pruned."""
    script = 'for name; do ! docker image inspect "$name" >/dev/null 2>&1 || docker image rm "$name"; done'
    name = settings.image.name
    return [shell(f"remove the image {name}", script, name, previous(name))]


SUMMARY = "2.2 Build the image, if anything that goes into it has changed."
BUILD = Step("image.build", SUMMARY, questions, read, plan, skip)
TASKS = namespace("image", show, BUILD)
TASKS.add_task(lock)
