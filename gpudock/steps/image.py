"""2. The image: a base, Python, the environment with its packages, SSH, a supervisor.

The Dockerfile is docker/Dockerfile and builds by hand too; this step chooses its arguments and builds only when
something that goes into it has changed, which a label on the image tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpudock.actions import Action, Push, Run, Write, shell
from gpudock.command import Job, command, namespace
from gpudock.converge import Step
from gpudock.questions import Answers, Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import apt, engine, trust
from gpudock.steps.engine import Engine
from gpudock.steps.machine import Machine

CONTEXT = Path(__file__).parents[2] / "docker"
INPUTS = "gpudock.inputs"  # the label that holds the hash of all that goes into the image

# The release whose own Python is the one asked for, so that none has to be fetched from GitHub.
RELEASES = {"3.10": "jammy", "3.11": "bookworm", "3.12": "noble", "3.13": "trixie"}
REGISTRY_IMAGES = {
    "jammy": "ubuntu:22.04",
    "noble": "ubuntu:24.04",
    "bookworm": "debian:12-slim",
    "trixie": "debian:13-slim",
}
DEFAULT_RELEASE = "bookworm"

# `manifest inspect` asks little and gives up in time where the registry is slow or blocked.
BASE = """mode=$1 reference=$2 release=$3 tag=$4 client=$5 context=$6; shift 6
if [ "$mode" != bootstrap ]; then
  if timeout 30 "$client" manifest inspect "$reference" >/dev/null 2>&1 && "$client" pull "$reference"; then
    exec "$client" tag "$reference" "$tag"
  fi
  echo "no registry serves $reference to this host"
  [ "$mode" = auto ] || exit 1
fi
PATH="$(dirname "$client"):$PATH" exec sh "$context/bootstrap-base" "$@" "$release" "$tag\""""

WITHOUT_TRACES = """trap 'rm -rf "$secrets"' EXIT; secrets=$1; shift; "$@\""""

INSPECT = """docker image inspect --format '{{json .}}' "$1" 2>&1"""


@dataclass(frozen=True)
class Image:
    """The image on a host. `id` is empty where there is none."""

    engine: Engine
    id: str
    inputs: str
    created: str
    size: int
    base: bool
    bootstrap: bool

    @property
    def machine(self) -> Machine:
        """The host it is on."""
        return self.engine.machine


def questions(settings: Settings) -> Questions:
    """What to know of the image, its base, and the tool that can make one."""
    return {
        **engine.questions(settings),
        "image": question(INSPECT, settings.image.name),
        "image.base.registry": question(INSPECT, base_tag(settings, gpu=True)),
        "image.base.plain": question(INSPECT, base_tag(settings, gpu=False)),
        "image.bootstrap": question("command -v mmdebstrap"),
    }


def read(settings: Settings, answers: Answers) -> Image:
    """Make an Image of the answers."""
    known = engine.read(settings, answers)
    gpu = wants_gpu(settings, known.machine)
    found = answers["image"].json() if answers["image"].ok else {}
    return Image(
        engine=known,
        id=found.get("Id", ""),
        inputs=((found.get("Config") or {}).get("Labels") or {}).get(INPUTS, ""),
        created=found.get("Created", ""),
        size=int(found.get("Size", 0)),
        base=answers["image.base.registry" if gpu else "image.base.plain"].ok,
        bootstrap=answers["image.bootstrap"].ok,
    )


def plan(settings: Settings, image: Image) -> list[Action]:
    """2.2 Build the image where what goes into it has changed; the former one stays until the new one is whole."""
    engine.need(image.engine)
    wanted = inputs(settings, image.machine)
    if image.inputs == wanted:
        return []
    folder = f"{settings.host.state}/build"
    actions: list[Action] = [Push("send the build context", CONTEXT, f"{folder}/context")]
    if not image.base:
        actions += _base(settings, image, folder)
    return [*actions, *_secrets(settings, image.machine, folder).values(), _build(settings, image, folder, wanted)]


def wants_gpu(settings: Settings, machine: Machine) -> bool:
    """Whether the container is to see GPUs."""
    return settings.gpu.use != "off" and bool(machine.driver)


def release(settings: Settings) -> str:
    """The distribution release for the Python asked for."""
    return RELEASES.get(settings.image.python, DEFAULT_RELEASE)


def registry_reference(settings: Settings, *, gpu: bool) -> str:
    """The base image as the registry, or its mirror, calls it."""
    reference = settings.image.registry_base if gpu else REGISTRY_IMAGES[release(settings)]
    if not settings.mirrors.registry:
        return reference
    path = reference if "/" in reference else f"library/{reference}"
    return f"{settings.mirrors.registry.rstrip('/')}/{path}"


def base_tag(settings: Settings, *, gpu: bool) -> str:
    """The local name of the base, the same wherever it came from."""
    kind = "gpu" if gpu and settings.image.base != "bootstrap" else "plain"
    return f"gpudock/base:{kind}-{release(settings)}"


