"""What types cannot tell of settings: ports used twice, files that are not there, names that nobody knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpudock.errors import SettingsError
from gpudock.files import NO_FILE
from gpudock.inventory import nearest
from gpudock.layers import Key, place
from gpudock.settings import Settings

REQUIREMENTS = Path(__file__).parents[1] / "docker/requirements"
ZONES = Path("/usr/share/zoneinfo")
LAST_PORT = 65535
DEFAULTS = "config/default.yml"


def check(settings: Settings, origins: Mapping[Key, str]) -> None:
    """Find what would fail late, after an image was built. Raises SettingsError with the setting's origin."""
    for name, wrong in _wrong(settings, origins):
        raise SettingsError(f"{place(_origin(name, origins), name)}: {wrong}")


def _origin(name: str, origins: Mapping[Key, str]) -> str:
    parts = tuple(name.split("."))
    return next((origins[key] for key in (parts[:end] for end in range(len(parts), 0, -1)) if key in origins), "")


def _wrong(settings: Settings, origins: Mapping[Key, str]) -> Iterator[tuple[str, str]]:
    """Yield each setting that cannot be, with what is wrong."""
    yield from _ports(settings, origins)
    if settings.network.through and (settings.network.https_proxy or settings.network.http_proxy):
        yield "network.through", "there is a proxy too (network.https_proxy or http_proxy); one of them has to go."
    for layer in ("huggingface", "modelscope"):
        if "@" in getattr(settings.mirrors, layer):
            said = "an address with a password would be in `docker inspect`; give one without."
            yield f"mirrors.{layer}", said
    for name, file in _files(settings):
        if not (NO_FILE.fullmatch(file) or os.path.isfile(os.path.expanduser(file))):
            yield name, f"there is no file {file}."
    known = sorted(path.stem for path in REQUIREMENTS.glob("*.in"))
    for group in () if settings.image.groups == ("auto",) else settings.image.groups:
        if group == "auto":
            yield "image.groups", "auto stands alone; or name them all, such as [notebook, app, torch, llm]."
        elif group not in known:
            yield "image.groups", f"there is no {group} in docker/requirements.{nearest(group, known)}"
    zone = settings.stack.timezone
    if ZONES.is_dir() and not os.path.isfile(ZONES / zone):
        yield "stack.timezone", f"there is no time zone {zone}; they are called as in Asia/Shanghai or Europe/Berlin."


def _ports(settings: Settings, origins: Mapping[Key, str]) -> Iterator[tuple[str, str]]:
    users: dict[int, str] = {}
    pairs = [[port] if isinstance(port, int) else _numbers(port) for port in settings.stack.ports]
    yield from (
        ("stack.ports", f"{port} is no port: 1 to {LAST_PORT}.")
        for port in (port for pair in pairs for port in pair)
        if not 1 <= port <= LAST_PORT
    )
    stacked = [("stack.ports", pair[0]) for pair in pairs]
    for name, port in [("ssh.port", settings.ssh.port), ("jupyter.port", settings.jupyter.port), *stacked]:
        if port in users:
            chosen = sorted((name, users[port]), key=lambda user: _origin(user, origins).startswith(DEFAULTS))
            yield chosen[0], f"port {port} is used twice; {chosen[1]} has it too."
        users[port] = name


def _numbers(binding: str) -> list[int]:
    return [int(part) for part in binding.partition("/")[0].split(":")]


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    """The files on this machine that are named, each with the setting that names it."""
    yield "network.ca_bundle", settings.network.ca_bundle
    yield "jupyter.password_file", settings.jupyter.password_file
    yield "ssh.password_file", settings.ssh.password_file
    yield "additions.pip_file", settings.additions.pip_file
    scripts = settings.additions.scripts
    yield from (
        (f"additions.scripts.{kind}", file) for kind in scripts.__struct_fields__ for file in getattr(scripts, kind)
    )
    yield from (("ssh.authorized_keys", file) for file in settings.ssh.authorized_keys)
    yield from ((f"ssh.users.{name}.keys", key) for name, user in settings.ssh.users.items() for key in user.keys)
