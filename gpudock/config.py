"""Settings from their layers: read, merged, checked, each value with its origin.

config/default.yml ← a profile ← config/local.yml ← groups ← host (config/hosts.yml) ← GPUDOCK_SECTION__KEY ← --set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from gpudock import layers
from gpudock.checks import check
from gpudock.credentials import hide
from gpudock.errors import SettingsError
from gpudock.files import placed
from gpudock.inventory import Hosts, Inventory, nearest
from gpudock.layers import Key, Layer, Value
from gpudock.network import Preset
from gpudock.settings import Family, Settings
from gpudock.typed import typed

ROOT = Path(__file__).parents[1]


def own(environ: Mapping[str, str], root: Path = ROOT) -> Path:
    """The folder of what gpudock keeps on the operator's machine: key pair, logs, who failed last time.

    Where the checkout cannot be written, the user's own as the XDG base directory specification has it.
    """
    if given := environ.get("GPUDOCK_STATE"):
        return Path(given).expanduser().absolute()
    within = root / ".gpudock"
    if os.access(within if within.exists() else root, os.W_OK):
        return within
    return Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "gpudock"


OWN = own(os.environ)


@dataclass(frozen=True)
class Loaded:
    """The settings for one host, and where each value was set."""

    settings: Settings
    origins: Mapping[str, str]


def load(
    overrides: Sequence[str] = (),
    *,
    host: str | None = None,
    environ: Mapping[str, str] | None = None,
    root: Path = ROOT,
) -> Loaded:
    """Return the settings for a host of the inventory, or for this machine.

    The files they name have whole paths: from the project's folder where a file of config/ names them, from the current
    one in the environment and on the command line.

    Raises SettingsError, whose message names file, line, key and what would be right.
    """
    here = Path.cwd()
    defaults = _file(root, "config/default.yml")
    given = [
        defaults,
        *(placed(layer, root) for layer in (_file(root, "config/local.yml"), *_inventory_layers(root, host))),
        placed(layers.from_environment(os.environ if environ is None else environ, defaults), here),
        placed(layers.from_overrides(overrides), here),
    ]
    mirrors = [_file(root, "config/mirrors.yml"), _file(root, "config/mirrors.local.yml")]
    return _settle(root, _Same(given), _Same(mirrors))


class _Same(tuple[Layer, ...]):
    """Layers that compare by value and may be a cache's key: most hosts of a fleet have the same."""

    def __hash__(self) -> int:
        return hash(tuple(len(layer) for layer in self))


@cache
def _settle(root: Path, given: _Same, mirrors: _Same) -> Loaded:
    merged = _with_preset(root, _with_profile(root, given))
    settings = typed(merged, Settings)
    check(settings, {key: value.origin for key, value in merged.items()})
    return Loaded(settings, {".".join(key): value.origin for key, value in merged.items()})


def load_inventory(root: Path = ROOT) -> Inventory:
    """Read config/hosts.yml. Raises SettingsError."""
    return _inventory(_Same([_file(root, "config/hosts.yml")]))


@cache
def _inventory(given: _Same) -> Inventory:
    named = {key: Value({}, value.origin) if value.value is None else value for key, value in given[0].items()}
    hosts = typed(named, Hosts)  # `gpu01:` with nothing behind it is a host too
    return Inventory(hosts.hosts, hosts.groups)


@cache
def load_families(root: Path = ROOT) -> Mapping[str, Family]:
    """Read config/cuda.yml: what fits which NVIDIA driver, the newest first. Raises SettingsError."""
    layer = _file(root, "config/cuda.yml")
    return typed(layer, dict[str, Family])


def describe(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """Yield key, value and origin of each setting; passwords in addresses are hidden."""
    for key, value in _leaves(msgspec.to_builtins(loaded.settings)):
        origin = loaded.origins.get(key) or loaded.origins.get(key.rpartition(".")[0]) or "built in"
        yield key, hide(str(value)), origin


def schema(kind: Any = Settings) -> dict[str, Any]:
    """The JSON Schema of a settings file, for editors. A layer need not have every key."""
    made = msgspec.json.schema(kind)
    for definition in made.get("$defs", {}).values():
        definition.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _file(root: Path, name: str) -> Layer:
    path = root / name
    if not os.path.lexists(path):
        return {}
    return _read(path, name, path.stat().st_mtime_ns if path.exists() else 0)


@cache
def _read(path: Path, name: str, changed: int) -> Layer:
    return layers.from_file(path, name)


def _inventory_layers(root: Path, host: str | None) -> Iterator[Layer]:
    if host is None:
        return
    inventory = load_inventory(root)
    for name, group in inventory.groups_of(host):
        yield layers.from_mapping(group.settings, f"config/hosts.yml, group {name}")
    if host in inventory.hosts:
        yield layers.from_mapping(inventory.hosts[host].settings, f"config/hosts.yml, host {host}")


def presets(root: Path = ROOT) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The mirror presets by name: each layer's addresses in order. Raises SettingsError."""
    layer = layers.merge([_file(root, "config/mirrors.yml"), _file(root, "config/mirrors.local.yml")])
    found: Mapping[str, Preset] = typed(layer, dict[str, Preset])
    return {name: dict(_addresses(preset)) for name, preset in found.items()}


def _addresses(preset: Preset) -> Iterator[tuple[str, tuple[str, ...]]]:
    for layer, value in msgspec.structs.asdict(preset).items():
        if value:
            yield layer, (value,) if isinstance(value, str) else value


def _with_preset(root: Path, merged: Layer) -> Layer:
    """Put the first addresses of the chosen mirror preset under those set one by one; `auto` is filled in later."""
    chosen = merged.get(("mirror",), Value("none", "built in"))
    if chosen.value == "auto" or not isinstance(chosen.value, str):  # what is no text is told with the types
        return merged
    known = presets(root)
    if chosen.value not in known:
        hint = nearest(str(chosen.value), [*known, "auto"])
        raise SettingsError(f"{chosen.origin}: mirror: there is no preset {chosen.value} in config/mirrors.yml.{hint}")
    origin = f"the preset {chosen.value}, {chosen.origin}"
    first: dict[Key, Value] = {}
    for layer, addresses in known[chosen.value].items():
        first["mirrors", layer] = Value(addresses[0], origin)
    return layers.merge([first, merged])


def _with_profile(root: Path, given: Sequence[Layer]) -> Layer:
    """Lay the chosen profile of config/profiles.yml over the defaults, which come first, and under all else."""
    merged = layers.merge(given)
    chosen = merged.get(("profile",), Value("sound", "built in"))
    if chosen.value == "sound" or not isinstance(chosen.value, str):
        return merged
    layer = _file(root, "config/profiles.yml")
    known = layers.nest(layer)
    if chosen.value not in known:
        hint = nearest(str(chosen.value), known)
        raise SettingsError(f"{chosen.origin}: profile: there is no {chosen.value} in config/profiles.yml.{hint}")
    profile = {key[1:]: value for key, value in layer.items() if key[0] == chosen.value and key[1:]}
    return layers.merge([given[0], profile, *given[1:]])


def _leaves(value: Any, within: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{within}{name}.")
    else:
        yield within.rstrip("."), value


SCHEMAS = {
    "schema.json": Settings,
    "hosts.schema.json": Hosts,
    "mirrors.schema.json": dict[str, Preset],
    "profiles.schema.json": dict[str, Settings],
    "cuda.schema.json": dict[str, Family],
}
