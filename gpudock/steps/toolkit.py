"""1. NVIDIA Container Toolkit: key and repository, experimental channel, package, Docker runtime, restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gpudock.actions import Action, Run, Write, remove, shell
from gpudock.command import namespace, step_command
from gpudock.converge import Blocked, Step
from gpudock.errors import Refused
from gpudock.questions import Answers, Questions, file
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps import apt, daemon, engine, repository
from gpudock.steps.engine import Engine

PREREQUISITES = ("ca-certificates", "curl", "gnupg")

# All four: apt cannot resolve an older toolkit unless its libraries are pinned too (facts/toolkit.md §1).
PACKAGES = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)

VERSIONS = "dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n' \"$@\" 2>/dev/null; :"

BACKUPS = "/var/backups/gpudock"  # outside gpudock's own folder, which teardown takes away
BACKUP = 'mkdir -p -m 0755 "$2" && cp -p "$1" "$2/daemon.json.$(date -u +%Y%m%dT%H%M%SZ)"'

# Reload is asynchronous, and a configuration that Docker refuses is only logged (facts/toolkit.md §3).
LISTED = """tries=0; until docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"nvidia"'; do
  tries=$((tries + 1)); [ $tries -lt 30 ] || { echo "docker info does not list the nvidia runtime"; exit 1; }
  sleep 0.5; done"""
RELOAD_BY_HAND = 'kill -HUP "$(cat /var/run/docker.pid)"'
RESTART_BY_HAND = "/etc/init.d/docker restart"


@dataclass(frozen=True)
class Toolkit:
    """What of the toolkit is on the host. `fingerprints` are the keyring's keys, `source` the list's text."""

    engine: Engine
    tools: bool
    fingerprints: tuple[str, ...]
    key_mode: str
    source: str | None
    others: tuple[str, ...]
    versions: Mapping[str, str]
    daemon: str | None

    @property
    def experimental(self) -> bool:
        """Whether the experimental channel is switched on."""
        return any("/experimental/" in line and not line.startswith("#") for line in (self.source or "").splitlines())

    @property
    def version(self) -> str:
        """The installed toolkit's version, empty where there is none."""
        return self.versions.get(PACKAGES[0], "")


def questions(settings: Settings) -> Questions:
    """What the five steps have to know."""
    return {
        **engine.questions(settings),
        **repository.QUESTIONS,
        "toolkit.versions": question(VERSIONS, *PACKAGES),
        "docker.daemon-json": file(daemon.PATH),
    }


def read(settings: Settings, answers: Answers) -> Toolkit:
    """Make a Toolkit of the answers."""
    rows = [line.split() for line in answers["toolkit.versions"].out.splitlines()]
    return Toolkit(
        engine=engine.read(settings, answers),
        tools=answers["toolkit.tools"].ok,
        fingerprints=tuple(answers["toolkit.key"].out.split()),
        key_mode=answers["toolkit.key-mode"].out.strip(),
        source=answers["toolkit.source"].file(),
        others=tuple(path for path in answers["toolkit.others"].out.split() if path != repository.SOURCE),
        versions={row[0]: row[1] for row in rows if row[2:] == ["installed"]},
        daemon=answers["docker.daemon-json"].file(),
    )


def skip(settings: Settings, toolkit: Toolkit) -> str | None:
    """Leave the toolkit out of `setup` on a machine without a GPU. Raises Refused where one is required."""
    if toolkit.engine.machine.driver:
        return None if settings.gpu.use != "off" else "gpu.use is off"
    if settings.gpu.use == "required":
        raise Refused("gpu.use is required, but no NVIDIA driver answers here. Install the driver, then try again.")
    return "no NVIDIA driver here"


