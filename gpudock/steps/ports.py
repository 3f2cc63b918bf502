"""Who holds a port of the host: a container by name, a process by name and id."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gpudock.answers import Answers
from gpudock.errors import Refused
from gpudock.questions import Questions, after_engine, engine
from gpudock.settings import Settings
from gpudock.steps import compose

# Processes are named only where one that is no container's listens on a port that is wanted: for their names ss reads
# all that every process of the host has open. Where there is no ss (iproute2), the kernel's own table, which has none:
# https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
LISTENERS = """rows=$(ss -Hltn 2>/dev/null) || {
  while read -r slot local remote state rest; do
    [ "$state" != 0A ] || echo "LISTEN 0 0 *:$((0x${local##*:})) *:*"
  done <<END
$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
END
  exit; }
published=$(grep -o '"PublicPort":[0-9]*' "$engine" 2>/dev/null)
for port; do
  case $rows in *":$port "*) ;; *) continue ;; esac
  case "$published
" in *":$port
"*) ;; *) exec ss -Hltnp ;; esac
done; printf '%s\\n' "$rows\""""

RUNNING = ("running", "paused", "restarting")
CONTAINERS: Questions = {"ports.containers": engine("/containers/json?all=1")}
EVERY = (*compose.EVERYWHERE, "*", "")  # all addresses, as ss and Docker write them


def questions(settings: Settings) -> Questions:
    """What to know of the host's ports, above all of those that the stack is to have."""
    wanted = map(str, compose.ports(settings))
    return {**CONTAINERS, "ports.listeners": after_engine(LISTENERS, *wanted)}


def containers(answers: Answers) -> tuple[str, ...]:
    """The running containers, each `name` and its published ports, `0.0.0.0:80->8080/tcp`."""
    return tuple(_row(container) for container in _running(answers))


def every(answers: Answers) -> list[Mapping[str, Any]]:
    """All containers, but for those that Docker is removing, which have no name any more."""
    answer = answers["ports.containers"]
    return [container for container in (answer.json() if answer.ok else ()) if container["Names"]]


def _running(answers: Answers) -> list[Mapping[str, Any]]:
    return [container for container in every(answers) if container["State"] in RUNNING]


def _row(container: Mapping[str, Any]) -> str:
    name = next(name for name in container["Names"] if name.count("/") == 1)  # others are links from containers
    published = (
        f"{port.get('IP', '')}:{port['PublicPort']}->{port['PrivatePort']}/{port['Type']}"
        for port in container.get("Ports") or ()
        if port.get("PublicPort")
    )
    return " ".join((name.lstrip("/"), *published))


def stacks(answers: Answers) -> tuple[str, ...]:
    """The names of the running containers that gpudock started, this stack's and others'."""
    ours = (container for container in _running(answers) if compose.CONFIGURATION in (container.get("Labels") or {}))
    return tuple(_row(container).split()[0] for container in ours)


def need_free(
    settings: Settings, own: Collection[str], others: Sequence[str], listeners: Sequence[str], ours: Collection[str]
) -> None:
    """Raise Refused for a port of the stack that another than the containers `own` holds; `ours` are all stacks'."""
    for port in compose.ports(settings):
        holder = holder_of(port, own, others, listeners, settings.stack.bind_address)
        name = holder.removeprefix("the container ")
        stop = "Stop that"
        if name in ours:
            stop = f"If that is this stack by its former name, `stack.down --set stack.name={name}` stops it"
        if holder:
            raise Refused(
                f"Port {port} is taken by {holder}. {stop}, or choose another port: ssh.port, jupyter.port or "
                "stack.ports, for example --set jupyter.port=8889."
            )


def holder_of(port: int, own: Collection[str], others: Sequence[str], listeners: Sequence[str], address: str) -> str:
    """Who keeps a port of the host's from `address`: a container by name, a process by name and id, or nobody ('').

    A container that starts again and again shows no ports in between, while Docker's proxy may hold them for it.
    """
    starting_again = any(row.strip() in own for row in others)
    for row in others:
        name, *published = row.split()
        for binding in published:
            held, _, number = binding.partition("->")[0].rpartition(":")
            if number == str(port) and _meet(address, held):
                return "" if name in own else f"the container {name}"
    for row in listeners:
        fields = row.split()
        held, _, number = fields[3].rpartition(":") if len(fields) > 3 else ("", "", "")
        if number == str(port) and _meet(address, held):
            process = fields[5].partition('(("')[2] if len(fields) > 5 else ""
            name, _, rest = process.partition('"')
            if name in ("docker-proxy", "") and starting_again:
                return ""
            return f"the process {name} ({rest.split(',')[1]})" if name else "another process"
    return ""


def _meet(wanted: str, held: str) -> bool:
    """Whether two addresses cannot have one port: the same one, or where one of them is all that the host has."""
    held = held.strip("[]").partition("%")[0]
    return wanted == held or wanted in EVERY or held in EVERY
