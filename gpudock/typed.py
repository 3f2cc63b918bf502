"""Layers of settings made the settings' types; what does not fit is told with file, line, key and the nearest key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from gpudock import layers
from gpudock.errors import SettingsError
from gpudock.inventory import nearest
from gpudock.layers import Key, Layer

T = TypeVar("T")

# What msgspec says, with the path it says it of: "Expected `int`, got `str` - at `$.stack.ports[0]`".
WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
UNKNOWN = re.compile(r"unknown field `(.+)`")


def typed(layer: Layer, kind: type[T]) -> T:
    """Make a layer's values one of the settings' types. Raises SettingsError."""
    try:
        return msgspec.convert(layers.nest(layer), kind)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), kind, layer)) from None


def _explain(message: str, kind: Any, origins: Layer) -> str:
    found = WHERE.match(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    key: Key = tuple(re.findall(r"[^.\[\]]+", re.sub(r"\[(\d+|\.\.\.)\]", "", path)))
    if unknown := UNKNOWN.search(what):
        key = (*key, unknown.group(1))
        allowed = [name for name in _keys(kind) if _within(name, key[:-1])]
        names = [name.split(".")[len(key) - 1] for name in allowed]
        what = f"there is no such setting.{nearest(key[-1], sorted(set(names)))}"
    else:
        what = f"{what[0].lower()}{what[1:]}."
    value = next((value for known, value in origins.items() if known[: len(key)] == key), None)
    shown = f" (it is {value.value!r})" if value and not UNKNOWN.search(message) and value.value != {} else ""
    return f"{value.origin if value else 'config'}: {'.'.join(key)}: {what}{shown}"


def _within(name: str, section: Key) -> bool:
    return tuple(name.split("."))[: len(section)] == section


def _keys(kind: Any, within: str = "") -> Iterator[str]:
    """Yield the dotted name of every key of a settings type."""
    for field in msgspec.structs.fields(kind):
        name = f"{within}{field.name}"
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from _keys(inner, f"{name}.")
        else:
            yield name
