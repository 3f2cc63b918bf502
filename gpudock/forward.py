"""A host's loopback port that leads to another machine's, over the SSH connections that are open anyway.

Fabric's own forwarding moves a kilobyte at a time and has one thread look after all; here each direction of a
stream has a thread that moves what there is, which is what a gigabyte to many hosts at once needs.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Protocol

import invoke

from gpudock import channel
from gpudock.errors import ActionFailed

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 17


class Stream(Protocol):
    """A two-way stream: a socket, or a paramiko Channel, which acts as one."""

    def recv(self, size: int, /) -> bytes:
        """Wait for data; b"" at its end."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of `data`."""

    def shutdown(self, how: int, /) -> None:
        """Close one direction."""

    def close(self) -> None:
        """Close both."""


Dial = Callable[[], Stream]
Count = Callable[[int], None]


def dial(context: invoke.Context, port: int) -> Stream:
    """Open a stream to a loopback port of the machine that `context` points to. Raises OSError."""
    if not channel.is_remote(context):
        return socket.create_connection((LOOPBACK, port))
    from paramiko import SSHException  # remote: it is imported already

    try:
        stream: Stream = context.transport.open_channel("direct-tcpip", (LOOPBACK, port), (LOOPBACK, 0))
    except SSHException as error:
        raise OSError(str(error)) from None
    return stream


@contextmanager
def listening(context: invoke.Context, far: Dial, count: Count = lambda size: None) -> Iterator[int]:
    """Have a loopback port of the machine lead to what `far` dials, and yield its number.

    `count` is told the bytes that went to the machine. Raises ActionFailed where its sshd forbids forwarding.
    """
    with _listening_there(context, far, count) if channel.is_remote(context) else _listening_here(far, count) as port:
        yield port


@contextmanager
def _listening_there(context: invoke.Context, far: Dial, count: Count) -> Iterator[int]:
    from paramiko import SSHException

    transport = context.transport
    try:
        with channel.asking(transport):
            port = transport.request_port_forward(LOOPBACK, 0, lambda near, origin, server: _join(near, far, count))
    except SSHException as error:
        raise ActionFailed(
            "open a way back over the SSH connection",
            output=str(error),
            next_move="The host's sshd must allow it: AllowTcpForwarding yes (or remote) in /etc/ssh/sshd_config, "
            "then `systemctl reload ssh`.",
        ) from None
    try:
        yield port
    finally:
        with channel.asking(transport):
            if transport.is_active():
                transport.cancel_port_forward(LOOPBACK, port)


@contextmanager
def _listening_here(far: Dial, count: Count) -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        Thread(target=_accept, args=(server, far, count), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, far: Dial, count: Count) -> None:
    with contextlib.suppress(OSError):  # the server was closed
        while True:
            _join(server.accept()[0], far, count)


def _join(near: Stream, far: Dial, count: Count) -> None:
    """Connect a stream with a new one and come back at once; both end when one breaks or both are done."""
    Thread(target=_carry, args=(near, far, count), daemon=True).start()


def _carry(near: Stream, far: Dial, count: Count) -> None:
    with contextlib.suppress(OSError), contextlib.closing(near), contextlib.closing(far()) as other:
        back = Thread(target=_pump, args=(near, other, lambda size: None), daemon=True)
        back.start()
        _pump(other, near, count)
        back.join()


def _pump(source: Stream, sink: Stream, count: Count) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
            count(len(data))
    with contextlib.suppress(OSError, EOFError):
        sink.shutdown(socket.SHUT_WR)
