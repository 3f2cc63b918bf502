"""The container on a server, as its user reaches it: signed in to by SSH, its JupyterLab brought to this machine."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import fabric
import invoke
import paramiko

from gpudock import forward, own_key
from tests.testbed import TestHost
from tests.waiting import until

NAME = "cuda_container_chatbot"
PASSWORD = {"GPUDOCK_JUPYTER_PASSWORD": "correct horse"}
THROUGH = ("--set", "network.through=operator")


def keys() -> list[str]:
    """The settings to log in with gpudock's own key, whatever keys this machine's user has."""
    own_key.public_key()
    return ["--set", f"ssh.authorized_keys=['{own_key.PUBLIC}']"]


@contextmanager
def login(host: TestHost) -> Iterator[fabric.Connection]:
    """A connection to the server as its operator."""
    with fabric.Connection(
        host.address, user="ops", port=host.port, connect_kwargs={"key_filename": str(host.key)}
    ) as opened:
        opened.open()
        yield opened


def inside(connection: fabric.Connection, command: str, user: str = "ops") -> str:
    """Run a command in the container by SSH, through the server, with the key that setup put in place."""
    key = paramiko.Ed25519Key(file_obj=io.StringIO(own_key.PRIVATE.read_text()))
    with knock(connection, user, pkey=key) as client:
        _, out, err = client.exec_command(command)
        return out.read().decode() + err.read().decode()


def knock(connection: fabric.Connection, user: str = "ops", **secret: Any) -> paramiko.SSHClient:
    """Sign in to the container's sshd, through the server. Raises AuthenticationException."""
    channel = connection.transport.open_channel("direct-tcpip", ("127.0.0.1", 8022), ("127.0.0.1", 0))
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", 8022, user, sock=channel, look_for_keys=False, allow_agent=False, **secret)
    return client


@contextmanager
def tunnel(connection: fabric.Connection) -> Iterator[str]:
    """Bring the server's JupyterLab to a free port of this machine, as the printed ssh -L does, and yield its address."""
    with forward.listening(invoke.Context(), lambda: forward.dial(connection, 8888)) as port:
        yield f"http://127.0.0.1:{port}"


def get(address: str, path: str) -> int:
    """The status that a web server answers with."""
    with closing(HTTPConnection(address.removeprefix("http://"))) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def until_healthy(host: TestHost) -> None:
    """Wait until Docker finds the container healthy: it looks every 5 s, and a busy machine may fail it for a while."""
    until(lambda: NAME in host.sh(f"docker ps --filter name={NAME} --filter health=healthy"))


def services(host: TestHost) -> dict[str, str]:
    """The state of the container's services; empty while there is none."""
    said = host.sh(f"docker exec {NAME} gpudock-service status", check=False)
    return dict(line.split() for line in said.splitlines() if line.endswith((" up", " down")))
