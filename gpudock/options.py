"""The options that tasks share: settings, output, dry run, and how a command line is rolled out over its hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invoke.parser import Argument

from gpudock.errors import UsageError

VALUES = {"canary": "N", "max-failures": "N", "set": "KEY=VALUE"}  # how the help names the options' values


@dataclass(frozen=True)
class Options:
    """The options that every task of gpudock takes, as given on the command line."""

    overrides: tuple[str, ...] = ()
    json: bool = False
    dry_run: bool = False
    yes: bool = False
    wait: bool = False

    @classmethod
    def take(cls, arguments: dict[str, Any]) -> Options:
        """Remove the shared options from a task's arguments and return them."""
        return cls(
            tuple(arguments.pop("set", None) or ()),
            bool(arguments.pop("json", False)),
            bool(arguments.pop("dry_run", False)),
            bool(arguments.pop("yes", False)),
            bool(arguments.pop("wait", False)),
        )

    @staticmethod
    def arguments() -> list[Argument]:
        """Declare the options to Invoke's parser."""
        setting = Argument(names=("set",), kind=list, default=[], help="A setting, as section.key=value; repeatable.")
        setting.raw_value = None  # Invoke takes a list's default for a value given, and would let a bare --set pass
        return [
            setting,
            flag("json", "Print one JSON object a line."),
            flag("dry-run", "Only show what would change, files as a diff."),
            flag("yes", "Do what would stop running containers without asking."),
            flag("wait", "Wait for another operator who is changing the host, instead of failing."),
        ]


@dataclass(frozen=True)
class Rollout:
    """In what order hosts begin, and which. Every task takes these options, also one that is not gpudock's.

    The first `canary` hosts must succeed before the others begin. After more than `max_failures` hosts have failed no
    further one begins. `retry` takes only the hosts where the task failed last time.
    """

    canary: int = 0
    max_failures: int | None = None
    retry: bool = False

    @classmethod
    def take(cls, arguments: dict[str, Any]) -> Rollout:
        """Remove the options from a task's arguments and return them. Raises UsageError for what is no number."""
        canary, failures = arguments.pop("canary", None), arguments.pop("max_failures", None)
        return cls(
            whole_number("--canary", canary, least=1) if canary is not None else 0,
            whole_number("--max-failures", failures, least=0) if failures is not None else None,
            bool(arguments.pop("retry", False)),
        )

    @staticmethod
    def arguments() -> list[Argument]:
        """Declare the options to Invoke's parser."""
        failures = "Begin no further host once more than N have failed."
        return [
            Argument(names=("canary",), help="Begin with the first N hosts; the others follow if all N succeed."),
            Argument(names=("max-failures",), attr_name="max_failures", help=failures),
            flag("retry", "Run only on the hosts where this failed last time."),
        ]

    @classmethod
    def beside(cls, own: list[Argument]) -> list[Argument]:
        """A task's own arguments, and the options that do not clash with them."""
        taken = {name for argument in own for name in argument.names}
        return own + [argument for argument in cls.arguments() if not taken & set(argument.names)]

    def joined(self, other: Rollout) -> Rollout:
        """The options of two tasks of one command line as one; the other's win."""
        failures = other.max_failures if other.max_failures is not None else self.max_failures
        return Rollout(other.canary or self.canary, failures, other.retry or self.retry)


def whole_number(name: str, text: str, *, least: int) -> int:
    """Read an option's value. Raises UsageError for what is no whole number or too small."""
    if not text.isdecimal() or int(text) < least:
        raise UsageError(f"{name} {text}: should be a whole number, {least} or more.")
    return int(text)


def flag(name: str, help: str) -> Argument:  # noqa: A002
    """Declare an option without a value."""
    attribute = name.replace("-", "_") if "-" in name else None
    return Argument(names=(name,), attr_name=attribute, kind=bool, default=False, help=help)
