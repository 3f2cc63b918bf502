"""An SSH connection as the fleet needs it: host key checked, tried again, bastion shared, never dead in silence.

Stock Fabric accepts any host key, connects once, and opens a bastion anew for each host behind it
(facts/models-and-traps.md, traps 13 and 14).
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Event, Lock, Thread, Timer
from typing import Any

import fabric
import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from gpudock import agent
from gpudock.credentials import secret
from gpudock.errors import Unreachable
from gpudock.settings import Fleet

PULSE = 15.0  # seconds between two questions whether the host is still there

_known_hosts_writing = Lock()

# paramiko reports what fails in its own threads as tracebacks on standard error; we say it in words.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connector:
    """Opens connections; those that go through the same bastion share one connection to it."""

    def __init__(self, settings: Fleet) -> None:
        self.settings = settings
        self._bastions: dict[tuple[str, str, int], fabric.Connection] = {}
        self._opening: defaultdict[fabric.Connection, Lock] = defaultdict(Lock)
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
        return connection

    def connect(self, connection: fabric.Connection) -> fabric.Connection:
        """Open a prepared connection, trying again where that may help. Raises Unreachable with the next move."""
        if isinstance(connection.gateway, fabric.Connection):
            self._open_bastion(connection.gateway)
        _trust(connection)
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


class AcceptNew(paramiko.MissingHostKeyPolicy):
    """OpenSSH's accept-new: record an unknown host's key on first sight. A changed one never gets here."""

    def __init__(self, known_hosts: Path) -> None:
        self.known_hosts = known_hosts

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Append the key: the file's other lines, comments and markers stay as they are."""
        with _known_hosts_writing:
            self.known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.known_hosts.open("a") as file:
                file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")


def _trust(connection: fabric.Connection) -> None:
    """Check the host key as ssh_config says."""
    options = connection.ssh_config
    files = [Path(name).expanduser() for name in options.get("userknownhostsfile", "~/.ssh/known_hosts").split()]
    known, name = connection.client.get_host_keys(), _known_name(connection)
    for file in [Path("/etc/ssh/ssh_known_hosts"), *files]:
        for key in known_keys(file, name) if file.is_file() else ():
            if key.get_name() not in (known.lookup(name) or {}):  # as for ssh the first of a kind counts
                known.add(name, key.get_name(), key)
    checking = options.get("stricthostkeychecking", "accept-new").lower()
    if checking in ("no", "off"):
        connection.client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    elif checking == "yes":
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    else:
        connection.client.set_missing_host_key_policy(AcceptNew(files[0]))


def known_keys(file: Path, name: str) -> Iterator[paramiko.PKey]:
    """The keys that a known_hosts file has for a host, `gpu01` or `[gpu01]:2222`; what is no key is left out.

    paramiko's own reading compares each line with all lines before it, for each host anew.
    """
    state = file.stat()
    for line in _lines(file, state.st_mtime_ns, state.st_size):  # a file system's clock may stand still for 4 ms
        if any(_is_named(name, given) for given in line.split(maxsplit=1)[0].split(",")):
            with contextlib.suppress(paramiko.SSHException, paramiko.hostkeys.InvalidHostKey, ValueError):
                if entry := paramiko.hostkeys.HostKeyEntry.from_line(line):
                    yield entry.key


@cache
def _lines(file: Path, changed: int, size: int) -> tuple[str, ...]:
    return tuple(line for line in file.read_text(errors="replace").splitlines() if line.strip())


def _is_named(name: str, given: str) -> bool:
    """Whether a name of known_hosts is this one; Debian's ssh writes them hashed."""
    return given == name or (given.startswith("|1|") and paramiko.HostKeys.hash_host(name, given) == given)


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
    if isinstance(error, paramiko.BadHostKeyException):
        return Unreachable(
            f"{name}: its host key has changed ({error.key.get_name()} {error.key.fingerprint}). Either the machine "
            "was set up anew or someone is in between: ask its owner, then remove the old key with "
            f"`ssh-keygen -R '{_known_name(connection)}'`."
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
    """Switch off Nagle's algorithm, which costs 40 ms a command (facts/speed.md)."""
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
            transport.global_request("keepalive@openssh.com", wait=True)
        except (OSError, EOFError, paramiko.SSHException):
            return
        finally:
            limit.cancel()


def _known_name(connection: Any) -> str:
    return connection.host if connection.port == 22 else f"[{connection.host}]:{connection.port}"
