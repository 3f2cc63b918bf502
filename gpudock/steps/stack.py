"""3. The container: a compose stack with GPUs, ports and volumes, brought up and watched until it is healthy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from invoke.exceptions import Exit

from gpudock.actions import Action, Run, Watch, Write, shell
from gpudock.answers import Answers
from gpudock.command import Job, command, namespace
from gpudock.questions import Questions, file
from gpudock.questions import engine as engine_api
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.step import Blocked, Step
from gpudock.steps import additions, astray, compose, engine, folder, gpu_mode, health, image, ports, trust, work
from gpudock.steps.image import Image
from gpudock.steps.machine import Machine

AGAIN = "its image or its settings changed"


@dataclass(frozen=True)
class Container:
    """The container on a host; `id` is empty where there is none.

    `ours` tells that compose started it for this stack; `volumes` are the stack's, where they were asked for; `others`
    are `name ports` of all that run, `stacks` those that gpudock started, `astray` those of the stack that have not its
    name, `foreign` those of somebody else's project of that name; `unnamed` are images of ours.
    """

    image: Image
    compose: str | None
    ca_hash: str
    id: str
    image_id: str
    configuration: str
    status: str
    health: str
    started: str
    ours: bool
    volumes: tuple[str, ...]
    others: tuple[str, ...]
    listeners: tuple[str, ...]
    scripts: Mapping[str, str] = field(default_factory=dict, repr=False)
    astray: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def machine(self) -> Machine:
        """The host it is on."""
        return self.image.machine

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.status == "running"


def questions(settings: Settings) -> Questions:
    """What to know of the container, its compose file, and who holds which port."""
    return {
        **image.questions(settings),
        **ports.questions(settings),
        **astray.questions(settings),
        "stack.compose": file(compose.path(settings)),
        "stack.ca": question('sha256sum "$1" 2>/dev/null; :', ca_path(settings)),
        "stack.scripts": folder.asked(compose.shared(settings), *(f"scripts/{kind}" for kind in additions.KINDS)),
        "stack.container": engine_api(f"/containers/{settings.stack.name}/json"),
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
        ca_hash=answers["stack.ca"].out[:64],
        id=found.get("Id", ""),
        image_id=found.get("Image", ""),
        configuration=labels.get(compose.CONFIGURATION, ""),
        status=state.get("Status", ""),
        health=(state.get("Health") or {}).get("Status", ""),
        started=state.get("StartedAt", ""),
        ours=labels.get(astray.PROJECT) == settings.stack.name and compose.CONFIGURATION in labels,
        volumes=tuple(answers["stack.volumes"].out.split()) if "stack.volumes" in answers else (),
        others=ports.containers(answers),
        listeners=tuple(answers["ports.listeners"].out.splitlines()),
        stacks=ports.stacks(answers),
        scripts=folder.read(compose.shared(settings), answers["stack.scripts"]),
        astray=astray.read(settings, answers),
        unnamed=astray.unnamed(answers),
        foreign=astray.foreign(settings, answers),
    )


def needs(settings: Settings, container: Container) -> None:
    """Have the container's name and ports free. After a crash of the engine its proxies may hold them for a while."""
    if container.image.engine.installed and not container.image.engine.answers:
        return
    if not container.ours:
        astray.need_free_name(settings, container.id, container.foreign)
    own = (settings.stack.name, *container.astray)
    ports.need_free(settings, own, container.others, container.listeners, container.stacks)


def plan(settings: Settings, container: Container) -> list[Action]:
    """3.2 Bring the stack up where its file, its image or its state is not as wanted."""
    engine.need(container.image.engine)
    if not container.image.id:
        raise Blocked("image.build", f"There is no image {settings.image.name} on this host.")
    mode = gpu_mode.of(settings, container.image.engine).mode
    text = compose.render(settings, container.machine, mode)
    wanted = compose.configuration(settings, container.machine, mode)
    scripts = {f"scripts/{name}": content for name, content in additions.start_scripts(settings).items()}
    place = compose.shared(settings)
    actions = _trust(settings, container) + folder.plan("script", place, scripts, container.scripts, mode=0o755)
    if container.compose != text:
        why = f"write the compose file, with GPUs by {mode}" if mode else "write the compose file"
        actions.append(Write(why, compose.path(settings), text, container.compose))
    same = container.configuration == wanted and container.image_id == container.image.id
    if not (same and container.running):
        needs(settings, container)
        spare = work.spare(settings, f"The container would start anew, as {AGAIN}") if container.running else []
        actions = [*spare, *actions, *astray.gather(settings, container.astray), *_up(settings, container, same)]
        actions += astray.forget(container.image_id, container.unnamed)
    elif container.health != "healthy":
        actions.append(_wait(settings))
    return actions


