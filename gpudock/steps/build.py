"""2.2 The build: by BuildKit, with secrets by mount, so that no address with a password stays in a layer."""

from __future__ import annotations

from gpudock.actions import Action, Run, Write
from gpudock.settings import Settings
from gpudock.steps import apt, trust
from gpudock.steps.engine import Engine
from gpudock.steps.inputs import arguments
from gpudock.steps.machine import Machine

INPUTS = "gpudock.inputs"  # the label that holds the hash of all that goes into the image

# Leaves no secrets behind, and keeps the image it replaces under a tag of its own, once the new one is whole.
BUILD = """secrets=$1 name=$2 former=$3 client=$4; shift 3; aside=$former-aside
trap 'rm -rf "$secrets"; "$client" image rm "$aside" >/dev/null 2>&1' EXIT
"$client" tag "$name" "$aside" >/dev/null 2>&1
"$@" || exit
id() { "$client" image inspect --format '{{.Id}}' "$1" 2>/dev/null; }
[ -z "$(id "$aside")" ] || [ "$(id "$aside")" = "$(id "$name")" ] || "$client" tag "$aside" "$former\""""


def previous(name: str) -> str:
    """The name under which the image that a build replaces is kept: `chatbot:previous`, `chatbot:1.2-previous`."""
    tagged = ":" in name.rpartition("/")[2]
    return f"{name}-previous" if tagged else f"{name}:previous"


def secrets(settings: Settings, machine: Machine, folder: str) -> dict[str, Action]:
    """The build's secrets by id, each with the action that makes its file.

    An address may hold a password, and a CA bundle has no place in a layer.
    """
    texts = {
        "pypi_index": settings.mirrors.pypi,
        "apt_mirror": settings.mirrors.apt,
        "python_mirror": settings.mirrors.python,
    }
    made: dict[str, Action] = {
        name: Write(f"hand the build its {name}", f"{folder}/{name}", text, mode=0o600, secret=True)
        for name, text in texts.items()
        if text
    }
    if trust.given(settings, machine):
        made["ca"] = trust.place(settings, machine, "hand the build its certificates", f"{folder}/ca")
    return made


def build(settings: Settings, engine: Engine, folder: str, wanted: str) -> list[Action]:
    """Build what lies in `folder`/context; `wanted` is the hash that the image's label will hold."""
    handed = secrets(settings, engine.machine, f"{folder}/secrets")
    proxies = {name: value for name, value in apt.environment(settings).items() if name.endswith("_proxy")}
    argv = [engine.client, "build", "--progress=plain", "--tag", settings.image.name]
    argv += ["--label", f"{INPUTS}={wanted}"]
    for name, value in arguments(settings, engine.machine).items():
        argv += ["--build-arg", f"{name}={value}"]
    for name in proxies:
        argv += ["--build-arg", name]  # its value comes from the environment: a proxy's address may hold a password
    for name in handed:
        argv += ["--secret", f"id={name},src={folder}/secrets/{name}"]
    argv.append(f"{folder}/context")
    environment = {"DOCKER_BUILDKIT": "1", **proxies}
    name = settings.image.name
    wrapped = ("sh", "-c", BUILD, "sh", f"{folder}/secrets", name, previous(name), *argv)
    return [*handed.values(), Run(f"build the image {settings.image.name}", wrapped, environment=environment)]
