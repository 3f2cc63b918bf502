"""3. The container: a compose stack with GPUs, ports and volumes, brought up and watched until it is healthy."""

from __future__ import annotations

from functools import partial

from invoke.exceptions import Exit

from gpudock.actions import Action, Run, Watch, Write, shell
from gpudock.command import Job, command, namespace
from gpudock.errors import Refused
from gpudock.questions import Questions
from gpudock.settings import Settings
from gpudock.step import Blocked, Step
from gpudock.steps import additions, astray, compose, engine, folder, gpu_mode, health, ports, trust, work
from gpudock.steps.container import Container, questions, read

AGAIN = "its image or its settings changed"
FOLDERS = 'for path; do [ -e "$path" ] || mkdir -p -- "$path"; done'  # it may be a file that is mounted, or a socket


def needs(settings: Settings, container: Container) -> None:
    """Have the container's name and ports free, and itself not paused: Docker starts no paused one.

    After a crash of the engine its proxies may hold ports for a while.
    """
    if container.image.engine.installed and not container.image.engine.answers:
        return
    if not container.ours:
        astray.need_free_name(settings, container.id, container.foreign)
    elif container.paused:
        raise Refused(
            f"The container {settings.stack.name} is paused, by somebody or by a `docker commit` that is at work: wait "
            f"for that, or let it go on: docker unpause {settings.stack.name}"
        )
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
        alive = container.running or container.paused
        actions += work.spare(settings, "The container would be taken down") if alive else []
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
        shell("make the folders it mounts", FOLDERS, compose.shared(settings), *_mounted(settings)),
        Run(f"start {settings.stack.name}{again}", argv),
        _wait(settings),
    ]


def _trust(settings: Settings, container: Container) -> list[Action]:
    if trust.digest(settings, container.machine) in ("", container.ca_hash):
        return []
    why = "have the container trust whom the host trusts"
    return [trust.place(settings, container.machine, why, compose.ca_path(settings))]


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
