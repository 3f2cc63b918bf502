"""The base image: a registry's, directly or by a mirror, or one made on the host from the distribution's packages."""

from __future__ import annotations

import re

from gpudock.actions import Action, Run
from gpudock.settings import Settings
from gpudock.steps import apt, cuda
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

NVIDIA = ("base", "runtime", "devel")  # kinds of NVIDIA's images; none of them can be made here

# What makes a base; from 1.6 on it only recommends Python, whose whole library its filter of archives needs.
BOOTSTRAP = 'set -- /usr/lib/python3*/tarfile.py; command -v mmdebstrap && [ -e "$1" ]'
WITHOUT_REGISTRY = "install mmdebstrap, which makes a base where no registry answers"

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


def reference(settings: Settings, machine: Machine) -> str:
    """The base image as its publisher calls it, `name:tag` or `name:tag@sha256:…`."""
    if settings.image.registry_base:
        return settings.image.registry_base
    flavour = settings.image.base
    if flavour in NVIDIA:
        return cuda.family(settings, machine).base.replace("FLAVOUR", flavour)
    if flavour != "bootstrap" and wants_gpu(settings, machine):
        return cuda.family(settings, machine).base.replace("FLAVOUR", "base")
    return REGISTRY_IMAGES[release(settings)]


def mirrored(settings: Settings, reference: str) -> str:
    """An image's name as the registry's mirror has it; official images get the library/ that a mirror wants."""
    if not settings.mirrors.registry:
        return reference
    path = reference if "/" in reference else f"library/{reference}"
    return f"{settings.mirrors.registry.rstrip('/')}/{path}"


def tag(settings: Settings, machine: Machine) -> str:
    """The local name of the base, the same wherever it came from: an image of that name is not fetched again."""
    name, own = reference(settings, machine), release(settings)
    if settings.image.base == "bootstrap":
        return f"gpudock/base:bootstrap-{own}"
    if name == REGISTRY_IMAGES[own]:
        return f"gpudock/base:{own}"
    short = re.sub(r"@sha256:([0-9a-f]{12}).*", r"-\1", name)
    return f"gpudock/base:{re.sub(r'[^A-Za-z0-9.-]+', '-', short)}-{own}"


def fetch(settings: Settings, engine: Engine, context: str, *, bootstrap: bool) -> list[Action]:
    """Get the base image; `bootstrap` tells whether the tool that can make one is on the host."""
    image = mirrored(settings, reference(settings, engine.machine))
    name = tag(settings, engine.machine)
    mode = "registry" if settings.image.base in NVIDIA else settings.image.base
    actions: list[Action] = []
    if mode != "registry" and not bootstrap:
        actions += [
            apt.update(settings, "fetch the package lists"),
            apt.install(settings, WITHOUT_REGISTRY, "mmdebstrap", "python3"),
        ]
    mirror = settings.mirrors.apt
    options = ["--mirror", "-"] if mirror else []  # its address comes on standard input, as it may hold a password
    argv = (mode, image, release(settings), name, engine.client, context, *options)
    script, data = ("sh", "-ec", BASE, "sh", *argv), f"{mirror}\n".encode()
    return [*actions, Run(f"get the base image {name}", script, data, apt.environment(settings))]
