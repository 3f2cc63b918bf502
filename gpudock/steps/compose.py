"""3.1 The compose file on the host: compose/compose.yml, a GPU mode's file, and the settings in one.

The files in compose/ work by hand too; here they are data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from gpudock.settings import Settings
from gpudock.steps import additions, trust
from gpudock.steps.machine import Machine, wants_gpu

COMPOSE = Path(__file__).parents[2] / "compose"
SERVICE = "cuda_container_chatbot"  # the service's key in compose/compose.yml
SCRIPTS = "gpudock.scripts"  # the label that holds the hash of the operator's own scripts
CONFIGURATION = "gpudock.configuration"  # the label that holds the hash of the compose file it was started with
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the slow one costs 20 ms of our processor time for each host
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # and where that answers on the host itself
LOOPBACK = ("127.0.0.1", "::1")
_dumped: dict[str, str] = {}


def folder(settings: Settings) -> str:
    """Where the stack's files are on the host."""
    return f"{settings.host.state}/{settings.stack.name}"


def shared(settings: Settings) -> str:
    """The folder on the host that the container sees, read-only, as /etc/gpudock."""
    return f"{folder(settings)}/container"


def path(settings: Settings) -> str:
    """The rendered compose file on the host."""
    return f"{folder(settings)}/compose.yml"


def ca_path(settings: Settings) -> str:
    """The CA bundle on the host, for the tools in the container."""
    return f"{shared(settings)}/ca.crt"


def render(settings: Settings, machine: Machine, mode: str = "runtime") -> str:
    """3.1 The compose file, with a label that tells what it was made of. `mode` is how GPUs come, where any do."""
    document = _document(settings, machine, mode)
    labels = document["services"][settings.stack.name].setdefault("labels", {})
    labels[CONFIGURATION] = configuration(settings, machine, mode)
    return _dump(document)


def configuration(settings: Settings, machine: Machine, mode: str = "runtime") -> str:
    """The hash of the compose file, its label left out."""
    return hashlib.sha256(_dump(_document(settings, machine, mode)).encode()).hexdigest()[:24]


def _document(settings: Settings, machine: Machine, mode: str) -> dict[str, Any]:
    """compose/compose.yml, the GPU mode's file, and the settings in one."""
    merged = _merge(
        _template("compose.yml"), _template(f"gpu-{mode}.yml") if mode and wants_gpu(settings, machine) else {}
    )
    service = merged["services"].pop(SERVICE)
    service |= {
        "container_name": settings.stack.name,
        "image": settings.image.name,
        "ports": [f"{bracketed(settings.stack.bind_address)}:{binding}" for binding in bindings(settings)],
        "volumes": [*_named(service), *settings.stack.volumes, f"{shared(settings)}:/etc/gpudock:ro"],
        "restart": settings.stack.restart,
        "shm_size": settings.stack.shm_size,
        "environment": {**_mapping(service.get("environment")), **environment(settings, machine)},
    }
    if not machine.raises_limits:
        service.pop("ulimits", None)
    if scripts := additions.digest(additions.start_scripts(settings)):
        service["labels"] = {SCRIPTS: scripts}
    volumes = {**(merged.get("volumes") or {}), **{name: {} for name in named_volumes(settings)}}
    return {**merged, "services": {settings.stack.name: service}, "volumes": volumes}


def ports(settings: Settings) -> list[int]:
    """The host's ports that are published, the services' own first."""
    return [int(binding.partition(":")[0]) for binding in bindings(settings)]


def bindings(settings: Settings) -> list[str]:
    """The published ports as Compose writes them, `host:container`, the services' own first."""
    every = [settings.ssh.port, settings.jupyter.port, *settings.stack.ports]
    return [port if isinstance(port, str) else f"{port}:{port}" for port in every]


def near(settings: Settings) -> str:
    """The address at which the published ports answer on the host itself."""
    return EVERYWHERE.get(settings.stack.bind_address, settings.stack.bind_address)


def bracketed(address: str) -> str:
    """An address as it stands before a port: in brackets where it has colons itself."""
    return f"[{address}]" if ":" in address else address


def named_volumes(settings: Settings) -> list[str]:
    """The volumes of the settings that are Docker's own, and not folders of the host."""
    sources = (volume.partition(":")[0] for volume in settings.stack.volumes)
    return [source for source in sources if not source.startswith(("/", ".", "~"))]


def user(settings: Settings, machine: Machine) -> str:
    r"""The container's own user: root, or the operator, by a name that useradd takes.

    In a domain people are `CORP\Tom Smith` or `Tom Smith@corp.example`: in the container `Tom-Smith`. Students may be
    `20231234`, which many tools take for a UID: `u20231234`.
    """
    if settings.stack.user == "root":
        return "root"
    name = machine.user.rpartition("\\")[2].partition("@")[0]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-")[:32] or "operator"
    return f"u{name}" if name.isdigit() else name


def environment(settings: Settings, machine: Machine) -> dict[str, str]:
    """What the container's start reads: who its user is, and where its services listen."""
    operator = settings.stack.user == "operator"
    return {
        "GPUDOCK_USER": user(settings, machine),
        "GPUDOCK_UID": str(machine.uid if operator else 0),
        "GPUDOCK_GID": str(machine.gid if operator else 0),
        "SSH_PORT": str(settings.ssh.port),
        "SSH_PASSWORDS": "yes" if settings.ssh.passwords else "no",
        "JUPYTER_PORT": str(settings.jupyter.port),
        "JUPYTER_DIRECTORY": settings.jupyter.directory,
        "TZ": settings.stack.timezone,
        "LANG": settings.stack.locale,
        **models(settings),
        **({"GPUDOCK_VARIABLES": " ".join(settings.stack.environment)} if settings.stack.environment else {}),
        **(dict.fromkeys(trust.VARIABLES, "/etc/gpudock/ca.crt") if trust.given(settings, machine) else {}),
        **{name: str(value) for name, value in settings.stack.environment.items()},
    }


def models(settings: Settings) -> dict[str, str]:
    """Where models come from, as their libraries read it; empty for their own defaults."""
    domain = settings.mirrors.modelscope.partition("://")[2] or settings.mirrors.modelscope
    wanted = {"HF_ENDPOINT": settings.mirrors.huggingface, "MODELSCOPE_DOMAIN": domain.rstrip("/")}
    return {name: value for name, value in wanted.items() if value}


def _template(name: str) -> dict[str, Any]:
    """A file of compose/, read once, in a copy of its own."""
    return deepcopy(_load(name))


@cache
def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((COMPOSE / name).read_text(), LOADER)  # noqa: S506  # it is a SafeLoader
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
    """Write it as YAML, once where hosts have the same: that is a tenth of what a host costs the operator's machine."""
    key = repr(document)
    if key not in _dumped:
        _dumped[key] = yaml.safe_dump(_escaped(document), sort_keys=False, allow_unicode=True)
    return _dumped[key]


def _escaped(value: Any) -> Any:
    """Double each $: Compose would read it as the beginning of a variable's name."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
