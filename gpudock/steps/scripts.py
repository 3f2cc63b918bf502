"""The operator's own scripts in the container: at first start, at each start, on login.

They lie in the stack's folder on the host. A changed one starts the container anew, as its hash is part of the compose
file; `build` scripts are part of the image instead. The services do not wait for them, so none can lock anybody out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gpudock.actions import Action, Run, Watch
from gpudock.answers import Answers
from gpudock.command import namespace
from gpudock.errors import ActionFailed
from gpudock.host import Host, Line
from gpudock.questions import Questions
from gpudock.settings import Settings
from gpudock.step import Blocked, Step
from gpudock.steps import additions, container
from gpudock.steps.container import Container


@dataclass(frozen=True)
class Progress:
    """How far the scripts are: `ok`, `running`, `waiting`, or `failed` and the exit code, by the script's name."""

    container: Container
    state: Mapping[str, str]


def questions(settings: Settings) -> Questions:
    """What to know of the scripts; nothing where there are none."""
    if not wanted(settings):
        return container.questions(settings)
    return {**container.questions(settings), "scripts.status": _inside(settings, "status")}


def read(settings: Settings, answers: Answers) -> Progress:
    """Make a Progress of the answers."""
    rows = answers["scripts.status"].out.splitlines() if "scripts.status" in answers else []
    state = {name: said for name, _, said in (row.partition(" ") for row in rows)}
    return Progress(container.read(settings, answers), state)


def plan(settings: Settings, progress: Progress) -> list[Action]:
    """See the scripts through: wait for those that run, and run those again that failed."""
    ours = [name for name in additions.start_scripts(settings) if not name.startswith("login/")]
    if not ours:
        return []
    if not progress.container.running:
        raise Blocked("stack.up", f"The container {settings.stack.name} does not run.")
    left = [name for name in ours if progress.state.get(name) != "ok"]
    failed = [name for name in left if progress.state.get(name, "").startswith("failed")]
    if not left:
        return []
    if failed:
        code = progress.state[failed[0]].partition(" ")[2]
        return [Run(f"run {', '.join(left)} again, as {failed[0]} ended with code {code}", _inside(settings, "run"))]
    return [Watch(f"wait for your scripts {', '.join(left)}", lambda host, line: _wait(host, settings, line))]


def wanted(settings: Settings) -> bool:
    """Whether there are scripts that run at a start."""
    return bool(settings.additions.scripts.first_start or settings.additions.scripts.start)


def skip(settings: Settings, progress: Progress) -> str | None:
    """Leave the step out where there are no scripts."""
    return None if wanted(settings) else ""


def _inside(settings: Settings, verb: str) -> tuple[str, ...]:
    return ("docker", "exec", settings.stack.name, "gpudock-scripts", verb)


def _wait(host: Host, settings: Settings, line: Line) -> None:
    """Wait for the scripts of the start that is going on. Raises ActionFailed when one fails or time is up."""
    until = time.monotonic() + settings.stack.wait
    said = ""
    while time.monotonic() < until:
        done = host.do(_inside(settings, "status"))
        said = done.output
        if done.code or " failed " in said:
            break
        if not any(row.endswith((" running", " waiting")) for row in said.splitlines()):
            return
        line(said)
        time.sleep(1)
    raise ActionFailed(
        f"see your scripts through within {settings.stack.wait} s",
        output=said,
        next_move="`inv stack.logs` shows what they printed; SSH and JupyterLab run all the same. Mend the script and "
        "run the same command again.",
    )


RUN = Step(
    "scripts.run",
    "See your own scripts of the start through: wait, or run again what failed.",
    questions,
    read,
    plan,
    skip,
)
TASKS = namespace("scripts", RUN)
