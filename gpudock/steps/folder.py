"""A folder on a host that is to hold these text files and no others: asked whole, written one by one."""

from __future__ import annotations

from collections.abc import Mapping

from gpudock.actions import Action, Write, remove
from gpudock.answers import Answer, Argv
from gpudock.questions import files

Files = Mapping[str, str]  # path inside the folder → text


def asked(path: str, *parts: str) -> Argv:
    """The question for the files at or in these parts of a folder; read the answer with `read`."""
    return files(*(f"{path}/{part}" for part in parts))


def read(path: str, answer: Answer) -> dict[str, str]:
    """The files' texts by their paths inside the folder."""
    return {name.removeprefix(f"{path}/"): file.text for name, file in answer.files.items()}


def plan(what: str, path: str, wanted: Files, there: Files, *, mode: int = 0o644) -> list[Action]:
    """Write what differs and take away what is not wanted; `what` names a file to people: `write the script …`."""
    actions: list[Action] = [
        Write(f"write the {what} {name}", f"{path}/{name}", text, there.get(name), mode)
        for name, text in wanted.items()
        if there.get(name) != text
    ]
    if stale := sorted(set(there) - set(wanted)):
        actions.append(remove(f"take the {what} {', '.join(stale)} away", *(f"{path}/{name}" for name in stale)))
    return actions
