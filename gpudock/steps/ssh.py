"""3.3 The SSH service in the container: by key, on a port of its own."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpudock import own_key
from gpudock.actions import Action, Write
from gpudock.answers import Answers
from gpudock.command import Job, namespace
from gpudock.command import command as task
from gpudock.errors import UsageError
from gpudock.files import text
from gpudock.questions import Questions, file
from gpudock.settings import Settings
from gpudock.step import Step
from gpudock.steps import accounts, compose, folder, services
from gpudock.steps.services import Services
from gpudock.way import Way


@dataclass(frozen=True)
class Ssh:
    """What of the SSH service is on the host: its authorized_keys, the files of more users, the password's hash."""

    services: Services
    keys: str | None
    users: Mapping[str, str] = field(default_factory=dict)
    password_hash: str | None = field(default=None, repr=False, metadata={"secret": True})


def questions(settings: Settings) -> Questions:
    """What to know of the SSH service."""
    return {
        **services.questions(settings),
        "ssh.keys": file(keys_path(settings)),
        "ssh.users": folder.asked(ssh_folder(settings), "users", "keys"),
        "ssh.password": file(password_path(settings)),
    }


def read(settings: Settings, answers: Answers) -> Ssh:
    """Make an Ssh of the answers."""
    return Ssh(
        services=services.read(settings, answers),
        keys=answers["ssh.keys"].file(),
        users=folder.read(ssh_folder(settings), answers["ssh.users"]),
        password_hash=answers["ssh.password"].file(),
    )


def plan_start(settings: Settings, ssh: Ssh, ask: accounts.Ask = lambda: None) -> list[Action]:
    """3.3 Put the operator's keys, more users and the password's hash in place, and start sshd.

    `ask` returns the password, or None where there is none to be had.
    """
    keys = public_keys(settings)
    others = set((ssh.keys or "").splitlines()) - set(keys.splitlines())
    instead = f", instead of {len(others)} that {'is' if len(others) == 1 else 'are'} there" if others else ""
    place = Write(f"put your public keys in place{instead}", keys_path(settings), keys, ssh.keys)
    own = compose.user(settings, ssh.services.container.machine)
    who = [
        *folder.plan("SSH file", ssh_folder(settings), accounts.files(settings, own), ssh.users),
        *accounts.plan_password(settings, password_path(settings), ssh.password_hash, ask),
    ]
    pending = bool(settings.ssh.users or settings.ssh.passwords) and not ssh.services.users
    started = services.start(settings, ssh.services, "ssh", changed=bool(who) or pending)
    return [*([place] if ssh.keys != keys else []), *who, *started]


def needs(settings: Settings, ssh: Ssh) -> None:
    """Have keys that are keys: nobody should wait for a build to hear it. Raises UsageError and Refused."""
    if settings.ssh.enabled:
        for name in settings.ssh.authorized_keys:
            _named(name)
        accounts.files(settings, compose.user(settings, ssh.services.container.machine))


def plan_stop(settings: Settings, ssh: Ssh) -> list[Action]:
    """Stop sshd; it stays stopped."""
    return services.stop(settings, ssh.services, "ssh")


def skip(settings: Settings, ssh: Ssh) -> str | None:
    """Leave SSH out of `setup` where the settings do."""
    return None if settings.ssh.enabled else "ssh.enabled is off"


def keys_path(settings: Settings) -> str:
    """The authorized_keys on the host."""
    return f"{ssh_folder(settings)}/authorized_keys"


def password_path(settings: Settings) -> str:
    """The file with the password's hash, on the host."""
    return f"{ssh_folder(settings)}/password"


def ssh_folder(settings: Settings) -> str:
    """The folder of sshd's files on the host."""
    return f"{compose.shared(settings)}/ssh"


def public_keys(settings: Settings) -> str:
    """The public keys that may log in. Raises UsageError where a file named in the settings has none.

    `auto` takes ~/.ssh/*.pub and ~/.ssh/authorized_keys; where there is none, a key pair made for gpudock.
    """
    named = settings.ssh.authorized_keys
    lines = [line for name in named for line in _named(name)]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines)) or own_key.public_key()