def groups(settings: Settings, machine: Machine) -> tuple[str, ...]:
    """The package groups; `auto` leaves out what brings CUDA along where there is no GPU."""
    if tuple(settings.image.groups) != ("auto",):
        return tuple(settings.image.groups)
    return ("notebook", "app", "torch", "llm") if wants_gpu(settings, machine) else ("notebook", "app")


def arguments(settings: Settings, machine: Machine) -> Mapping[str, str]:
    """The Dockerfile's build arguments; none of them is secret."""
    return {
        "BASE": base_tag(settings, gpu=wants_gpu(settings, machine)),
        "PYTHON": settings.image.python,
        "ENVIRONMENT": settings.image.environment,
        "PACKAGE_GROUPS": " ".join(groups(settings, machine)),
    }


def inputs(settings: Settings, machine: Machine) -> str:
    """The hash of all that goes into the image: the context's files and the arguments."""
    text = json.dumps([context_hash(), arguments(settings, machine)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def context_hash() -> str:
    """The hash of the build context: paths, contents, and which files can be executed."""
    whole = hashlib.sha256()
    for path in _files():
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        content = hashlib.sha256(path.read_bytes()).digest()
        whole.update(str(path.relative_to(CONTEXT)).encode() + b"\0" + executable + content)
    return whole.hexdigest()


def _files() -> Iterator[Path]:
    return (path for path in sorted(CONTEXT.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _secrets(settings: Settings, machine: Machine, folder: str) -> dict[str, Action]:
    """The build's secrets by id, each with the action that makes its file.

    An address may hold a password, and a CA bundle has no place in a layer.
    """
    texts = {
        "pypi_index": settings.mirrors.pypi,
        "apt_mirror": settings.mirrors.apt,
        "python_mirror": settings.mirrors.python,
    }
    made: dict[str, Action] = {
        name: Write(f"hand the build its {name}", f"{folder}/secrets/{name}", text, mode=0o600, secret=True)
        for name, text in texts.items()
        if text
    }
    if trust.given(settings, machine):
        made["ca"] = trust.place(settings, machine, "hand the build its certificates", f"{folder}/secrets/ca")
    return made


def _base(settings: Settings, image: Image, folder: str) -> list[Action]:
    gpu = wants_gpu(settings, image.machine)
    reference, tag = registry_reference(settings, gpu=gpu), base_tag(settings, gpu=gpu)
    actions: list[Action] = []
    if settings.image.base != "registry" and not image.bootstrap:
        actions += [
            apt.update(settings, "fetch the package lists"),
            apt.install(settings, "install mmdebstrap, which makes a base where no registry answers", "mmdebstrap"),
        ]
    options = ["--mirror", settings.mirrors.apt] if settings.mirrors.apt else []
    argv = (settings.image.base, reference, release(settings), tag, image.engine.client, f"{folder}/context", *options)
    make = Run(f"get the base image {tag}", ("sh", "-ec", BASE, "sh", *argv), environment=apt.environment(settings))
    return [*actions, make]


def _build(settings: Settings, image: Image, folder: str, wanted: str) -> Action:
    proxies = {name: value for name, value in apt.environment(settings).items() if name.endswith("_proxy")}
    argv = [image.engine.client, "build", "--progress=plain", "--tag", settings.image.name]
    argv += ["--label", f"{INPUTS}={wanted}"]
    for name, value in arguments(settings, image.machine).items():
        argv += ["--build-arg", f"{name}={value}"]
    for name in proxies:
        argv += ["--build-arg", name]  # its value comes from the environment: a proxy's address may hold a password
    for name in _secrets(settings, image.machine, folder):
        argv += ["--secret", f"id={name},src={folder}/secrets/{name}"]
    argv.append(f"{folder}/context")
    environment = {"DOCKER_BUILDKIT": "1", **proxies}
    wrapped = ("sh", "-c", WITHOUT_TRACES, "sh", f"{folder}/secrets", *argv)
    return Run(f"build the image {settings.image.name}", wrapped, environment=environment)


@command(name="show")
def show(job: Job) -> None:
    """2.1 Show the Dockerfile and the arguments it is built with."""
    facts: Image = job.facts(BUILD)
    chosen = arguments(job.settings, facts.machine)
    text = (CONTEXT / "Dockerfile").read_text().rstrip("\n")
    lines = "\n".join(f"#   {name}={value}" for name, value in chosen.items())
    job.say(f"# docker/Dockerfile, built with\n{lines}\n\n{text}", arguments=chosen, dockerfile=text)


def forget(settings: Settings) -> list[Action]:
    """Take the image away; what it was built from stays in the engine's cache until that is pruned."""
    script = 'docker image inspect "$1" >/dev/null 2>&1 || exit 0; docker image rm "$1"'
    return [shell(f"remove the image {settings.image.name}", script, settings.image.name)]


BUILD = Step("image.build", "2.2 Build the image, if anything that goes into it has changed.", questions, read, plan)
TASKS = namespace("image", show, BUILD)
