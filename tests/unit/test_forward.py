"""A loopback port that leads elsewhere: whole and in both directions, and closed when there is nowhere to lead to."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from threading import Event, Lock, Thread
from types import SimpleNamespace
from typing import Any

import invoke
import paramiko
import pytest

from gpudock import connection, forward
from tests.waiting import PATIENCE, until

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


class Patient(paramiko.ServerInterface):
    """An sshd that lets in who asks, forwards, and takes its time to answer whether it is still there."""

    def __init__(self) -> None:
        self.asked, self.answers = Event(), Event()
        self.settled: Callable[[], bool] = lambda: True

    def check_auth_none(self, username: str) -> int:
        """Yes."""
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        """Not before it is told to."""
        self.asked.set()
        return not self.answers.wait(PATIENCE)

    def check_port_forward_request(self, address: str, port: int) -> int:
        """Yes, this one, when the one who asked may have taken another answer for it."""
        until(self.settled)
        return 4711


class Noticed:
    """A lock that tells when somebody waits for it."""

    def __init__(self) -> None:
        self.lock, self.wanted = Lock(), 0

    def __enter__(self) -> None:
        self.wanted += 1
        self.lock.acquire()

    def __exit__(self, *error: object) -> None:
        self.lock.release()


def test_a_sign_of_life_and_a_way_back_asked_for_at_once_each_get_their_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch of a connection has asked, sshd has not answered, and a push asks for its port: that is what it gets."""
    ours, theirs = socket.socketpair()
    sshd, lock = Patient(), Noticed()
    with contextlib.closing(paramiko.Transport(theirs)) as server, contextlib.closing(paramiko.Transport(ours)) as near:
        server.add_server_key(paramiko.ECDSAKey.generate())
        server.start_server(Event(), sshd)
        near.start_client(timeout=PATIENCE)
        near.auth_none("somebody")
        near.__dict__["gpudock_asking"] = lock
        sent, answered, send = list[str](), list[str](), near.global_request
        sshd.settled = lambda: len(answered) == 2 or lock.wanted >= 2

        def noted(kind: str, *rest: Any, **more: Any) -> Any:
            sent.append(kind)
            answer = send(kind, *rest, **more)
            answered.append(kind)
            return answer

        monkeypatch.setattr(near, "global_request", noted)
        monkeypatch.setattr(connection, "PULSE", 0)
        Thread(target=connection._watch, args=(near, PATIENCE), daemon=True).start()
        assert sshd.asked.wait(PATIENCE)
        monkeypatch.setattr(connection, "PULSE", PATIENCE)  # once is enough
        got: list[int] = []

        def listen() -> None:
            context = SimpleNamespace(transport=near, create_session=None)
            with forward.listening(context, lambda: socket.socket()) as port:  # type: ignore[arg-type]
                got.append(port)

        pushing = Thread(target=listen, daemon=True)
        pushing.start()
        until(lambda: len(sent) == 2 or lock.wanted >= 2)
        sshd.answers.set()
        pushing.join(PATIENCE)
        assert got == [4711]
