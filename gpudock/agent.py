"""Keys of the operator's ssh-agent: the one that ssh_config names goes first, as sshd hangs up after a few."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fabric
import paramiko


@contextmanager
def offered(connection: fabric.Connection) -> Iterator[None]:
    """Within this block the connection offers first the agent's key that an IdentityFile names.

    With IdentitiesOnly it offers no other key of the agent. paramiko by itself goes through the files, which may be
    encrypted or only public, then through all that the agent has.
    """
    given = dict(connection.connect_kwargs)
    given.setdefault("allow_agent", connection.ssh_config.get("identitiesonly", "no") != "yes")
    wanted, agent = set(_public(given.get("key_filename", ()))), None
    with suppress(paramiko.SSHException, OSError):  # an agent that is gone has no keys
        agent = paramiko.Agent()
    found = next((key for key in agent.get_keys() if key.asbytes() in wanted), None) if agent else None
    connection.connect_kwargs = {**given, "pkey": found}
    try:
        yield
    finally:
        connection.connect_kwargs = given
        if agent:
            agent.close()


def _public(names: list[str]) -> Iterator[bytes]:
    """The public halves of key files, beside them or themselves one."""
    for name in names:
        path = Path(name).expanduser()
        for file in (path, path.with_name(f"{path.name}.pub")):
            with suppress(OSError, ValueError, IndexError):
                yield b64decode(file.read_text().split()[1], validate=True)
