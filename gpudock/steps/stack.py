"""3. The container: a compose stack with GPUs, ports and volumes, brought up and watched until it is healthy."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from gpudock.actions import Action, Run, Watch, Write, remove, shell
from gpudock.config import Settings
from gpudock.converge import Blocked, Step
from gpudock.errors import ActionFailed, Refused
from gpudock.host import Host, Line
from gpudock.questions import Answers, Questions, file
from gpudock.questions import shell as question
from gpudock.steps import image
from gpudock.steps.image import Image
from gpudock.steps.machine import Machine

COMPOSE = Path(__file__).parents[2] / "compose"
SERVICE = "cuda_container_chatbot"  # the service's key in compose/compose.yml
CONFIGURATION = "gpudock.configuration"  # the label that holds the hash of the compose file it was started with

INSPECT = """docker container inspect --format '{{json .}}' "$1" 2>&1"""
HOLDERS = """docker ps --format '{{.Names}} {{.Ports}}' 2>/dev/null; :"""
LISTENERS = "ss -Hltnp 2>/dev/null; :"


@dataclass(frozen=True)
class Container:
    """The container on a host; `id` is empty where there is none. `others` are `name ports` of running ones."""

    image: Image
    compose: str | None
    id: str
    image_id: str
    configuration: str
    project: str
    status: str
    health: str
    started: str
    others: tuple[str, ...]
    listeners: tuple[str, ...]

    @property
    def machine(self) -> Machine:
        """The host it is on."""
        return self.image.machine

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.status == "running"


def folder(settings: Settings) -> str:
    """Where the stack's files are on the host."""
    return f"{settings.host.state}/{settings.stack.name}"


def compose_path(settings: Settings) -> str:
    """The rendered compose file on the host."""
    return f"{folder(settings)}/compose.yml"


def questions(settings: Settings) -> Questions:
    """What to know of the container, its compose file, and who holds which port."""
    return {
        **image.questions(settings),
        "stack.compose": file(compose_path(settings)),
        "stack.container": question(INSPECT, settings.stack.name),
        "stack.holders": question(HOLDERS),
        "stack.listeners": question(LISTENERS),
    }


def read(settings: Settings, answers: Answers) -> Container:
    """Make a Container of the answers."""
    answer = answers["stack.container"]
    found = answer.json() if answer.ok else {}
    state = found.get("State") or {}
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Container(
        image=image.read(settings, answers),
        compose=answers["stack.compose"].file(),
        id=found.get("Id", ""),
        image_id=found.get("Image", ""),
        configuration=labels.get(CONFIGURATION, ""),
        project=labels.get("com.docker.compose.project", ""),
        status=state.get("Status", ""),
        health=(state.get("Health") or {}).get("Status", ""),
        started=state.get("StartedAt", ""),
        others=tuple(answers["stack.holders"].out.splitlines()),
        listeners=tuple(answers["stack.listeners"].out.splitlines()),
    )


def plan(settings: Settings, container: Container) -> list[Action]:
    """3.2 Bring the stack up where its file, its image or its state is not as wanted."""
    if not container.image.id:
        raise Blocked("image.build", f"There is no image {settings.image.name} on this host.")
    text = render(settings, container.machine)
    wanted = configuration(settings, container.machine)
    actions: list[Action] = []
    if container.compose != text:
        actions.append(Write("write the compose file", compose_path(settings), text, container.compose))
    current = container.running and container.configuration == wanted and container.image_id == container.image.id
    if not current:
        _refuse_foreign(settings, container)
        _refuse_taken_ports(settings, container)
        actions += _up(settings, container)
    elif container.health != "healthy":
        actions.append(_wait(settings))
    return actions


def render(settings: Settings, machine: Machine) -> str:
    """3.1 The compose file, with a label that tells what it was made of."""
    document = _document(settings, machine)
    document["services"][settings.stack.name]["labels"] = {CONFIGURATION: configuration(settings, machine)}
    return _dump(document)


def configuration(settings: Settings, machine: Machine) -> str:
    """The hash of the compose file, its label left out."""
    return hashlib.sha256(_dump(_document(settings, machine)).encode()).hexdigest()[:24]


def _document(settings: Settings, machine: Machine) -> dict[str, Any]:
    """compose/compose.yml, the GPU mode's file, and the settings in one."""
    merged = _merge(_load("compose.yml"), _load(f"gpu-{mode}.yml") if (mode := gpu_mode(settings, machine)) else {})
    service = merged["services"].pop(SERVICE)
    service |= {
        "container_name": settings.stack.name,
        "image": settings.image.name,
        "ports": [f"{settings.stack.bind_address}:{port}:{port}" for port in ports(settings)],
        "volumes": [*_named(service), *settings.stack.volumes, f"{folder(settings)}/container:/etc/gpudock:ro"],
        "restart": settings.stack.restart,
        "shm_size": settings.stack.shm_size,
        "environment": {**_mapping(service.get("environment")), **environment(settings, machine)},
    }
    service.pop("build", None)
    return {**merged, "services": {settings.stack.name: service}}


def gpu_mode(settings: Settings, machine: Machine) -> str:
    """How the container gets its GPUs: `runtime`, `cdi`, `gpus`, or empty for none."""
    if not image.wants_gpu(settings, machine):
        return ""
    return "runtime" if settings.gpu.mode == "auto" else settings.gpu.mode


def ports(settings: Settings) -> list[int]:
    """The published ports, the services' own first."""
    return [settings.ssh.port, settings.jupyter.port, *settings.stack.ports]


