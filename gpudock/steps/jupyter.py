"""4. JupyterLab: a password that is kept only as a hash, or else a token; started, stopped, found."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from gpudock.actions import Action, Write, remove
from gpudock.answers import Answers
from gpudock.command import Job, command, namespace
from gpudock.credentials import secret
from gpudock.errors import UsageError
from gpudock.questions import Questions, ask, file
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.step import Blocked, Step
from gpudock.steps import compose, services, work
from gpudock.steps.services import Services
from gpudock.way import Way

VARIABLE = "GPUDOCK_JUPYTER_PASSWORD"

Ask = Callable[[], str | None]


@dataclass(frozen=True)
class Jupyter:
    """What of JupyterLab is on the host: its password's hash, whether it has a token."""

    services: Services
    password_hash: str | None = field(repr=False, metadata={"secret": True})
    token: bool


def questions(settings: Settings) -> Questions:
    """What to know of JupyterLab."""
    return {
        **services.questions(settings),
        "jupyter.password": file(password_path(settings)),
        "jupyter.token": question('[ -s "$1" ]', token_path(settings)),
    }


def read(settings: Settings, answers: Answers) -> Jupyter:
    """Make a Jupyter of the answers."""
    return Jupyter(
        services=services.read(settings, answers),
        password_hash=answers["jupyter.password"].file(),
        token=answers["jupyter.token"].ok,
    )


def plan_password(settings: Settings, jupyter: Jupyter, ask: Ask) -> list[Action]:
    """4.2 Keep the password's hash; without a password, a token that `jupyter.url` shows.

    `ask` returns the password, or None where there is none to be had.
    """
    password, actions = ask(), list[Action]()
    if password is None:
        return [] if jupyter.password_hash or jupyter.token else [_token(settings)]
    if not (jupyter.password_hash and matches(password, jupyter.password_hash)):
        why, text = "keep the hash of the password", f"{hashed(password)}\n"
        actions.append(Write(why, password_path(settings), text, mode=0o600, secret=True))
    if jupyter.token:
        actions.append(remove("take the token away", token_path(settings)))
    return _taken_up(settings, jupyter, actions)


def plan_start(settings: Settings, jupyter: Jupyter) -> list[Action]:
    """4.3 Start JupyterLab; it never runs without a password or a token."""
    if not (jupyter.password_hash or jupyter.token):
        return [_token(settings), *services.start(settings, jupyter.services, "jupyter", changed=True)]
    return _taken_up(settings, jupyter, []) or services.start(settings, jupyter.services, "jupyter", changed=False)


def _taken_up(settings: Settings, jupyter: Jupyter, changes: list[Action]) -> list[Action]:
    """Changes of password and token, and a new start of a JupyterLab that runs with the former ones."""
    lab = jupyter.services
    if not changes and not lab.former:
        return []
    spare = work.spare(settings, "JupyterLab would start anew, with the new password", kernels=True)
    start = services.start(settings, lab, "jupyter", changed=True) if "jupyter" in lab.wanted else []
    return [*(spare if "jupyter" in lab.up else []), *changes, *start]


def plan_stop(settings: Settings, jupyter: Jupyter) -> list[Action]:
    """Stop JupyterLab; it stays stopped."""
    return services.stop(settings, jupyter.services, "jupyter")


def skip(settings: Settings, jupyter: Jupyter) -> str | None:
    """Leave JupyterLab out of `setup` where the settings do."""
    return None if settings.jupyter.enabled else "jupyter.enabled is off"


def password_path(settings: Settings) -> str:
    """The file with the password's hash, on the host."""
    return f"{compose.shared(settings)}/jupyter/password"


def token_path(settings: Settings) -> str:
    """The file with the token, on the host."""
    return f"{compose.shared(settings)}/jupyter/token"


def given(settings: Settings) -> str | None:
    """The password from its environment variable or file, without asking anybody."""
    return secret(VARIABLE, settings.jupyter.password_file)


def asked(settings: Settings) -> str:
    """The password, asked at the terminal if need be. Raises UsageError where there is no way to get one."""
    password = secret(VARIABLE, settings.jupyter.password_file, "Password for JupyterLab: ")
    if not password:
        raise UsageError(f"No password for JupyterLab: set {VARIABLE}, or jupyter.password_file, or use a terminal.")
    return password


def hashed(password: str) -> str:
    """Hash a password as `jupyter lab password` does: argon2id, with jupyter_server's own parameters.

    https://github.com/jupyter-server/jupyter_server/blob/main/jupyter_server/auth/security.py
    """
    from argon2 import PasswordHasher

    return "argon2:" + PasswordHasher(memory_cost=10240, time_cost=10, parallelism=8).hash(password)


def matches(password: str, kept: str) -> bool:
    """Whether a kept hash is that of this password."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(kept.strip().removeprefix("argon2:"), password)
    except (VerificationError, InvalidHashError):
        return False


def url(settings: Settings, token: str = "") -> str:
    """JupyterLab's address, as a browser on the host, or at the near end of a tunnel, opens it."""
    near = compose.bracketed(compose.near(settings))
    return f"http://{near}:{settings.jupyter.port}/lab" + (f"?token={token}" if token else "")


def tunnel(settings: Settings, way: Way) -> str:
    """The command that brings JupyterLab's port of a remote host to this machine; empty where none is needed."""
    near, port = compose.near(settings), settings.jupyter.port
    if not way.destination or near not in compose.LOOPBACK:
        return ""
    return f"{way.ssh} -N -L {port}:{compose.bracketed(near)}:{port} {way.destination}"


def _token(settings: Settings) -> Action:
    text = secrets.token_urlsafe(24) + "\n"
    return Write("make a token, as no password is given", token_path(settings), text, mode=0o600, secret=True)


def password_step(ask: Callable[[Settings], str | None]) -> Step[Jupyter]:
    """The password's step, with the way to get one."""
    summary = "4.2 Set JupyterLab's password: asked, or from a file or GPUDOCK_JUPYTER_PASSWORD."
    return Step(
        "jupyter.password",
        summary,
        questions,
        read,
        lambda settings, facts: plan_password(settings, facts, lambda: ask(settings)),
        skip,
    )


PASSWORD = password_step(given)
START = Step("jupyter.start", "4.3 Start JupyterLab in the container.", questions, read, plan_start, skip)
STOP = Step("jupyter.stop", "Stop JupyterLab; it stays stopped.", questions, read, plan_stop)


@command(name="password")
def set_password(job: Job) -> None:
    """4.2 Set JupyterLab's password: from GPUDOCK_JUPYTER_PASSWORD, jupyter.password_file, or asked."""
    job.converge(password_step(asked))


@command(name="url")
def show_url(job: Job) -> None:
    """Print an address that opens JupyterLab; without a password it holds the token."""
    settings, host = job.settings, job.host
    facts: Jupyter = job.facts(START)
    if "jupyter" not in facts.services.up:
        raise Blocked("jupyter.start", "JupyterLab does not run.")
    token = "" if facts.password_hash else ask(host, {"token": file(token_path(settings))})["token"].out.strip()
    address, through = url(settings, token), tunnel(settings, job.way)
    text = f"{address}\n(first, in another terminal: {through})" if through else address
    job.say(text, url=address, tunnel=through)


TASKS = namespace("jupyter", set_password, START, STOP, show_url)
