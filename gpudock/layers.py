"""Layers of settings: YAML read strictly, every value with the place it came from, later layers winning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gpudock.errors import SettingsError

Key = tuple[str, ...]
PREFIX = "GPUDOCK_"


@dataclass(frozen=True)
class Value:
    """A setting's value and where it was set: `config/local.yml:12`; `names` is where each part of its key stands."""

    value: Any
    origin: str
    names: tuple[str, ...] = ()


Layer = Mapping[Key, Value]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Scalars as people mean them: `off`, `no` and the version 3.10 are texts, and 8022:22 is no number in base 60."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))


def from_file(path: Path, shown: str) -> Layer:
    """Read a layer from a YAML file; `shown` is how errors name it. Raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{shown}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{shown}:{number}: is not in UTF-8: save it as that.") from None
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return dict(_flatten(loader, node, (), shown)) if node else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise SettingsError(f"{shown}{line}: is no YAML: {_problem(error, text)}.") from None
    finally:
        loader.dispose()


def _problem(error: yaml.YAMLError, text: str) -> str:
    """What is wrong, in the parser's words; a tab, which it calls a character that cannot start a token, in ours."""
    mark = getattr(error, "problem_mark", None)
    line = text.splitlines()[mark.line] if mark and mark.line < text.count("\n") else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab stands at the line's beginning, where YAML takes spaces alone"
    return str(getattr(error, "problem", error))


def from_mapping(values: Mapping[str, Any], origin: str, within: Key = ()) -> Layer:
    """Make a layer of a mapping that is loaded already, all of it from one place."""
    layer: dict[Key, Value] = {}
    for name, value in values.items():
        key = (*within, str(name))
        layer.update(
            from_mapping(value, origin, key) if isinstance(value, dict) and value else {key: Value(value, origin)}
        )
    return layer


def from_environment(environ: Mapping[str, str], known: Iterable[Key] = ()) -> Layer:
    """Take GPUDOCK_SECTION__KEY=value, or GPUDOCK_MIRROR=value, from the environment; the value is read as YAML.

    `known` are the keys of the defaults. Raises SettingsError where one of them has an underscore too few.
    """
    spelled = {"_".join(key): "__".join(key) for key in known}
    layer = {}
    for name, text in environ.items():
        words = name[len(PREFIX) :].lower()
        if not name.startswith(PREFIX) or ("__" not in words and words not in spelled):
            continue
        if (right := spelled.get(words, words)) != words:
            raise SettingsError(f"the environment's {name}: should be {PREFIX}{right.upper()}, with two underscores.")
        layer[tuple(words.split("__"))] = Value(scalar(text), f"the environment's {name}")
    return layer


def from_overrides(overrides: Iterable[str]) -> Layer:
    """Take `section.key=value` from the command line. Raises SettingsError for another form."""
    layer = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise SettingsError(f"--set {text}: should be section.key=value, for example --set jupyter.port=8889.")
        layer[tuple(name.strip().split("."))] = Value(scalar(value), f"--set {name}")
    return layer


def place(origin: str, name: str) -> str:
    """Where a setting was given, and its name if the place does not tell it."""
    return origin if origin == f"--set {name}" else f"{origin or 'config'}: {name}"


def scalar(text: str) -> Any:
    """Read a single value as YAML; what is no YAML is a plain text."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # _Loader is a SafeLoader
    except yaml.YAMLError:
        return text


def merge(layers: Sequence[Layer]) -> Layer:
    """Lay layers over each other: mappings merge, all else is replaced by the later layer's."""
    merged: dict[Key, Value] = {}
    sections: set[Key] = set()  # all that have had keys under them; only below these can a key replace others
    for layer in layers:
        for key, value in layer.items():
            above = [key[:length] for length in range(1, len(key))]
            below = [known for known in merged if _covers(key, known)] if key in sections else []
            if value.value == {} and below:
                continue
            for known in [*below, *(known for known in above if known in merged)]:
                del merged[known]
            merged[key] = value
            sections.update(above)
    return merged


def nest(layer: Layer) -> dict[str, Any]:
    """Turn a layer back into mappings in mappings."""
    nested: dict[str, Any] = {}
    for key, value in layer.items():
        place = nested
        for part in key[:-1]:
            place = place.setdefault(part, {})
        place[key[-1]] = value.value
    return nested


def _covers(shorter: Key, longer: Key) -> bool:
    return len(shorter) < len(longer) and longer[: len(shorter)] == shorter


def _flatten(
    loader: Any, node: yaml.Node, key: Key, shown: str, names: tuple[str, ...] = ()
) -> Iterator[tuple[Key, Value]]:
    origin = f"{shown}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        if not key:
            raise SettingsError(f"{origin}: should hold section: {{key: value}}, not a single value.")
        value = loader.construct_object(node, deep=True)
        if value is not None or len(key) > 1:  # a section with nothing in it says nothing
            yield key, Value(value, origin, names)
        return
    if not node.value and key:
        yield key, Value({}, origin, names)
    seen: dict[str, int] = {}
    for name_node, value_node in node.value:
        name, line = str(name_node.value), name_node.start_mark.line + 1
        if name in seen:
            raise SettingsError(f"{shown}:{line}: {name} stands here again; its first place is line {seen[name]}.")
        seen[name] = line
        yield from _flatten(loader, value_node, (*key, name), shown, (*names, f"{shown}:{line}"))
