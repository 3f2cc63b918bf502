"""What `fab` runs tasks with: every host of -H side by side, one connection each.

Stock Fabric goes through hosts one after the other and stops at the first error; it also accepts any host key
(facts/models-and-traps.md, traps 13 and 14).
"""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import fabric
import invoke
import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from gpudock.config import load, load_inventory
from gpudock.errors import Unreachable
from gpudock.runner import LOCAL, Target, run

KEEPALIVE = 15  # seconds between two signs of life on an idle connection

_known_hosts_writing = Lock()


class FleetExecutor(fabric.Executor):  # type: ignore[misc]
    """Runs the command line's tasks on all hosts, which may be `@group`, `all` or `gpu[01-16]`."""

    def execute(self, *tasks: Any) -> dict[Any, Any]:
        """Run the tasks in order on each host, hosts side by side."""
        calls = invoke.Executor.expand_calls(self, self.normalize(tasks))
        selector = self.core[0].args.hosts.value
        if selector:
            targets = self._targets(selector)
        else:
            context = invoke.Context(config=self.config)
            targets = [Target(LOCAL, lambda: context)]
        run(targets, calls, parallel=load().settings.fleet.parallel)
        return {}

    def _targets(self, selector: str) -> list[Target]:
        names = load_inventory().expand(selector)
        return [Target(name, partial(connect, connection(name, self.config)), name) for name in names]


def connection(name: str, config: invoke.Config) -> fabric.Connection:
    """Make the connection to a host by name, as inventory, ssh_config and settings have it; not opened yet.

    `config` is the command line's; under `inv`, where it is not Fabric's, ssh_config is read anew.
    """
    entry = load_inventory().hosts.get(name)
    return fabric.Connection(
        host=(entry and entry.address) or name,
        user=(entry and entry.user) or None,
        port=(entry and entry.port) or None,
        config=config.clone() if isinstance(config, fabric.Config) else fabric.Config(),
        connect_timeout=load(host=name).settings.fleet.connect_timeout,
    )


def connect(connection: fabric.Connection) -> fabric.Connection:
    """Open a connection, its host key checked, and tune it. Raises Unreachable with the next move."""
    _trust(connection)
    name = f"{connection.user}@{connection.host}:{connection.port}"
    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        raise Unreachable(
            f"{name}: its host key has changed ({error.key.get_name()} {error.key.fingerprint}). Either the machine "
            "was set up anew or someone is in between: ask its owner, then remove the old key with "
            f"`ssh-keygen -R '{_known_name(connection)}'`."
        ) from None
    except paramiko.AuthenticationException:
        raise Unreachable(
            f"{name}: no key or password was accepted. Name the right user and key in ~/.ssh/config or with -i, "
            "load the key into the agent, or use --prompt-for-login-password."
        ) from None
    except (NoValidConnectionsError, TimeoutError, OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(
            f"{name}: cannot be reached: {str(error) or type(error).__name__}. Check the name, that the machine is "
            "up and that sshd listens there."
        ) from None
    _tune(connection)
    return connection


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
    """Check host keys as ssh_config says, here and on each gateway before it."""
    options = connection.ssh_config
    files = [Path(name).expanduser() for name in options.get("userknownhostsfile", "~/.ssh/known_hosts").split()]
    for file in [Path("/etc/ssh/ssh_known_hosts"), *files]:
        if file.is_file():
            connection.client.load_system_host_keys(str(file))
    checking = options.get("stricthostkeychecking", "accept-new").lower()
    if checking in ("no", "off"):
        connection.client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    elif checking == "yes":
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    else:
        connection.client.set_missing_host_key_policy(AcceptNew(files[0]))
    if isinstance(connection.gateway, fabric.Connection):
        connect(connection.gateway)


def _tune(connection: fabric.Connection) -> None:
    """Switch off Nagle's algorithm, which costs 40 ms a command (facts/speed.md), and keep the line alive."""
    transport = connection.transport
    transport.set_keepalive(KEEPALIVE)
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _known_name(connection: fabric.Connection) -> str:
    return connection.host if connection.port == 22 else f"[{connection.host}]:{connection.port}"
