"""Who holds a port of the host: a container by name, a process by name and id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gpudock.answers import Answers
from gpudock.errors import Refused
from gpudock.questions import Questions, engine
from gpudock.questions import shell as question

# Where there is no ss (iproute2), the kernel's own table, which names no process:
# https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
LISTENERS = """ss -Hltnp 2>/dev/null || while read -r slot local remote state rest; do
  [ "$state" != 0A ] || echo "LISTEN 0 0 *:$((0x${local##*:})) *:*"
done <<END
$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
END"""

CONTAINERS: Questions = {"ports.containers": engine("/containers/json")}
QUESTIONS: Questions = {**CONTAINERS, "ports.listeners": question(LISTENERS)}


def containers(answers: Answers) -> tuple[str, ...]:
    """The running containers, each `name` and its published ports, `0.0.0.0:80->8080/tcp`."""
    answer = answers["ports.containers"]
    return tuple(_row(container) for container in (answer.json() if answer.ok else ()))


def _row(container: Mapping[str, Any]) -> str:
    name = next(name for name in container["Names"] if name.count("/") == 1)  # others are links from containers
    published = (
        f"{port.get('IP', '')}:{port['PublicPort']}->{port['PrivatePort']}/{port['Type']}"
        for port in container.get("Ports") or ()
        if port.get("PublicPort")
    )
    return " ".join((name.lstrip("/"), *published))


def need_free(wanted: Iterable[int], own: Collection[str], others: Sequence[str], listeners: Sequence[str]) -> None:
    """Raise Refused for a port that somebody else than the containers `own` holds."""
    for port in wanted:
        if holder := holder_of(port, own, others, listeners):
            raise Refused(
                f"Port {port} is taken by {holder}. Stop that, or choose another port: ssh.port, jupyter.port or "
                "stack.ports, for example --set jupyter.port=8889."
            )


def holder_of(port: int, own: Collection[str], others: Sequence[str], listeners: Sequence[str]) -> str:
    """Who listens on a port of the host: a container by name, a process by name and id, or nobody ('').

    A container that starts again and again shows no ports in between, while Docker's proxy may hold them for it.
    """
    starting_again = any(row.strip() in own for row in others)
    for row in others:
        name, _, published = row.partition(" ")
        if f":{port}->" in published:
            return "" if name in own else f"the container {name}"
    for row in listeners:
        fields = row.split()
        if len(fields) > 3 and fields[3].rpartition(":")[2] == str(port):
            process = fields[5].partition('(("')[2] if len(fields) > 5 else ""
            name, _, rest = process.partition('"')
            if name in ("docker-proxy", "") and starting_again:
                return ""
            return f"the process {name} ({rest.split(',')[1]})" if name else "another process"
    return ""
