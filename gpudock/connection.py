"""An SSH connection as the fleet needs it: host key checked, tried again, bastion shared, never dead in silence.

Stock Fabric accepts any host key, connects once, and opens a bastion anew for each host behind it
(fabric/connection.py).
"""

from __future__ import annotations

import logging
import random
import socket
import time
from threading import Event, Lock, Thread, Timer

import fabric
import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from gpudock import agent, channel, known_hosts
from gpudock.credentials import secret
from gpudock.errors import Unreachable
from gpudock.settings import Fleet

PULSE = 15.0  # seconds between two questions whether the host is still there

# paramiko reports what fails in its own threads as tracebacks on standard error; we say it in words.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connector:
    """Opens connections; those that go through the same bastion share one connection to it."""

    def __init__(self, settings: Fleet) -> None:
        self.settings = settings
        self._bastions: dict[tuple[str, str, int], fabric.Connection] = {}
        self._opening: dict[fabric.Connection, Lock] = {}
        self._failed: dict[fabric.Connection, Unreachable] = {}

    def prepare(self, connection: fabric.Connection) -> fabric.Connection:
        """Give a new connection the time limits, the login password where one is set, and the shared bastion."""
        if password := secret("GPUDOCK_LOGIN_PASSWORD"):
            connection.connect_kwargs.setdefault("password", password)
        connection.connect_timeout = connection.connect_timeout or self.settings.connect_timeout
        for limit in ("banner_timeout", "auth_timeout"):
            connection.connect_kwargs.setdefault(limit, self.settings.connect_timeout)
        if isinstance(connection.gateway, fabric.Connection):
            bastion = self.prepare(connection.gateway)
            connection.gateway = self._bastions.setdefault((bastion.user, bastion.host, bastion.port), bastion)
            self._opening.setdefault(connection.gateway, Lock())
        return connection

    def connect(self, connection: fabric.Connection) -> fabric.Connection:
        """Open a prepared connection, trying again where that may help. Raises Unreachable with the next move."""
        if isinstance(connection.gateway, fabric.Connection):
            self._open_bastion(connection.gateway)
        known_hosts.trust(connection)
        for attempt in range(1, self.settings.connect_attempts + 1):
            try:
                with agent.offered(connection):
                    connection.open()
                break
            except (OSError, EOFError, paramiko.SSHException) as error:
                connection.client.close()  # it was not let in, but its socket is open
                if attempt == self.settings.connect_attempts or not _may_pass(error):
                    raise _explained(connection, error) from None
            time.sleep(2 ** (attempt - 1) * random.uniform(0.75, 1.25))  # noqa: S311  # apart from each other
        _tune(connection)
        Thread(target=_watch, args=(connection.transport, self.settings.lost_after), daemon=True).start()
        return connection

    def _open_bastion(self, bastion: fabric.Connection) -> None:
        """Open it once for all; where that fails all hear why, and none tries again."""
        with self._opening[bastion]:
            if bastion in self._failed:
                raise self._failed[bastion]
            try:
                if not bastion.is_connected:
                    self.connect(bastion)
            except Unreachable as error:
                self._failed[bastion] = Unreachable(f"the bastion {error.message}")
                raise self._failed[bastion] from None


def _may_pass(error: Exception) -> bool:
    """Whether trying again may help: not for a key, a password or a name that is wrong."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return not isinstance(error, paramiko.BadHostKeyException) and not _is_refused(error)


def _is_refused(error: Exception) -> bool:
    """Whether it is about who we are, also where there is no key to try, or sshd has hung up after too many."""
    told = ("No authentication methods available", "No existing session")  # by paramiko's most general exception
    return isinstance(error, paramiko.AuthenticationException) or str(error) in told


def _explained(connection: fabric.Connection, error: Exception) -> Unreachable:
    name = f"{connection.user}@{connection.host}:{connection.port}"
    if isinstance(error, paramiko.BadHostKeyException) and error.key == error.expected_key:
        return Unreachable(
            f"{name}: its host key is marked @revoked in known_hosts ({error.key.get_name()} {error.key.fingerprint}): "
            "somebody else may have it, so ask the machine's owner for a new one."
        )
    if isinstance(error, paramiko.BadHostKeyException):
        return Unreachable(
            f"{name}: its host key has changed ({error.key.get_name()} {error.key.fingerprint}). Either the machine "
            "was set up anew or someone is in between: ask its owner, then remove the old key with "
            f"`ssh-keygen -R '{known_hosts.name_of(connection)}'`."
        )
    if _is_refused(error):
        return Unreachable(
            f"{name}: no key or password was accepted. Name the right user and key in ~/.ssh/config or with -i (an "
            "agent's key by its .pub: sshd hangs up after six), load the key into the agent, or use "
            "--prompt-for-login-password or GPUDOCK_LOGIN_PASSWORD."
        )
    said = next(iter(error.errors.values())) if isinstance(error, NoValidConnectionsError) else error
    return Unreachable(
        f"{name}: cannot be reached: {str(said) or type(said).__name__}. Check the name, that the machine is "
        "up and that sshd listens there."
    )


def _tune(connection: fabric.Connection) -> None:
    """Switch off Nagle's algorithm, which waits for the server's late acknowledgement: 40 ms a command."""
    stream = connection.transport.sock
    if isinstance(stream, socket.socket):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _watch(transport: paramiko.Transport, lost_after: int) -> None:
    """Keep the line alive, and close the connection when the host has not answered for `lost_after` seconds.

    paramiko's own keepalive wants no answer; this one does, so it also sees a host behind a bastion that is gone.
    Everything that waits for the host then ends at once.
    """
    pause = Event()
    while transport.is_active():
        pause.wait(min(PULSE, lost_after / 3))
        limit = Timer(lost_after, transport.close)
        limit.daemon = True
        limit.start()
        try:
            with channel.asking(transport):
                transport.global_request("keepalive@openssh.com", wait=True)
        except (OSError, EOFError, paramiko.SSHException):
            return
        finally:
            limit.cancel()
