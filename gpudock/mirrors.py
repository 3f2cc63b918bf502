"""Mirrors by measurement: the choices of every layer, and which one is taken (measure.py tells how they answer).

`mirror: auto` uses the answers, which are kept on this machine, one file a host, so that a run with nothing to change
costs no question. A choice that still answers well is kept, as a change of mirror changes files on the host.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from gpudock.config import OWN, ROOT, Loaded, presets
from gpudock.host import Host
from gpudock.measure import Choice, Measured, measure
from gpudock.network import Mirrors
from gpudock.settings import Settings

ANSWERS = OWN / "mirrors"
OLD = 7 * 24 * 3600  # seconds after which the answers are asked for again
AUTO = "auto"
ORIGIN = "mirror.probe"
MUCH_FASTER = 3.0  # a mirror that answers is left only for one that is this much faster
IN_CONTAINER = ("huggingface", "modelscope")  # part of the container's environment: another one would restart it


def choices(settings: Settings, root: Path = ROOT) -> list[Choice]:
    """Every choice of every layer: its default, what the presets name, and what is set now, each once."""
    found = [Choice(layer, "", "default") for layer in Mirrors.__struct_fields__]
    for name, preset in presets(root).items():
        for layer in Mirrors.__struct_fields__:
            found += [Choice(layer, address, name) for address in preset.get(layer, ())]
    found += [Choice(layer, getattr(settings.mirrors, layer), "set") for layer in Mirrors.__struct_fields__]
    unique: dict[tuple[str, str], Choice] = {}
    for choice in found:
        unique.setdefault((choice.layer, choice.address.rstrip("/")), choice)
    return sorted(unique.values(), key=lambda choice: Mirrors.__struct_fields__.index(choice.layer))


def probe(host: Host, settings: Settings) -> list[Measured]:
    """Measure every choice from the host, and keep what is best for `mirror: auto`. Raises CannotTell."""
    measured = measure(host, choices(settings), settings.network)
    remember(host.name, best(measured, remembered(host.name)[1]))
    return measured


def best(measured: Iterable[Measured], former: Mapping[str, str]) -> dict[str, str]:
    """The address for each layer: the fastest, or the former one as long as it answers and is not much slower."""
    found: dict[str, str] = {}
    by_layer: dict[str, list[Measured]] = {}
    for item in measured:
        by_layer.setdefault(item.choice.layer, []).append(item)
    for layer, items in by_layer.items():
        fastest = min(items, key=lambda item: item.cost)
        kept = next((item for item in items if item.choice.address == former.get(layer)), None)
        slack = float("inf") if layer in IN_CONTAINER else MUCH_FASTER
        stays = kept is not None and kept.answers and kept.cost <= fastest.cost * slack
        found[layer] = kept.choice.address if kept and stays else fastest.choice.address if fastest.answers else ""
    return found


def remember(host: str, chosen: Mapping[str, str]) -> None:
    """Keep the choices of a host, for this user to read alone: an address may hold a password."""
    path = ANSWERS / f"{host}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"time": time.time(), "chosen": dict(chosen)}))


def remembered(host: str) -> tuple[float, dict[str, str]]:
    """When the mirrors of a host were measured, in seconds since 1970 (0: never), and what was chosen."""
    try:
        kept = json.loads((ANSWERS / f"{host}.json").read_text())
        return float(kept["time"]), dict(kept["chosen"])
    except (OSError, ValueError, KeyError):
        return 0.0, {}


def stale(host: str) -> bool:
    """Whether the answers of a host are too old to go by, or not there."""
    return time.time() - remembered(host)[0] > OLD


def applied(loaded: Loaded, host: str) -> Loaded:
    """The settings with the measured mirrors in place, where they say `mirror: auto`; layers set one by one stay."""
    if loaded.settings.mirror != AUTO:
        return loaded
    when, chosen = remembered(host)
    own = {key for key, origin in loaded.origins.items() if not origin.startswith(ORIGIN)}
    taken = {layer: address for layer, address in chosen.items() if f"mirrors.{layer}" not in own}
    fields = {layer: address for layer, address in taken.items() if layer in Mirrors.__struct_fields__}
    origin = f"{ORIGIN}, {time.strftime('%Y-%m-%d %H:%M', time.localtime(when))}"
    settings = msgspec.structs.replace(
        loaded.settings, mirrors=msgspec.structs.replace(loaded.settings.mirrors, **fields)
    )
    return replace(
        loaded, settings=settings, origins={**loaded.origins, **{f"mirrors.{key}": origin for key in fields}}
    )
