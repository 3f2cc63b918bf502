"""Layers of settings made the settings' types; what does not fit is told with file, line, key and the nearest key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
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
    of_name = bool(found and found["name"])
    key = _key(message, f"{path}[...]" if of_name else path, kind, layers.nest(origins))
    lacking = LACKING.search(what)
    if unknown := UNKNOWN.search(what):
        names = sorted(next(_nodes(kind, key)).get("properties", {}))
        key = (*key, unknown.group(1))
        what = f"there is no such setting.{nearest(key[-1], names)}"
    elif lacking:
        what = f"lacks {lacking.group(1)}."
    else:
        nodes = _nodes(kind, key[:-1], "propertyNames") if of_name else _nodes(kind, key)
        what = ("the name " if of_name else "") + _in_words(what, list(nodes))
    value = next((value for known, value in origins.items() if known[: len(key)] == key[: len(known)]), None)
    origin = "" if not value else value.names[len(key) - 1] if 0 < len(key) < len(value.names) else value.origin
    shown = value and not (unknown or lacking or of_name) and _may_be_shown(value.value)
    told = f" (it is {value.value!r})" if value and shown else ""
    return f"{layers.place(origin, '.'.join(key))}: {what}{told}"


def _key(message: str, path: str, kind: Any, given: Mapping[str, Any]) -> Key:
    """The key that msgspec's path means. `[...]` is a name it does not tell: the first that is as wrong alone."""
    key: Key = ()
    for part in re.findall(r"\[\.\.\.\]|[^.\[\]]+", re.sub(r"\[\d+\]", "", path)):
        key = (*key, _wrong_name(message, key, kind, given) if part == "[...]" else part)
    return key


def _wrong_name(message: str, within: Key, kind: Any, given: Mapping[str, Any]) -> str:
    for name, value in reduce(getitem, within, given).items():
        try:
            msgspec.convert(_replaced(given, within, {name: value}), kind)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(name)
    raise AssertionError(message)  # it is of one of them


def _replaced(given: Mapping[str, Any], key: Key, value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**given, key[0]: _replaced(given[key[0]], key[1:], value)} if key else value


def _may_be_shown(value: Any) -> bool:
    """Whether a wrong value helps to find it; an address may hold a password."""
    return value not in ({}, None) and "@" not in str(value)


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


def _nodes(kind: Any, key: Key, below: str = "items") -> Iterator[dict[str, Any]]:
    """Yield what the JSON Schema of a settings type has for a key, or for what is `below` it: a node for each form."""
    schema = msgspec.json.schema(kind)
    node = schema
    for part in key:
        node = _resolved(node, schema)
        node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    node = _resolved(node, schema)
    node = _resolved(node.get(below) or node, schema)
    yield from (_resolved(form, schema) for form in node.get("anyOf", [node]))


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return found
