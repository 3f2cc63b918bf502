"""A folder on a host that is to hold these text files and no others: asked whole, written one by one."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from gpudock.actions import Action, Write, remove
from gpudock.questions import Answer, Argv
from gpudock.questions import shell as question

# A line a file, name and content; the folder itself need not be there.
LIST = """cd "$1" 2>/dev/null || exit 0; shift
for part; do shift; [ ! -e "$part" ] || set -- "$@" "$part"; done; [ $# -gt 0 ] || exit 0
find "$@" -type f 2>/dev/null | while read -r name; do printf '%s %s\\n' "$name" "$(base64 -w 0 <"$name")"; done"""

Files = Mapping[str, str]  # path inside the folder → text


def files(path: str, *parts: str) -> Argv:
    """The question for all files below these parts of a folder; read the answer with `read`."""
    return question(LIST, path, *parts)


def read(answer: Answer) -> dict[str, str]:
    """The files' texts by their paths inside the folder."""
    rows = (line.partition(" ") for line in answer.out.splitlines())
    return {name: base64.b64decode(content).decode(errors="replace") for name, _, content in rows}


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
