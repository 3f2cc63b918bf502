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
WHERE = re.compile(r"^(?P<what>.*?)(?: - at (?P<name>`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
LACKING = re.compile(r"missing required field `(.+)`")
UNKNOWN = re.compile(r"unknown field `(.+)`")
EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`(, got `(?P<given>[^`]+)`)?(?P<more>.*)", re.DOTALL)
WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "a section with keys of its own", "null": "nothing",
}  # fmt: skip


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
    elif lacking := LACKING.search(what):
        what = f"lacks {lacking.group(1)}."
    else:
        of_names = bool(found and found["name"])
        what = ("each name " if of_names else "") + _in_words(what, list(_descriptions(kind, key, names=of_names)))
    value = next((value for known, value in origins.items() if known[: len(key)] == key), None)
    origin = "" if not value else value.names[len(key) - 1] if 0 < len(key) < len(value.names) else value.origin
    told = f" (it is {value.value!r})" if value and _may_be_shown(value.value, unknown=bool(unknown)) else ""
    return f"{layers.place(origin, '.'.join(key))}: {what}{told}"


def _may_be_shown(value: Any, *, unknown: bool) -> bool:
    """Whether a wrong value helps to find it; an address may hold a password."""
    return not unknown and value not in ({}, None) and "@" not in str(value)


def _in_words(what: str, nodes: list[dict[str, Any]]) -> str:
    """What msgspec says, as one would say it to a person; `nodes` are what the schema has for the setting."""
    choices = [str(choice) for node in nodes for choice in node.get("enum", ())]
    if choices:
        return f"should be one of {', '.join(choices)}."
    found = EXPECTED.match(what)
    if not found:
        return f"{what[0].lower()}{what[1:]}."
    wanted, given, more = found["wanted"].split(" | "), found["given"], found["more"]
    kinds = " or ".join(WORDS.get(word, word) for word in wanted)
    if given:
        quotes = "; put it in quotes" if "str" in wanted and given in ("int", "float", "bool") else ""
        brackets = "; put it in brackets" if "array" in wanted and given in ("str", "int") else ""
        return f"should be {kinds}, not {WORDS.get(given, given)}{quotes}{brackets}."
    if "length" in more:
        return "should not be empty."
    described = [node["description"].rstrip(".") for node in nodes if "description" in node]
    forms = [text[0].lower() + text[1:] for text in described] or [f"{kinds}{more}"]
    return f"should be {', or '.join(forms)}."


def _descriptions(kind: Any, key: Key, *, names: bool) -> Iterator[dict[str, Any]]:
    """Yield what the JSON Schema of a settings type has for a key, or for the names below it: a node for each form."""
    schema = msgspec.json.schema(kind)
    node = schema
    for part in key:
        node = _resolved(node, schema)
        node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    node = _resolved(node, schema)
    node = _resolved(node.get("propertyNames" if names else "items") or node, schema)
    yield from (_resolved(form, schema) for form in node.get("anyOf", [node]))


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return found


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
