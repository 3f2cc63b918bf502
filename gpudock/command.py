"""gpudock's kind of Invoke task: it gets a Job, not a bare context, and has the options that all tasks share."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import invoke
from invoke.parser import Argument

from gpudock import mirrors
from gpudock.config import Loaded
from gpudock.converge import Convergence
from gpudock.errors import CannotTell
from gpudock.host import Host
from gpudock.options import Options, Rollout
from gpudock.questions import ask
from gpudock.report import Report
from gpudock.settings import Settings
from gpudock.step import Outcome, Step
from gpudock.way import Way


@dataclass
class Job:
    """One task on one host."""

    task: str
    settings: Settings
    origins: Mapping[str, str]
    host: Host
    report: Report
    options: Options
    stop: Event = field(default_factory=Event)

    def converge(self, *steps: Step[Any], chained: bool = False) -> list[Outcome]:
        """Bring the host to what the settings say of these steps, up to the first failure."""
        self._choose_mirrors()
        options = self.options
        run = Convergence(
            self.host, self.settings, self.report, self.task, options.dry_run, chained, options.wait, self.stop
        )
        return run.run(steps)

    def _choose_mirrors(self) -> None:
        """Measure the host's mirrors where `mirror: auto` has no answer, or an old one."""
        if self.settings.mirror != mirrors.AUTO or not mirrors.stale(self.host.name):
            return
        try:
            mirrors.probe(self.host, self.settings)
        except CannotTell as error:
            self.report.complain(f"{error} Until then the layers' own addresses are used.")
        loaded = mirrors.applied(Loaded(self.settings, self.origins), self.host.name)
        self.settings, self.origins = loaded.settings, loaded.origins

    def dry_run(self) -> None:
        """From here on only plan."""
        self.options = replace(self.options, dry_run=True)

    @property
    def program(self) -> str:
        """What the operator types before a task's name to run it on this host, as the bootstrap script was called."""
        return program(self.host)

    @property
    def way(self) -> Way:
        """How the operator's own ssh gets to this host."""
        return way(self.host)

    def facts(self, step: Step[Any]) -> Any:
        """Return what a step sees on the host."""
        return step.read(self.settings, ask(self.host, step.questions(self.settings)))

    def say(self, text: str, **facts: Any) -> None:
        """Answer the operator: `text` to people, `facts` as JSON to machines."""
        self.report.say(self.host.name, self.task, facts, text)


def program(host: Host) -> str:
    """What the operator types before a task's name to run it on a host, as the bootstrap script was called."""
    typed = os.environ.get("GPUDOCK_PROGRAM", "inv" if host.is_local else "fab")
    file = f" -S {shlex.quote(way(host).file)}" if way(host).file else ""
    return typed if host.is_local else f"{typed}{file} -H {host.name}"


def way(host: Host) -> Way:
    """How the operator's own ssh gets to a host."""
    return Way() if host.is_local else Way.to(host.name, host.context.config)


Body = Callable[..., None]
Maker = Callable[[Body], "Command"]


class Command(invoke.Task[Body]):
    """A task whose body is called with a Job and its own options.

    Two of them are the same only if they are one object: Invoke's own equality, by name and code, would drop
    `jupyter.start` behind `ssh.start` (invoke/tasks.py).
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__
    subject = ""  # the option that a word behind the task's name is a value of, where it names no task

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The body's own options, then the shared ones."""
        own: list[Argument] = super().get_arguments(ignore_unknown_help)
        return own + Options.arguments() + Rollout.arguments()

    def perform(self, job: Job, **own: Any) -> None:
        """Run the body for one host."""
        self.body(job, **own)

    def conclude(self, report: Report, hosts: Sequence[str], *, json: bool) -> None:
        """Say what is to be said when all hosts are done; most tasks have said all by then."""

    def __call__(self, *positional: Any, **arguments: Any) -> None:  # type: ignore[override]
        """Run on one host; what an executor other than ours, or a user's own task, calls."""
        from gpudock.runner import Target, run  # it imports this module

        context = positional[0]
        if context.config.run.dry:
            arguments["dry_run"] = True
        run([Target.of(context)], [invoke.Call(self, kwargs=arguments)])


def command(name: str | None = None, options: Mapping[str, str] | None = None, subject: str = "", **more: Any) -> Maker:
    """Make a Command of a function: its first docstring line is the task's help, `options` explains its own options.

    With `subject="rule"`, `doctor gpu-lost` means `doctor --rule gpu-lost`.
    """

    def make(body: Body) -> Command:
        made = Command(body, name=name, help=dict(options or {}), auto_shortflags=False, **more)
        made.subject = subject
        return made

    return make


def step_command(*steps: Step[Any], name: str, summary: str) -> Command:
    """The task that runs these steps and no others."""

    def body(job: Job) -> None:
        job.converge(*steps)

    body.__doc__ = summary
    return Command(body, name=name, auto_shortflags=False)


class PlainTask(invoke.Task[Body]):
    """A user's own task: it gets Fabric's connection, and takes the rollout's options all the same."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The body's own options, then those of the rollout that do not clash with them."""
        return Rollout.beside(super().get_arguments(ignore_unknown_help))


class Collection(invoke.Collection):
    """Tasks that can all be rolled out with --canary and the like, plain ones too."""

    def add_task(self, task: invoke.Task[Body], *positional: Any, **more: Any) -> None:
        """Add a task."""
        if type(task) is invoke.Task:
            task = copy(task)
            task.__class__ = PlainTask
        super().add_task(task, *positional, **more)


def namespace(name: str, *members: Step[Any] | Command) -> Collection:
    """A collection of tasks; a step `noun.verb` becomes the task `verb`."""
    collection = Collection(name)
    for member in members:
        if isinstance(member, Step):
            member = step_command(member, name=member.name.partition(".")[2], summary=member.summary)
        collection.add_task(member)
    return collection


def names(collection: invoke.Collection) -> Sequence[str]:
    """All task names of a collection, sorted."""
    return sorted(collection.task_names)
