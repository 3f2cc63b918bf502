"""Where an image is pushed from: the operator's own engine or that of image.build_host, opened once a run.

The first host that needs it opens it (its registry runs, the image is in there, and its stages); the last one that
is done closes it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import invoke

from gpudock import forward, through
from gpudock.command import program
from gpudock.config import load
from gpudock.errors import ActionFailed, GpudockError, Refused
from gpudock.failures import next_move
from gpudock.forward import Dial
from gpudock.host import Host, Line
from gpudock.questions import ask
from gpudock.runner import LOCAL
from gpudock.settings import Settings
from gpudock.steps import engine, image
from gpudock.steps.image import Image
from gpudock.steps.registry import Registry
from gpudock.steps.stages import Repository

REPOSITORY = "gpudock"

# The name that a registry's address gives the image is only for the way.
PUSH = """client=$1 name=$2 there=$3; trap '"$client" image rm --no-prune "$there" >/dev/null 2>&1' EXIT
"$client" tag "$name" "$there"; "$client" push "$there\""""
DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


@dataclass(frozen=True)
class Source:
    """An image in an open registry: how to dial it, the image's digest there, its size in bytes, and its stages."""

    dial: Dial
    digest: str
    size: int
    stages: tuple[str, ...]


@dataclass
class _Lent:
    """A source and how many hosts use it; `error` is why it could not be opened."""

    lock: Lock = field(default_factory=Lock)
    users: int = 0
    host: Host | None = None
    image: Image | None = None
    source: Source | None = None
    error: GpudockError | None = None
    held: ExitStack = field(default_factory=ExitStack)

    def end(self) -> None:
        """Close it; who comes later opens it anew."""
        self.host = self.image = self.source = None
        self.held.close()


_lent: dict[tuple[str, str], _Lent] = {}
_lending = Lock()


@contextmanager
def shared(host: Host, settings: Settings, wanted: str, on_line: Line) -> Iterator[Source]:
    """Yield the source that the settings name, for `host`, opened by the first of those who share it.

    `wanted` is the label its image must bear. Raises GpudockError.
    """
    with _lending:
        lent = _lent.setdefault((settings.image.build_host, settings.image.name), _Lent())
    try:
        yield _take(lent, host, settings, wanted, on_line)
    finally:
        with lent.lock:
            lent.users -= 1
            if not lent.users:
                lent.end()


def _take(lent: _Lent, host: Host, settings: Settings, wanted: str, on_line: Line) -> Source:
    with lent.lock:
        lent.users += 1
        if lent.error:
            raise lent.error
        try:
            if lent.host is None or lent.image is None:
                lent.host = _reach(lent.held, host.context, settings.image.build_host)
                lent.image = _look(lent.host, settings)
            if lent.image.inputs != wanted:
                raise _another(host, lent.host, settings)
            if lent.source is None:
                lent.source = _open(lent.held, lent.host, lent.image, settings, on_line)
        except Refused:
            raise
        except GpudockError as error:
            lent.error = error
            raise
        return lent.source


def _look(host: Host, settings: Settings) -> Image:
    found = image.read(settings, ask(host, image.questions(settings)))
    engine.need(found.engine)
    if not found.id:
        raise Refused(
            f"{host.name} has no image {settings.image.name} to send. Build it there first: {_build(host)}; or name "
            "another host with image.build_host."
        )
    return found


def _another(host: Host, source: Host, settings: Settings) -> Refused:
    if host.is_local and source.is_local:
        return Refused(
            "The image would come from this machine itself: `inv image.build` builds it, or name a host: --from."
        )
    return Refused(
        f"The image {settings.image.name} on {source.name} was not built from what {host.name} is to get: it is older "
        "than the settings or docker/, or the two differ in settings or in having a GPU. Run "
        f"`{_build(source)}` first, or name another host with image.build_host or --from; nothing was changed."
    )


def _open(held: ExitStack, host: Host, found: Image, settings: Settings, on_line: Line) -> Source:
    own = held.enter_context(through.opened(host, load(host=settings.image.build_host or None))).settings
    port = held.enter_context(Registry(host, own).serving(on_line))
    dial = partial(forward.dial, host.context, port)
    digest = _push(host, found, settings, port, on_line)
    try:
        size, stages = Repository(dial, REPOSITORY).publish_stages(digest, settings.image.push_stage * 10**6)
    except OSError as error:
        raise ActionFailed("put the image into stages", output=str(error), next_move=next_move(str(error))) from None
    return Source(dial, digest, size, tuple(stages))


def _reach(held: ExitStack, context: invoke.Context, name: str) -> Host:
    if not name:
        return Host(invoke.Context(config=context.config), LOCAL)
    from gpudock import fleet  # Fabric costs 230 ms

    return Host(held.enter_context(fleet.connect(fleet.connection(name, context.config))), name)


def _push(host: Host, found: Image, settings: Settings, port: int, on_line: Line) -> str:
    tag = re.sub(r"[^\w.-]", "-", settings.image.name)[:128]
    there = f"127.0.0.1:{port}/{REPOSITORY}:{tag}"
    on_line(f"{host.name} packs what is new of {settings.image.name}")
    argv = ("sh", "-ec", PUSH, "sh", found.engine.client, settings.image.name, there)
    done = host.do(argv, on_line=on_line)
    if done.code or not (digest := DIGEST.search(done.output)):
        doing = f"bring {settings.image.name} into the registry on {host.name} ({shlex.join(argv[-3:])})"
        raise ActionFailed(doing, output=done.output, next_move=next_move(done.output))
    return digest[1]


def _build(host: Host) -> str:
    return "inv image.build" if host.is_local else f"{program(host)} image.build"
