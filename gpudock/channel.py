"""Open channels to a shell: here as a child process, there as a session on Fabric's SSH connection.

Both carry bytes and behave alike, which `Context.run` and `Connection.run` do not: these differ in shell,
environment quoting and standard input (fabric/runners.py), and cost 13 to 50 ms a command where a bare session on
the same connection costs 4.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, Protocol

import invoke

from gpudock.errors import Unreachable
from gpudock.failures import BY_SIGNAL

CHUNK = 65536
ANSWER = 30  # seconds that a connection has to show that it is still there


class Channel(Protocol):
    """A running command: bytes in, both of its output streams out, an exit code at the end."""

    def send(self, data: bytes) -> None:
        """Write all of `data` to its standard input. Raises OSError when it no longer reads."""

    def finish_input(self) -> None:
        """Close its standard input."""

    def receive(self) -> bytes:
        """Wait for output; b"" at its end. Raises TimeoutError after the silence the channel allows."""

    def wait(self) -> int:
        """Return the exit code, BY_SIGNAL + n after signal n; -1 where the connection ended before one came."""

    def stop(self) -> None:
        """End the command now."""


class LocalChannel:
    """A command of this machine, in a session of its own, so that Ctrl-C reaches gpudock and not it."""

    def __init__(self, command: str, silence: float | None) -> None:
        self.silence = silence
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def send(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def finish_input(self) -> None:
        self.stdin.close()

    def receive(self) -> bytes:
        waiting = select.poll()  # select() itself knows no more than 1024 open files
        waiting.register(self.stdout, select.POLLIN)
        if not waiting.poll(None if self.silence is None else self.silence * 1000):
            raise TimeoutError
        return os.read(self.stdout.fileno(), CHUNK)

    def wait(self) -> int:
        code = self.process.wait()
        self.stdout.close()
        return code if code >= 0 else BY_SIGNAL - code

    def stop(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it has ended by itself, or is sudo's, which is root's
            os.killpg(self.process.pid, signal.SIGTERM)
        self.stdout.close()
        _await_end(self.process)


class SshChannel:
    """A command of another machine: one session on the connection that Fabric opened."""

    def __init__(self, connection: invoke.Context, command: str, silence: float | None) -> None:
        self.session = _session(connection, command, combined=True)
        self.session.settimeout(silence)

    def send(self, data: bytes) -> None:
        self.session.sendall(data)

    def finish_input(self) -> None:
        self.session.shutdown_write()

    def receive(self) -> bytes:
        data: bytes = self.session.recv(CHUNK)
        return data

    def wait(self) -> int:
        code = int(self.session.recv_exit_status())
        self.session.close()
        return BY_SIGNAL if code == -1 and self._answers() else code

    def stop(self) -> None:
        self.session.close()

    def _answers(self) -> bool:
        """Whether the connection goes on without this session: paramiko drops the message that a signal ended it."""
        from paramiko import SSHException

        try:
            self.session.get_transport().open_session(timeout=ANSWER).close()
        except (SSHException, EOFError, OSError):
            return False
        return True


def open_channel(context: invoke.Context, command: str, silence: float | None) -> Channel:
    """Start `command` with sh where `context` points to; `silence` is the longest wait for output, in s."""
    if is_remote(context):
        return SshChannel(context, command, silence)
    return LocalChannel(command, silence)


def open_socket(context: invoke.Context, command: str) -> socket.socket:
    """Start `command` and return a two-way stream that is its standard input and output."""
    if is_remote(context):
        session: socket.socket = _session(context, command)  # a paramiko Channel acts as a socket
        return session
    ours, theirs = socket.socketpair()
    argv = ["/bin/sh", "-c", command]
    with os.fdopen(theirs.detach(), "r+b", buffering=0) as stream:
        running = subprocess.Popen(argv, stdin=stream, stdout=stream, stderr=subprocess.DEVNULL, start_new_session=True)
    _await_end(running)
    return ours


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Have it be no zombie for the rest of our run, and wait for nobody."""
    Thread(target=process.wait, daemon=True).start()


def _session(connection: invoke.Context, command: str, *, combined: bool = False) -> Any:
    """Start a command in a session. Raises Unreachable where sshd allows no more, ConnectionError where it is gone."""
    from paramiko import ChannelException, SSHException  # loaded already where there is a connection

    try:
        session = connection.create_session()
        session.set_combine_stderr(combined)
        session.exec_command(command)
    except ChannelException:
        raise Unreachable(
            f"{connection.original_host}: its sshd allows no second session on a connection. Set MaxSessions to 10 in "
            "its /etc/ssh/sshd_config, then `systemctl reload ssh`."
        ) from None
    except (SSHException, EOFError, OSError) as error:
        raise ConnectionError(str(error) or type(error).__name__) from None
    return session


def is_remote(context: invoke.Context) -> bool:
    """Tell Fabric's Connection from Invoke's Context without importing Fabric, which costs 200 ms."""
    return hasattr(context, "create_session")


def asking(transport: Any) -> Lock:
    """The lock under which a connection's global requests go one at a time: paramiko may mix their answers up."""
    lock: Lock = transport.__dict__.setdefault("gpudock_asking", Lock())
    return lock


def chunks(data: bytes | Iterable[bytes]) -> Iterable[bytes]:
    """Yield `data` in pieces that a channel takes at once."""
    if not isinstance(data, bytes):
        yield from data
        return
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]
