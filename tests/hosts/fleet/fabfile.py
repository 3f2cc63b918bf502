"""Two marks on a host: a step that needs nothing but a shell, as slow as the host's /etc/slow says, in seconds, and held up by /etc/held."""

from __future__ import annotations

import sys
from pathlib import Path

import invoke

sys.path.insert(0, str(Path(__file__).parents[3]))

from gpudock.actions import Action, shell
from gpudock.answers import Answers
from gpudock.command import namespace
from gpudock.questions import Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.step import Step
from gpudock.steps import audit

MARKS = ("first", "second")
MAKE = """echo "making $1"; sleep "$(cat /etc/slow 2>/dev/null || echo 0)"; while [ -e /etc/held ]; do sleep 0.1; done
mkdir -p /srv/marks
env echo "$1" >"/srv/marks/.$1"; mv "/srv/marks/.$1" "/srv/marks/$1"
"""


def questions(settings: Settings) -> Questions:
    """Which marks there are."""
    return {"marks": question("ls /srv/marks 2>/dev/null; :")}


def read(settings: Settings, answers: Answers) -> list[str]:
    """The marks' names."""
    return answers["marks"].out.split()


def plan(settings: Settings, marks: list[str]) -> list[Action]:
    """Make those that are missing."""
    return [shell(f"make the {name} mark", MAKE, name) for name in MARKS if name not in marks]


@invoke.task
def plain(context: invoke.Context) -> None:
    """Say where one is, and fail where there is no /srv/name."""
    context.run("cat /srv/name")


MAKE_MARKS = Step("mark.make", "Make two marks.", questions, read, plan)
ns = namespace("fleet", audit.audit)
ns.add_collection(namespace("mark", MAKE_MARKS))
ns.add_task(plain)  # type: ignore[arg-type]