def plan_repository(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.1 Add NVIDIA's key and repository; other files that name it would make apt refuse both."""
    _need_apt(toolkit)
    actions = [repository.aside(path) for path in toolkit.others]
    if not toolkit.tools:
        actions += apt.mend(settings, toolkit.engine.machine)
        actions.append(apt.update(settings, "fetch the package lists"))
        actions.append(apt.install(settings, "install curl and gnupg", *PREREQUISITES))
    if settings.toolkit.fingerprint not in toolkit.fingerprints or toolkit.key_mode != "644":
        actions.append(repository.fetch_key(settings))
    source = repository.render_source(settings, experimental=toolkit.experimental)
    if toolkit.source != source:
        actions.append(Write("add NVIDIA's repository", repository.SOURCE, source, toolkit.source))
    return actions


def plan_channel(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.2 Switch the experimental channel on or off as toolkit.channel says."""
    if toolkit.source is None:
        raise Blocked("toolkit.repo", "NVIDIA's repository is not set up.")
    wanted = settings.toolkit.channel == "experimental"
    if toolkit.experimental == wanted:
        return []
    why = f"switch the experimental channel {'on' if wanted else 'off'}"
    return [Write(why, repository.SOURCE, repository.render_source(settings, experimental=wanted), toolkit.source)]


def plan_package(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.3 Install the package, with its three libraries at the same version."""
    _need_apt(toolkit)
    if _satisfied(settings, toolkit):
        return []
    if toolkit.source is None:
        raise Blocked("toolkit.repo", "NVIDIA's repository is not set up.")
    pin = settings.toolkit.version and f"={_debian(settings.toolkit.version)}"
    names = tuple(f"{name}{pin}" for name in PACKAGES)
    return [
        *apt.mend(settings, toolkit.engine.machine),
        apt.update(settings, "fetch NVIDIA's package lists", repository.SOURCE),
        apt.install(settings, "install the NVIDIA Container Toolkit", *names, options=("--allow-downgrades",)),
    ]


def plan_configure(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.4 Have Docker know NVIDIA's runtime; each other key of daemon.json stays."""
    if not toolkit.version:
        raise Blocked("toolkit.package", "The NVIDIA Container Toolkit is not installed.")
    before = daemon.parse(toolkit.daemon)
    after = daemon.with_runtime(before, default=settings.toolkit.set_as_default, cdi=settings.gpu.mode == "cdi")
    if after == before:
        return []
    write = Write(
        "add the nvidia runtime to daemon.json", daemon.PATH, daemon.render(after, toolkit.daemon), toolkit.daemon
    )
    if toolkit.daemon is None:
        return [write]
    return [shell("keep a copy of daemon.json", BACKUP, daemon.PATH, BACKUPS), write]


def plan_restart(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """1.5 Have Docker take the runtime up: a reload is enough and leaves all containers running."""
    engine.need(toolkit.engine)
    if "nvidia" in toolkit.engine.runtimes:
        return []
    if "nvidia" not in (daemon.parse(toolkit.daemon).get("runtimes") or {}):
        raise Blocked("toolkit.configure", "daemon.json does not name the nvidia runtime.")
    reload = (
        Run("reload Docker (containers go on running)", ("systemctl", "reload", "docker"))
        if toolkit.engine.machine.systemd
        else shell("reload Docker (containers go on running)", RELOAD_BY_HAND)
    )
    return [reload, shell("wait until Docker lists the nvidia runtime", LISTED)]


def plan_uninstall(settings: Settings, toolkit: Toolkit) -> list[Action]:
    """Take package, repository, key and runtime away; the rest of daemon.json stays.

    Docker drops the runtime when it next starts: a reload does not take one away (facts/toolkit.md §3).
    """
    actions: list[Action] = []
    before = daemon.parse(toolkit.daemon)
    if "nvidia" in (before.get("runtimes") or {}):
        text = daemon.render(daemon.without_runtime(before), toolkit.daemon)
        actions.append(shell("keep a copy of daemon.json", BACKUP, daemon.PATH, BACKUPS))
        actions.append(Write("take the nvidia runtime out of daemon.json", daemon.PATH, text, toolkit.daemon))
    if toolkit.versions:
        argv = ("apt-get", "remove", "-y", *toolkit.versions)
        actions.append(Run("remove the toolkit's packages", argv, environment=apt.environment(settings)))
    if toolkit.source is not None or toolkit.fingerprints:
        actions.append(remove("remove NVIDIA's repository and key", repository.SOURCE, repository.KEYRING))
    return actions


def _satisfied(settings: Settings, toolkit: Toolkit) -> bool:
    if set(toolkit.versions) != set(PACKAGES) or len(set(toolkit.versions.values())) != 1:
        return False
    if settings.toolkit.version:
        return toolkit.version == _debian(settings.toolkit.version)
    return _numbers(toolkit.version) >= _numbers(settings.toolkit.minimum_version)


def _debian(version: str) -> str:
    """The package's version: NVIDIA's revision is always 1."""
    return version if "-" in version else f"{version}-1"


def _numbers(version: str) -> tuple[int, ...]:
    upstream = version.partition("-")[0].partition("~")[0]
    return tuple(int(part) for part in upstream.split(".") if part.isdigit())


def _need_apt(toolkit: Toolkit) -> None:
    host = toolkit.engine.machine
    if not host.apt:
        raise Refused(f"The toolkit's steps know apt (Debian, Ubuntu), not {host.distribution} {host.version}.")


REPO = Step("toolkit.repo", "1.1 Add NVIDIA's key and package repository.", questions, read, plan_repository, skip)
CHANNEL = Step(
    "toolkit.channel",
    "1.2 Switch the experimental channel as toolkit.channel says.",
    questions,
    read,
    plan_channel,
    skip,
)
PACKAGE = Step("toolkit.package", "1.3 Install the NVIDIA Container Toolkit.", questions, read, plan_package, skip)
CONFIGURE = Step("toolkit.configure", "1.4 Have Docker know NVIDIA's runtime.", questions, read, plan_configure, skip)
RESTART = Step(
    "toolkit.restart", "1.5 Have Docker take the runtime up, by a reload.", questions, read, plan_restart, skip
)
UNINSTALL = Step(
    "toolkit.uninstall", "Take the toolkit away, Docker's runtime with it.", questions, read, plan_uninstall
)
STEPS = (REPO, CHANNEL, PACKAGE, CONFIGURE, RESTART)
ALL = step_command(*STEPS, name="install", summary="1. Install NVIDIA Container Toolkit: all five steps.")
TASKS = namespace("toolkit", *STEPS, ALL, UNINSTALL)
