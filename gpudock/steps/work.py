"""The work in the container that a stop would end: training, a model that serves, the memory of a notebook's kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from gpudock.actions import Action, Watch
from gpudock.errors import Refused
from gpudock.host import Host, Line
from gpudock.settings import Settings

# A container that starts again and again runs when it is asked of, and not a moment later: nobody works in it.
LIST = """for try in 1 2 3 4 5; do
  said=$(docker exec "$1" ps -eww -o user:32=,etime=,args= 2>&1) && { echo "$said"; exit; }
  case $(docker inspect -f '{{.State.Status}}' "$1") in running|paused) sleep 1 ;; *) exit 0 ;; esac
done; echo "$said"; exit 1"""
KERNEL = "ipykernel_launcher"
JUST_NOW = tuple(f"00:0{seconds}" for seconds in range(6))  # a health check's processes come and go within 5 s
SHOWN = 6

# The container's own, and what does nothing by itself: what a shell or a terminal is busy with is a process beside it.
SUPERVISION = ("docker-init", "runit", "runsvdir", "runsv", "svlogd", "chpst", "sv", "gpudock-start", "gpudock-service")
ASKING = ("timeout", "nvidia-smi")  # what the GPUs are, which takes seconds where they sleep
SERVICES = ("sshd", "sshd-session", "sshd-auth", "sftp-server", "jupyter", "jupyter-lab")
TERMINALS = ("sh", "bash", "dash", "zsh", "fish", "tmux", "screen", "sudo", "su", "login", "ps")
IDLE = frozenset((*SUPERVISION, *ASKING, *SERVICES, *TERMINALS))
EDITORS = ("/.vscode-server/", "/.cursor-server/", "/JetBrains/")  # they come back by themselves


@dataclass(frozen=True)
class Process:
    """One process in the container: whose, how long ([[days-]hours:]minutes:seconds), and its command line."""

    user: str
    time: str
    command: str

    @property
    def kernel(self) -> bool:
        """Whether it is a notebook's kernel, which keeps its variables in memory only."""
        return KERNEL in self.command

    def __str__(self) -> str:
        what = "a notebook's kernel" if self.kernel else self.command
        return f"{what[:80]} ({self.user}, for {self.time})"


def find(listed: str) -> list[Process]:
    """The processes of a listing that are somebody's work."""
    rows = (line.split(maxsplit=2) for line in listed.splitlines())
    processes = (Process(*row) for row in rows if len(row) == 3)
    return [process for process in processes if process.time not in JUST_NOW and not _idle(process.command)]


def _idle(command: str) -> bool:
    if KERNEL in command:
        return False
    names = [PurePath(word).name.strip("-:") for word in command.split()[:2]]
    program = names[-1] if names[0].startswith("python") else names[0]
    return program in IDLE or command.endswith("<defunct>") or any(place in command for place in EDITORS)


def spare(settings: Settings, ends: str, *, kernels: bool = False, name: str = "") -> list[Action]:
    """Look for work before what ends it, and refuse if there is any, unless --yes consents.

    `ends` says what would happen; `kernels` are all that it ends where JupyterLab alone stops; `name` is the container,
    if it has not the stack's. The look is an action: the last thing before the stop, and nothing that a run without one
    would pay for.
    """
    if settings.engine.stop_containers:
        return []
    name = name or settings.stack.name
    why = "look whether somebody's work runs in it"
    return [Watch(why, lambda host, line: _refuse(host, name, ends, kernels, line))]


def _refuse(host: Host, name: str, ends: str, kernels: bool, line: Line) -> None:
    done = host.do(("sh", "-c", LIST, "sh", name))
    way_out = "Wait until it has ended, or let it be ended: the same command with --yes."
    if done.code:
        raise Refused(f"{ends}, and what runs in {name} cannot be told: {done.output.strip()}. {way_out}")
    found = [process for process in find(done.output) if process.kernel or not kernels]
    line(f"{len(found)} processes of somebody's work")
    if found:
        rows = "".join(f"\n    {process}" for process in found[:SHOWN])
        more = f"\n    and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise Refused(f"{ends}, and work runs in {name}:{rows}{more}\n  Nothing was stopped. {way_out}")