def environment(settings: Settings, machine: Machine) -> dict[str, str]:
    """What the container's start reads: who its user is, and where its services listen."""
    operator = settings.stack.user == "operator"
    return {
        "GPUDOCK_USER": machine.user if operator else "root",
        "GPUDOCK_UID": str(machine.uid if operator else 0),
        "GPUDOCK_GID": str(machine.gid if operator else 0),
        "SSH_PORT": str(settings.ssh.port),
        "SSH_PASSWORDS": "yes" if settings.ssh.passwords else "no",
        "JUPYTER_PORT": str(settings.jupyter.port),
        "JUPYTER_DIRECTORY": settings.jupyter.directory,
        "TZ": settings.stack.timezone,
        **settings.stack.environment,
    }


def down(settings: Settings, container: Container, *, volumes: bool = False) -> list[Action]:
    """Take the container away; its volumes stay unless told otherwise."""
    if container.compose is None:
        return []
    options = ("--volumes",) if volumes else ()
    argv = (*_compose(settings, container), "down", "--remove-orphans", *options)
    return [Run(f"take {settings.stack.name} down{' and its volumes away' if volumes else ''}", argv)]


def forget(settings: Settings, container: Container) -> list[Action]:
    """Remove the stack's files from the host."""
    return [remove("remove the stack's files", folder(settings))] if container.compose is not None else []


def _compose(settings: Settings, container: Container) -> tuple[str, ...]:
    return (*container.image.engine.compose, "-p", settings.stack.name, "-f", compose_path(settings))


def _up(settings: Settings, container: Container) -> list[Action]:
    again = " anew: its image or its settings changed" if container.id else ""
    argv = (*_compose(settings, container), "up", "-d", "--remove-orphans")
    return [
        shell("make the folders it mounts", 'mkdir -p -- "$@"', f"{folder(settings)}/container", *_folders(settings)),
        Run(f"start {settings.stack.name}{again}", argv),
        _wait(settings),
    ]


def _folders(settings: Settings) -> list[str]:
    return [source for source in (volume.split(":")[0] for volume in settings.stack.volumes) if source.startswith("/")]


def _wait(settings: Settings) -> Action:
    return Watch("wait until it is healthy", lambda host, line: wait_healthy(host, settings, line))


def wait_healthy(host: Host, settings: Settings, line: Line) -> None:
    """Look at the container's health every second. Raises ActionFailed with its last words when it gives up."""
    from gpudock import docker_api  # the SDK costs 300 ms

    until = time.monotonic() + settings.stack.wait
    with docker_api.container(host, settings.stack.name) as container:
        while time.monotonic() < until:
            container.reload()
            health = (container.attrs["State"].get("Health") or {}).get("Status", container.status)
            if health in ("healthy", "running"):
                return
            if container.status in ("exited", "dead", "restarting"):
                break
            line(f"health: {health}")
            time.sleep(1)
        said = container.logs(tail=15).decode(errors="replace")
        checks = (container.attrs["State"].get("Health") or {}).get("Log") or [{}]
        said += checks[-1].get("Output", "")
    raise ActionFailed(
        f"have {settings.stack.name} healthy within {settings.stack.wait} s (it is {container.status})",
        output=said,
        next_move="`inv stack.logs` shows more; mend what it says, then run the same command again.",
    )


def _refuse_foreign(settings: Settings, container: Container) -> None:
    """A container of this name that compose did not start for us belongs to somebody."""
    if container.id and container.project != settings.stack.name:
        raise Refused(
            f"A container named {settings.stack.name} is here already and is not gpudock's, so it is left alone. "
            "Choose another name (--set stack.name=…), or remove it yourself: docker rm -f " + settings.stack.name
        )


def _refuse_taken_ports(settings: Settings, container: Container) -> None:
    for port in ports(settings):
        holder = holder_of(port, settings.stack.name, container.others, container.listeners)
        if holder:
            raise Refused(
                f"Port {port} is taken by {holder}. Stop that, or choose another port: ssh.port, jupyter.port or "
                "stack.ports, for example --set jupyter.port=8889."
            )


def holder_of(port: int, own: str, others: Sequence[str], listeners: Sequence[str]) -> str:
    """Who listens on a port of the host: a container by name, a process by name and id, or nobody ('')."""
    for row in others:
        name, _, published = row.partition(" ")
        if f":{port}->" in published:
            return "" if name == own else f"the container {name}"
    for row in listeners:
        fields = row.split()
        if len(fields) > 3 and fields[3].rpartition(":")[2] == str(port):
            process = fields[5].partition('(("')[2] if len(fields) > 5 else ""
            name, _, rest = process.partition('"')
            return f"the process {name} ({rest.split(',')[1]})" if name else "another process"
    return ""


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((COMPOSE / name).read_text())
    return loaded


def _merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _named(service: Mapping[str, Any]) -> list[str]:
    """The template's volumes that have a name; folders of the host come from the settings."""
    return [volume for volume in service.get("volumes", ()) if volume[0] not in "/.$~"]


def _mapping(values: Any) -> dict[str, str]:
    if isinstance(values, list):
        return dict(value.split("=", 1) for value in values)
    return dict(values or {})


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(_escaped(document), sort_keys=False, allow_unicode=True)


def _escaped(value: Any) -> Any:
    """Double each $: Compose would read it as the beginning of a variable's name."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def age(stamp: str) -> str:
    """How long ago an RFC 3339 time of the engine was, roughly: `3 h`."""
    if not stamp:
        return "-"
    then = datetime.fromisoformat(stamp[:19] + "+00:00").timestamp()
    seconds = max(time.time() - then, 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


UP = Step("stack.up", "3.2 Start the container and wait until it is healthy.", questions, read, plan)
