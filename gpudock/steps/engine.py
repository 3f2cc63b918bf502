"""Prerequisite: a Docker engine that runs, can build and compose, and comes back with the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpudock.actions import Action, Run, shell
from gpudock.answers import Answers
from gpudock.command import namespace
from gpudock.engine_api import SOCKET
from gpudock.errors import CannotTell, Refused
from gpudock.questions import Questions
from gpudock.questions import engine as engine_api
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.step import Blocked, Step
from gpudock.steps import apt, docker_repository, login, machine, programs
from gpudock.steps.machine import Machine

# https://docs.docker.com/engine/install/debian/ and …/ubuntu/
DOCKER_PACKAGES = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin")

# What distributions call the engine, the client, buildx and compose; Debian 12 has neither buildx nor Compose v2.
DEBIAN_12 = ("docker.io", "docker-compose", "iptables")
DEBIAN_13 = ("docker.io", "docker-cli", "docker-buildx", "docker-compose", "iptables")
UBUNTU = ("docker.io", "docker-buildx", "docker-compose-v2", "iptables")

# What `systemctl is-enabled docker` looks at, which costs 6 ms. And whether the daemon that runs is told runtimes by
# flags: it would not start with the same keys in daemon.json. Between two words is a NUL, which `read` leaves out.
SERVICE = """for link in /etc/systemd/system/*.wants/docker.service; do
  [ ! -L "$link" ] || [ /etc/systemd/system/docker.service -ef /dev/null ] || { echo enabled; break; }
done
[ -r /var/run/docker.pid ] && read -r pid </var/run/docker.pid || exit 0
read -r words 2>/dev/null <"/proc/$pid/cmdline"
case $words in *--add-runtime* | *--default-runtime*) echo flagged ;; esac"""

PODMAN = "BuildahVersion"  # what its imitation of `docker info` has and Docker's has not

READY = """tries=0; until docker info >/dev/null 2>&1; do
  tries=$((tries + 1)); [ $tries -lt 60 ] || {
    docker info 2>&1 | tail -n 3; tail -n 20 /var/log/docker.log 2>/dev/null; exit 1; }
  sleep 1; done"""

# The init script gives up in a sandbox that may not raise limits, where the daemon itself is content.
START_BY_HAND = """[ -x /etc/init.d/docker ] && /etc/init.d/docker start >/dev/null 2>&1 && exit 0
setsid sh -c 'exec dockerd >>/var/log/docker.log 2>&1 </dev/null' &"""


def questions(settings: Settings) -> Questions:
    """All that the engine step, and each step that needs an engine, has to know."""
    return {
        **machine.QUESTIONS,
        "docker.programs": question(programs.LIST),
        "docker.daemon": question("command -v dockerd"),
        "docker.info": engine_api("/info"),
        "docker.service": question(SERVICE),
        "docker.group": question('[ "${SUDO_UID:-0}" = 0 ] || getent group docker; :'),
        **docker_repository.questions(settings),
    }


@dataclass(frozen=True)
class Engine:
    """The Docker engine of a host. `version` is empty where none answers, `error` then says what was said.

    `source` is the text of docker.list, `login` what `login.found` says of the mirror's login. `cdi` tells whether the
    Container Device Interface is on, `cgroups` who manages containers' cgroups, `flagged` whether flags name runtimes.
    `podman` is the version of what answers in Docker's place, which counts as no answer.
    """

    machine: Machine
    installed: bool
    version: str
    error: str
    client: str
    builds: bool
    compose: tuple[str, ...]
    enabled: bool
    members: tuple[str, ...]
    repository: bool
    runtimes: Mapping[str, Any]
    live_restore: bool
    running: int
    rootless: bool
    desktop: bool
    source: str | None = field(default=None, metadata={"secret": True})
    login: str = field(default="", metadata={"secret": True})
    cdi: bool = False
    cgroups: str = ""
    flagged: bool = False
    podman: str = ""

    @property
    def answers(self) -> bool:
        """Whether the daemon answers."""
        return bool(self.version)


def read(settings: Settings, answers: Answers) -> Engine:
    """Make an Engine of the answers. Raises CannotTell where the engine is there but will not talk to root."""
    found = info(answers)
    podman = str(found["ServerVersion"]) if PODMAN in found else ""
    found = {} if podman else found
    client, builds, compose = programs.choose(answers["docker.programs"].out)
    service = answers["docker.service"].out.split()
    members = answers["docker.group"].out.strip().rpartition(":")[2]
    return Engine(
        machine=machine.read(answers),
        installed=answers["docker.daemon"].ok,
        version=str(found.get("ServerVersion") or ""),
        error=answers["docker.info"].err.strip(),
        client=client,
        builds=builds,
        compose=compose,
        enabled="enabled" in service,
        members=tuple(members.split(",")) if members else (),
        repository=docker_repository.reachable(answers),
        runtimes=found.get("Runtimes") or {},
        live_restore=bool(found.get("LiveRestoreEnabled")),
        running=int(found.get("ContainersRunning") or 0),
        rootless=any("rootless" in option for option in found.get("SecurityOptions") or ()),
        desktop=found.get("OperatingSystem") == "Docker Desktop",
        source=answers["docker.source"].file(),
        login=login.found(answers["docker.login"]),
        cdi=bool(found.get("CDISpecDirs")),
        cgroups=str(found.get("CgroupDriver") or ""),
        flagged="flagged" in service,
        podman=podman,
    )


def plan(settings: Settings, engine: Engine) -> list[Action]:
    """Install what is missing, start what does not run, and let the operator use it. Raises Refused beside Podman."""
    if engine.podman:
        raise Refused(
            f"Podman {engine.podman} answers at {SOCKET}, in Docker's place, and gpudock needs Docker itself. Where "
            "nobody needs that, take it away (`apt-get remove podman-docker`), then run the same command again."
        )
    actions = docker_repository.mend(settings, engine.machine, engine.source, engine.login)
    if not engine.installed or not engine.compose or not engine.builds:
        actions += _install(settings, engine)
    if not engine.answers:
        actions += _start(engine)
    elif engine.machine.systemd and not engine.enabled:
        actions.append(Run("have Docker started with the machine", ("systemctl", "enable", "docker")))
    user = engine.machine.user
    if settings.engine.add_user_to_group and user != "root" and user not in engine.members:
        actions.append(Run(f"let {user} use Docker (from the next login on)", ("usermod", "-aG", "docker", user)))
    return actions


def need(engine: Engine) -> None:
    """Say that a step needs a running engine that can build and compose. Raises Blocked where there is none."""
    if not engine.answers:
        raise Blocked("engine.install", "No Docker engine answers on this host.")
    if not engine.compose or not engine.builds:
        raise Blocked("engine.install", "Docker on this host cannot build images or has no Compose.")


def info(answers: Answers) -> Mapping[str, Any]:
    """What the daemon tells of itself; nothing where none answers. Raises CannotTell where it will not talk to root."""
    answer = answers["docker.info"]
    if answer.timed_out:
        raise CannotTell("The Docker daemon does not answer within 30 s: look at `journalctl -u docker`.")
    if "permission denied" in answer.err.lower():
        raise CannotTell(f"The Docker daemon refuses to talk: {answer.err.strip()}")
    if not answer.out.strip().startswith("{"):
        return {}
    said: Mapping[str, Any] = answer.json()
    return said


def _install(settings: Settings, engine: Engine) -> list[Action]:
    host = engine.machine
    if not host.apt:
        raise Refused(
            f"No Docker engine here, and engine.install knows only apt (Debian, Ubuntu), not {host.distribution} "
            f"{host.version}. Install Docker with Buildx and Compose by hand, then run this again."
        )
    actions = apt.mend(settings, host)
    wanted = settings.engine.source
    if not engine.installed and (wanted == "docker" or (wanted == "auto" and engine.repository)):
        return actions + _from_docker(settings, engine)
    packages = _distribution_packages(engine)
    return [
        *actions,
        apt.update(settings, "fetch the package lists"),
        apt.install(settings, f"install {', '.join(packages)} of {host.distribution} {host.version}", *packages),
    ]


def _distribution_packages(engine: Engine) -> tuple[str, ...]:
    host = engine.machine
    if host.upstream == "ubuntu":
        packages: tuple[str, ...] = UBUNTU
    else:
        packages = DEBIAN_12 if host.version in ("11", "12") else DEBIAN_13
    return (
        packages if not engine.installed else tuple(name for name in packages if name not in ("docker.io", "iptables"))
    )


def _from_docker(settings: Settings, engine: Engine) -> list[Action]:
    return [
        *docker_repository.add(settings, engine.machine, engine.login),
        apt.update(settings, "fetch its package lists", docker_repository.SOURCE),
        apt.install(settings, "install Docker, Buildx and Compose", *DOCKER_PACKAGES),
    ]


def _start(engine: Engine) -> list[Action]:
    if engine.machine.systemd:
        start = Run("start Docker, now and with the machine", ("systemctl", "enable", "--now", "docker"))
    else:
        start = shell("start Docker", START_BY_HAND)
    return [start, shell("wait until Docker answers", READY)]


INSTALL = Step(
    "engine.install", "Install Docker with Buildx and Compose, start it, let you use it.", questions, read, plan
)
TASKS = namespace("engine", INSTALL)
