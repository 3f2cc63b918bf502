"""What a word means that no task or option is: the nearest right one, or where it belongs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from invoke.exceptions import ParseError

from gpudock.config import load_inventory
from gpudock.inventory import nearest
from gpudock.options import VALUES, Options, Rollout

LACKING = re.compile(r"Flag <Argument: (\S+).*> needed value and was not given one!")
UNKNOWN = re.compile(r"No idea what '(.*)' is!")
GROUP = re.compile(r"Sub-collection '(.*)' not found!")
OURS = {f"--{argument.names[0]}" for argument in (*Options.arguments(), *Rollout.arguments())}
HOSTS = ("-H", "--hosts")


def explain(error: ParseError, program: str, words: Sequence[str], tasks: Iterable[str]) -> str:
    """Say what is wrong with a command line; `words` are those behind the program's own options."""
    if lacking := LACKING.fullmatch(str(error)):
        return f"The option {_dashed(lacking.group(1))} needs a value."
    if not (unknown := UNKNOWN.fullmatch(str(error))):
        return str(error)
    word = unknown.group(1)
    task = error.context.name if error.context else None
    if not word.startswith("-"):
        return _no_task(word, program, words, sorted(tasks))
    option = word.partition("=")[0]
    if option in HOSTS and program == "inv":
        return f"inv works on this machine. Servers are for fab: ./fab -H NAME {task or 'setup'}"
    if option in OURS and not task:
        value = VALUES.get(option[2:])
        example = f"{option}={value}" if value else option
        return f"{option} belongs behind the task, for example: {program} setup {example}"
    known = [name for name in error.context.flags if name.startswith("--")] if error.context else []
    return f"{task or program} has no option {word}.{nearest(option, known)}"


def no_group(said: str, tasks: Iterable[str]) -> str | None:
    """What to say where `--list GROUP` names none; None where it was something else."""
    if not (found := GROUP.fullmatch(said)):
        return None
    groups = sorted({task.partition(".")[0] for task in tasks if "." in task})
    return f"There is no group of tasks {found.group(1)}.{nearest(found.group(1), groups)}"


def _no_task(word: str, program: str, words: Sequence[str], tasks: Sequence[str]) -> str:
    former = words[: words.index(word)][-2:] if word in words else []
    if len(former) == 2 and former[0] == "--set" and "=" not in former[1]:
        return f"--set {former[1]} {word}: should be --set {former[1]}={word}, in one word."
    if within := [task for task in tasks if task.startswith(f"{word}.")]:
        return f"{word} is a group of tasks: {', '.join(within)}."
    if word.startswith("@") or word in load_inventory().hosts:
        return f"{word} names hosts: ./fab -H {word} {next((other for other in words if other in tasks), 'setup')}"
    close = get_close_matches(word, tasks, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"There is no task {word}.{hint} `{program} --list` shows all."


def _dashed(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"
