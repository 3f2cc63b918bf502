"""A command line's calls of tasks: what their options say of the rollout, of the task, and of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import invoke

from gpudock.command import Command
from gpudock.config import Loaded, load
from gpudock.options import Options, Rollout


@dataclass(frozen=True)
class Work:
    """One call of the command line, its shared options taken out and the settings for each host loaded."""

    call: invoke.Call
    options: Options
    own: Mapping[str, Any]
    loaded: Mapping[str, Loaded]

    @property
    def name(self) -> str:
        """The task's name as it was typed."""
        return name_of(self.call)


def calls_of(executor: invoke.Executor, tasks: tuple[Any, ...]) -> list[invoke.Call]:
    """The command line's calls. Invoke's own --dry, which its `run` alone heeds, is --dry-run to tasks of ours."""
    calls: list[invoke.Call] = invoke.Executor.expand_calls(executor, executor.normalize(tasks))
    for call in calls:
        if executor.config.run.dry and isinstance(call.task, Command):
            call.kwargs = {**call.kwargs, "dry_run": True}
    return calls


def rollout_of(calls: Sequence[invoke.Call]) -> Rollout:
    """What the calls of a command line say of its rollout. Raises UsageError."""
    return reduce(Rollout.joined, [_divided(call)[0] for call in calls], Rollout())


def name_of(call: invoke.Call) -> str:
    """The name of a call's task as it was typed."""
    return str(call.called_as or call.task.name)


def prepare(call: invoke.Call, hosts: Mapping[str, str | None]) -> Work:
    """Take a call's shared options out, and load the settings for each host. Raises UsageError.

    `hosts` has the name by which the inventory knows each of them, None for what is not of the inventory.
    """
    own = _divided(call)[1]
    if not isinstance(call.task, Command):
        return Work(call, Options(), own, {})
    options = Options.take(own)
    consent = ("engine.stop_containers=true",) if options.yes else ()
    overrides = (*options.overrides, *consent)
    loaded = {name: load(overrides, host=known) for name, known in hosts.items()}
    return Work(call, options, own, loaded)


def _divided(call: invoke.Call) -> tuple[Rollout, dict[str, Any]]:
    """What a call says of the rollout, and its other arguments; one that the task itself declares is its own."""
    declared = {argument.name for argument in invoke.Task.get_arguments(call.task)}
    others = {name: value for name, value in call.kwargs.items() if name not in declared}
    rollout = Rollout.take(others)
    return rollout, {**others, **{name: value for name, value in call.kwargs.items() if name in declared}}
