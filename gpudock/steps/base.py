"""The base image: a registry's, directly or by a mirror, or one made on the host from the distribution's packages."""

from __future__ import annotations

from gpudock.actions import Action, Run
from gpudock.settings import Settings
from gpudock.steps import apt
from gpudock.steps.engine import Engine
from gpudock.steps.machine import Machine, wants_gpu

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


def tag(settings: Settings, machine: Machine) -> str:
    """The local name of the base, the same wherever it came from."""
    kind = "gpu" if wants_gpu(settings, machine) and settings.image.base != "bootstrap" else "plain"
    return f"gpudock/base:{kind}-{release(settings)}"


def fetch(settings: Settings, engine: Engine, context: str, *, bootstrap: bool) -> list[Action]:
    """Get the base image; `bootstrap` tells whether the tool that can make one is on the host."""
    reference = registry_reference(settings, gpu=wants_gpu(settings, engine.machine))
    name = tag(settings, engine.machine)
    actions: list[Action] = []
    if settings.image.base != "registry" and not bootstrap:
        actions += [
            apt.update(settings, "fetch the package lists"),
            apt.install(settings, "install mmdebstrap, which makes a base where no registry answers", "mmdebstrap"),
        ]
    options = ["--mirror", settings.mirrors.apt] if settings.mirrors.apt else []
    argv = (settings.image.base, reference, release(settings), name, engine.client, context, *options)
    make = Run(f"get the base image {name}", ("sh", "-ec", BASE, "sh", *argv), environment=apt.environment(settings))
    return [*actions, make]
