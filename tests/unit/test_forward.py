"""A loopback port that leads elsewhere: whole and in both directions, and closed when there is nowhere to lead to."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from threading import Thread

import invoke
import pytest

from gpudock import forward
from tests.waiting import PATIENCE

HERE = invoke.Context()


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends everything back, and ends when its client has said all."""

    def serve() -> None:
        with contextlib.suppress(OSError), server.accept()[0] as stream:
            while data := stream.recv(65536):
                stream.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_what_goes_in_comes_back_whole(echo: int) -> None:
    """Megabytes pass both ways at once, an end of input reaches the other side, and the bytes that came are counted."""
    sent, counted, received = os.urandom(3_000_000), list[int](), bytearray()
    with (
        forward.listening(HERE, lambda: forward.dial(HERE, echo), counted.append) as port,
        socket.create_connection(("127.0.0.1", port)) as near,
    ):

        def feed() -> None:
            near.sendall(sent)
            near.shutdown(socket.SHUT_WR)

        Thread(target=feed, daemon=True).start()
        while data := near.recv(65536):
            received += data
    assert received == sent
    assert sum(counted) == len(sent)


def test_where_nothing_listens_the_stream_ends() -> None:
    """A far side that cannot be dialled ends the near one at once, and the port goes on for the next."""

    def nowhere() -> socket.socket:
        raise ConnectionRefusedError

    with forward.listening(HERE, nowhere) as port:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as near:
                assert near.recv(1) == b""


def test_the_port_is_closed_afterwards(echo: int) -> None:
    """Nothing listens when the block is left."""
    with forward.listening(HERE, lambda: forward.dial(HERE, echo)) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
