"""Who may log in to the container besides its own user, and by which password, if at all.

The files of `gpudock-users` in docker/rootfs: `ssh/users`, `ssh/keys/NAME`, and the hash in `ssh/password`. They are
taken up while the container runs, so that a new colleague stops nobody's training.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gpudock.actions import Action, Write, remove
from gpudock.credentials import secret
from gpudock.errors import Refused, UsageError
from gpudock.files import NO_FILE, text
from gpudock.settings import Settings

VARIABLE = "GPUDOCK_SSH_PASSWORD"
PUBLIC_KEY = re.compile(r"(?!\s*#)(.*\s)?(ssh|ecdsa|sk)-\S+\s+AAAA[0-9A-Za-z+/=]*(\s|$)")  # `man 8 sshd`
LONGEST = 72  # bytes that bcrypt looks at

Ask = Callable[[], str | None]


def files(settings: Settings, own: str) -> dict[str, str]:
    """The list of users and their keys, by paths in the folder `ssh`.

    Raises UsageError for a file without a key, and Refused for a name that is taken.
    """
    users = settings.ssh.users
    if not users:
        return {}
    for name in users:
        if name in ("root", own):
            raise Refused(f"ssh.users: {name} is the container's own user already; choose another name.")
    rows = (f"{name} {user.uid or 'auto'} {'yes' if user.sudo else 'no'}\n" for name, user in users.items())
    keys = {f"keys/{name}": "".join(_keys(name, key) for key in user.keys) for name, user in users.items()}
    return {"users": "".join(rows), **keys}


def plan_password(settings: Settings, path: str, kept: str | None, ask: Ask) -> list[Action]:
    """Keep the hash of the password where passwords may be used; elsewhere none is left.

    Raises Refused where one is needed and there is none.
    """
    if not settings.ssh.passwords:
        return [remove("take the hash of the SSH password away", path)] if kept is not None else []
    password = ask()
    if password is None:
        if kept is None:
            raise Refused(
                f"ssh.passwords is on, and there is no password: set {VARIABLE}, or ssh.password_file, or run "
                "`inv ssh.password` at a terminal."
            )
        return []
    if kept and matches(password, kept):
        return []
    return [Write("keep the hash of the SSH password", path, f"{hashed(password)}\n", mode=0o600, secret=True)]


def given(settings: Settings) -> str | None:
    """The password from its environment variable or file, without asking anybody."""
    return secret(VARIABLE, settings.ssh.password_file) if settings.ssh.passwords else None


def asked(settings: Settings) -> str | None:
    """The password, asked at the terminal if need be."""
    return secret(VARIABLE, settings.ssh.password_file, "Password for SSH: ")


def hashed(password: str) -> str:
    """Hash a password for /etc/shadow: bcrypt, which libxcrypt of every base image knows (`man 5 crypt`, $2b$)."""
    import bcrypt

    if len(password.encode()) > LONGEST:
        raise UsageError(f"The SSH password is longer than {LONGEST} bytes, more than its hash can take in.")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()


def matches(password: str, kept: str) -> bool:
    """Whether a kept hash is that of this password."""
    import bcrypt

    try:
        return bcrypt.checkpw(password.encode(), kept.strip().encode())
    except ValueError:
        return False


def _keys(user: str, key: str) -> str:
    """The lines of a user's key: itself, or those of a file. Raises UsageError where there is none."""
    setting = f"ssh.users.{user}.keys"
    lines = [key.strip()] if NO_FILE.fullmatch(key) else text(Path(key).expanduser(), setting).splitlines()
    lines = [line for line in lines if is_key(line)]
    if not lines:
        raise UsageError(f"{setting}: {key} {'is' if NO_FILE.fullmatch(key) else 'holds'} no public key.")
    return "".join(f"{line}\n" for line in lines)


def is_key(line: str) -> bool:
    """Whether a line of an authorized_keys file is a key: maybe options, its type, and what it is in base64."""
    return bool(PUBLIC_KEY.match(line))