def down(settings: Settings, container: Container, *, volumes: bool = False) -> list[Action]:
    """Take the container away; its volumes stay unless told otherwise. One that is not ours is left alone."""
    engine.need(container.image.engine)
    actions = astray.gather(settings, container.astray)
    if container.ours:
        by_compose = (*_compose(settings, container), "down")
        by_hand = ("docker", "rm", "--force", container.id)
        actions += work.spare(settings, "The container would be taken down") if container.running else []
        actions.append(Run(f"take {settings.stack.name} down", by_hand if container.compose is None else by_compose))
        actions += astray.forget(container.image_id, container.unnamed)
    if volumes and container.volumes:
        astray.need_free_name(settings, "", container.foreign)  # which volumes are whose, nobody can tell
        argv = ("docker", "volume", "rm", *container.volumes)
        actions.append(Run(f"remove the volumes {', '.join(container.volumes)}", argv))
    return actions


def _compose(settings: Settings, container: Container) -> tuple[str, ...]:
    return (*container.image.engine.compose, "-p", settings.stack.name, "-f", compose.path(settings))


def _up(settings: Settings, container: Container, same: bool) -> list[Action]:
    again = "" if not container.id else " again" if same else f" anew: {AGAIN}"
    argv = (*_compose(settings, container), "up", "-d")
    return [
        shell("make the folders it mounts", 'mkdir -p -- "$@"', compose.shared(settings), *_mounted(settings)),
        Run(f"start {settings.stack.name}{again}", argv),
        _wait(settings),
    ]


def ca_path(settings: Settings) -> str:
    """The CA bundle on the host, for the tools in the container."""
    return f"{compose.shared(settings)}/ca.crt"


def _trust(settings: Settings, container: Container) -> list[Action]:
    if trust.digest(settings, container.machine) in ("", container.ca_hash):
        return []
    return [
        trust.place(settings, container.machine, "have the container trust whom the host trusts", ca_path(settings))
    ]


def _mounted(settings: Settings) -> list[str]:
    return [source for source in (volume.split(":")[0] for volume in settings.stack.volumes) if source.startswith("/")]


def _wait(settings: Settings) -> Action:
    return Watch("wait until it is healthy", lambda host, line: health.wait_healthy(host, settings, line))


@command()
def show(job: Job) -> None:
    """3.1 Show the compose file as it would be written."""
    facts: Container = job.facts(UP)
    gpus = gpu_mode.of(job.settings, facts.image.engine)
    text = compose.render(job.settings, facts.machine, gpus.mode)
    scripts, users = list(additions.start_scripts(job.settings)), sorted(job.settings.ssh.users)
    yours = f"\n# GPUs by {gpus.mode}, {gpus.why}" if gpus.mode else ""
    yours += "".join(f"\n# script {name}" for name in scripts) + "".join(f"\n# SSH user {name}" for name in users)
    job.say(f"{text.rstrip()}{yours}", path=compose.path(job.settings), compose=text, scripts=scripts, users=users)


@command(name="down", options={"volumes": "Take the named volumes away too: home, caches, SSH host keys."})
def take_down(job: Job, volumes: bool = False) -> None:
    """Stop and remove the container; its volumes stay unless told otherwise."""
    job.converge(down_step(volumes=volumes))


@command(options={"lines": "How many lines from the end.", "follow": "Go on printing until Ctrl-C."})
def logs(job: Job, lines: int = 100, follow: bool = False) -> None:
    """Show the container's log."""
    from gpudock import docker_api  # the SDK costs 300 ms

    with docker_api.container(job.host, job.settings.stack.name) as container:
        if not follow:
            text = container.logs(tail=lines, timestamps=False).decode(errors="replace")
            job.say(text.rstrip("\n"), lines=text.splitlines())
            return
        for piece in container.logs(tail=lines, stream=True, follow=True):
            job.say(piece.decode(errors="replace").rstrip("\n"))


@command(name="shell")
def enter(job: Job) -> None:
    """3.4 Enter the container: a shell of its user, in the environment."""
    facts: Container = job.facts(UP)
    if not facts.running:
        raise Blocked("stack.up", f"The container {job.settings.stack.name} does not run.")
    user = compose.user(job.settings, facts.machine)
    argv = ("docker", "exec", "-it", "--user", user, job.settings.stack.name, "bash", "--login")
    if code := job.host.interact(argv):
        raise Exit(code=code)


def down_step(*, volumes: bool) -> Step[Container]:
    """The step that takes the stack down. It alone asks for the volumes."""

    def asked(settings: Settings) -> Questions:
        listed = ("docker", "volume", "ls", "-q", "--filter", f"label={astray.PROJECT}={settings.stack.name}")
        return {**questions(settings), "stack.volumes": listed}

    return Step("stack.down", down.__doc__ or "", asked, read, partial(down, volumes=volumes))


UP = Step("stack.up", "3.2 Start the container and wait until it is healthy.", questions, read, plan, needs=needs)
TASKS = namespace("stack", show, UP, take_down, logs, enter)
