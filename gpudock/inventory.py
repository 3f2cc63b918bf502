"""Hosts and groups of config/hosts.yml, and what `-H` makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gpudock.errors import UsageError
from gpudock.forms import Port


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A host: how to reach it where its name and ssh_config do not tell, and its own settings."""

    address: str = ""
    user: str = ""
    port: Port = 0
    settings: dict[str, Any] = {}


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Hosts that share settings."""

    hosts: tuple[Annotated[str, Meta(pattern=r"^[^@]", description="A host's name, no group's.")], ...]
    settings: dict[str, Any] = {}


class Hosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file config/hosts.yml."""

    hosts: dict[str, Entry] = {}
    groups: dict[str, Group] = {}


@dataclass(frozen=True)
class Inventory:
    """What is known of hosts by name."""

    hosts: Mapping[str, Entry]
    groups: Mapping[str, Group]

    def expand(self, selector: str) -> list[str]:
        """Return the host names of `a,b`, `@group`, `all`, `gpu[01-16]`, each once, in order.

        Raises UsageError for a group that is not there, naming the nearest, and where it comes to no host at all: what
        was meant for servers must not run here.
        """
        names = [name for part in _split(selector) for name in self._expand(part)]
        if not names:
            raise UsageError(f"-H {selector}: this names no host." + self._none_known())
        return list(dict.fromkeys(names))

    def groups_of(self, host: str) -> Iterator[tuple[str, Group]]:
        """The groups a host is in, in the file's order."""
        for name, group in self.groups.items():
            if host in self.members(group):
                yield name, group

    def members(self, group: Group) -> list[str]:
        """The hosts of a group, ranges written out."""
        return [name for part in group.hosts for name in ranges(part)]

    def _none_known(self) -> str:
        return "" if self.hosts or self.groups else " config/hosts.yml has none; without -H, fab works on this machine."

    def _expand(self, part: str) -> Sequence[str]:
        if part in ("all", "@all") and part.lstrip("@") not in self.hosts:
            grouped = [name for group in self.groups.values() for name in self.members(group)]
            return [*self.hosts, *grouped]
        if not part.startswith("@"):
            return ranges(part)
        if part[1:] in self.groups:
            return self.members(self.groups[part[1:]])
        raise UsageError(f"-H {part}: there is no such group in config/hosts.yml.{nearest(part[1:], self.groups)}")


def ranges(text: str) -> list[str]:
    """Write out `gpu[01-03]` as gpu01, gpu02, gpu03; the digits' width is kept."""
    found = re.search(r"\[(\d+)-(\d+)\]", text)
    if not found:
        if re.search(r"[][]", text) and ":" not in text:  # an IPv6 address has brackets of its own
            raise UsageError(f"-H {text}: a range is written gpu[01-16], and what is none without brackets.")
        return [text]
    first, last = found.groups()
    if int(last) < int(first):
        raise UsageError(f"-H {text}: the range goes backwards.")
    before, after = text[: found.start()], text[found.end() :]
    numbers = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return [f"{before}{number}{rest}" for number in numbers for rest in ranges(after)]


def nearest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """A hint at the most similar name there is, or at all of them; empty where there are none."""
    from difflib import get_close_matches  # only an error needs it

    if close := get_close_matches(name, list(known), n=1):
        return f" Did you mean {close[0]}?"
    return f" There are: {', '.join(sorted(known))}." if known else ""


def _split(selector: str) -> list[str]:
    return [part.strip() for part in re.split(r",(?![^\[]*\])", selector) if part.strip()]
