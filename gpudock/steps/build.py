"""2.2 The build: by BuildKit, with secrets by mount, so that no address with a password stays in a layer."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import gpudock
from gpudock.actions import Action, Run, Write
from gpudock.errors import ActionFailed
from gpudock.failures import next_move
from gpudock.host import Host, Line
from gpudock.settings import Settings
from gpudock.steps import base, compose, trust
from gpudock.steps.engine import Engine
from gpudock.steps.inputs import CONTEXT, arguments, lock_hash
from gpudock.steps.machine import Machine
from gpudock.steps.progress import Progress, failure

INPUTS = "gpudock.inputs"  # the label that holds the hash of all that goes into the image
OCI = "org.opencontainers.image"  # https://github.com/opencontainers/image-spec/blob/main/annotations.md

# `keep IMAGE` puts an image under the name $former. The one that had this name is gigabytes that nobody needs: it goes,
# unless it has another name (`image rm ID` would take that away too) or a container (where it refuses by itself).
KEEP = """id() { "$client" image inspect --format '{{.Id}}' "$1" 2>/dev/null || :; }
names() { "$client" image inspect --format '{{len .RepoTags}} {{len .RepoDigests}}' "$1" 2>/dev/null || :; }
keep() {
  old=$(id "$former")
  "$client" tag "$1" "$former"
  [ "$(names "$old")" != '0 0' ] || "$client" image rm "$old" >/dev/null 2>&1 || :
}
"""

# What only the host knows is made a label here: the time, and which image the base's name meant; labels come last and
# change no layer. Leaves no secrets behind, and keeps the image it replaces under a tag of its own, once the new one is
# whole. BuildKit clears its caches as it likes: what docker/build/install misses then is fetched again.
SCRIPT = (
    KEEP
    + """secrets=$1 client=$2 name=$3 former=$4 base=$5 oci=$6; shift 6; aside=$former-aside
said=$(mktemp -d) || exit
trap 'rm -rf "$secrets" "$said"; "$client" image rm "$aside" >/dev/null 2>&1' EXIT
[ -w "${HOME:-/root}" ] || export BUILDX_CONFIG="$said/buildx"  # it keeps notes at home, which may be read-only
"$client" tag "$name" "$aside" >/dev/null 2>&1
digest=$("$client" image inspect --format '{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}' "$base")
build() {
  { "$client" build --label "$oci.created=$(date -u +%Y-%m-%dT%H:%M:%SZ)" \\
    --label "$oci.base.digest=${digest##*@}" "$@" 2>&1 || echo failed >"$said/failed"; } | tee "$said/output"
  ! rm "$said/failed" 2>/dev/null
}
gone() { grep -q "gone from the builder's cache" "$said/output"; }
build "$@" || { gone && build --build-arg "FETCH=$(date +%s)" "$@"; } || exit 1
[ -z "$(id "$aside")" ] || [ "$(id "$aside")" = "$(id "$name")" ] || keep "$aside"
"$client" image inspect --format 'image of {{.Size}} bytes' "$name\""""
)


def previous(name: str) -> str:
    """The name under which the image that a build replaces is kept: `chatbot:previous`, `chatbot:1.2-previous`."""
    tagged = ":" in name.rpartition("/")[2]
    return f"{name}-previous" if tagged else f"{name}:previous"


def secrets(settings: Settings, machine: Machine, folder: str) -> dict[str, Action]:
    """The build's secrets by id, each with the action that makes its file.

    An address may hold a password, and a CA bundle has no place in a layer.
    """
    conda = settings.image.env == "conda"
    texts = {
        "pypi_index": settings.mirrors.pypi,
        "apt_mirror": settings.mirrors.apt,
        "python_mirror": settings.mirrors.python,
        "miniforge_mirror": settings.mirrors.miniforge if conda else "",
        "conda_mirror": settings.mirrors.conda if conda else "",
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
    proxies = settings.network.environment
    argv = ["--progress=plain", "--tag", settings.image.name]
    for name, value in {INPUTS: wanted, **labels(settings, engine.machine)}.items():
        argv += ["--label", f"{name}={value}"]
    for name, value in arguments(settings, engine.machine).items():
        argv += ["--build-arg", f"{name}={value}"]
    for name in proxies:
        argv += ["--build-arg", name]  # its value comes from the environment: a proxy's address may hold a password
    if any(urlsplit(proxy).hostname in compose.LOOPBACK for proxy in proxies.values()):
        argv += ["--network", "host"]  # a build's own network does not lead to the host's loopback
    for name in handed:
        argv += ["--secret", f"id={name},src={folder}/secrets/{name}"]
    argv.append(f"{folder}/context")
    name = settings.image.name
    known = (engine.client, name, previous(name), base.tag(settings, engine.machine), OCI)
    wrapped = ("sh", "-c", SCRIPT, "sh", f"{folder}/secrets", *known, *argv)
    environment = {"DOCKER_BUILDKIT": "1", **proxies}
    return [*handed.values(), Build(f"build the image {name}", wrapped, environment=environment)]


def labels(settings: Settings, machine: Machine) -> dict[str, str]:
    """What the image tells of where it comes from; the time and the base's digest are added on the host."""
    return {
        f"{OCI}.title": settings.image.name,
        f"{OCI}.version": gpudock.__version__,
        f"{OCI}.revision": revision(),
        f"{OCI}.base.name": base.reference(settings, machine),
        "gpudock.lock": lock_hash(settings, machine),
    }


@cache
def revision() -> str:
    """The commit of this checkout, with `-dirty` behind it where files differ; empty outside of git."""
    argv = ["git", "-C", str(CONTEXT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


@dataclass(frozen=True)
class Build(Run):
    """A `docker build`, whose output becomes progress: which step, since when, how much was fetched."""

    def apply(self, host: Host, on_line: Line) -> None:
        """Build; `on_line` gets progress in place of BuildKit's lines. Raises ActionFailed."""
        progress = Progress()
        done = host.do(
            self.argv, data=self.data, environment=self.environment, on_line=lambda text: on_line(progress.tell(text))
        )
        if done.code:
            raise ActionFailed(self.why, output=failure(done.output), next_move=next_move(done.output))