def _named(name: str) -> list[str]:
    """The keys that an entry of ssh.authorized_keys stands for."""
    return _found() if name == "auto" else _keys(Path(name).expanduser())


def _found() -> list[str]:
    """The keys of the operator's own ~/.ssh."""
    home = str(Path.home() / ".ssh")
    found = [Path(name) for name in (*sorted(glob.glob(f"{home}/*.pub")), f"{home}/authorized_keys")]
    texts = (path.read_text(errors="replace") for path in found if path.is_file())
    return [line for text in texts for line in text.splitlines() if accounts.is_key(line)]


def command(settings: Settings, way: Way, user: str) -> str:
    """The ssh command into the container, through the host where its port is not published to all."""
    key = f" -i {shlex.quote(str(own_key.PRIVATE))}" if uses_own_key(settings) else ""
    port, near = f"-p {settings.ssh.port}", compose.near(settings)
    if _is_direct(settings, way):
        return f"{way.ssh}{key} {port} {user}@{way.address or near}"
    return f"{way.ssh}{key} -J {way.destination} {port} -o HostKeyAlias={_alias(settings, way)} {user}@{near}"


def entry(settings: Settings, way: Way, user: str) -> str:
    """The same for ~/.ssh/config: https://man.openbsd.org/ssh_config."""
    direct = _is_direct(settings, way)
    options = {
        "HostName": (way.address if direct else "") or compose.near(settings),
        "Port": settings.ssh.port,
        "User": user,
        **({} if direct else {"ProxyJump": way.destination}),
        "HostKeyAlias": _alias(settings, way),
        **({"IdentityFile": f'"{own_key.PRIVATE}"'} if uses_own_key(settings) else {}),
    }
    return f"Host {_alias(settings, way)}\n" + "".join(f"  {name} {value}\n" for name, value in options.items())


def _is_direct(settings: Settings, way: Way) -> bool:
    """Whether the container's port is reached without a login on the host."""
    return not way.destination or settings.stack.bind_address in compose.EVERYWHERE


def _alias(settings: Settings, way: Way) -> str:
    """The container's name for ssh: on loopback all hosts' containers have one address, and each a key of its own."""
    return f"{way.name}-{settings.stack.name}" if way.name else settings.stack.name


def uses_own_key(settings: Settings) -> bool:
    """Whether the only key that may log in is the one gpudock made."""
    return own_key.PUBLIC.is_file() and public_keys(settings) == own_key.PUBLIC.read_text()


def _keys(path: Path) -> list[str]:
    lines = [line for line in text(path, "ssh.authorized_keys").splitlines() if accounts.is_key(line)]
    if not lines:
        raise UsageError(f"ssh.authorized_keys: {path} holds no public key.")
    return lines


def start_step(ask: Callable[[Settings], str | None]) -> Step[Ssh]:
    """The step that starts sshd, with the way to get a password."""
    summary = "3.3 Start the SSH service in the container."
    return Step(
        "ssh.start",
        summary,
        questions,
        read,
        lambda settings, facts: plan_start(settings, facts, lambda: ask(settings)),
        skip,
        needs,
    )


START = start_step(accounts.given)
STOP = Step("ssh.stop", "Stop the SSH service; it stays stopped.", questions, read, plan_stop)


@task(name="password")
def set_password(job: Job) -> None:
    """Set the SSH password of the container's user: from GPUDOCK_SSH_PASSWORD, ssh.password_file, or asked."""
    if not job.settings.ssh.passwords:
        raise UsageError("ssh.passwords is off: only keys log in. Allow passwords with --set ssh.passwords=true.")
    job.converge(start_step(accounts.asked))


@task(name="config")
def show_config(job: Job) -> None:
    """Show the entry for ~/.ssh/config by which ssh, VS Code and the like get into the container."""
    facts: Ssh = job.facts(START)
    text = entry(job.settings, job.way, compose.user(job.settings, facts.services.container.machine))
    if job.options.json:
        job.say(text, config=text)
    else:
        job.report.write(text)  # without the host's name above it, so that >> takes it as it is


TASKS = namespace("ssh", START, STOP, set_password, show_config)
