"""A way to the internet for hosts that have none: a proxy on the operator's machine, over the SSH connection.

`network.through: operator` is this machine's own network, by a proxy of ours that asks for a password of this run;
`operator:7890` is a proxy program of this machine, such as one that reaches what a country's network does not. Each
host gets a loopback port for as long as a task runs. Every plan sees an ordinary `network.https_proxy`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Lock

import msgspec

from gpudock import forward
from gpudock.config import Loaded
from gpudock.errors import UsageError
from gpudock.forward import LOOPBACK
from gpudock.host import Host

RELAY = Path(__file__).with_name("relay.py")
_starting = Lock()


@contextmanager
def opened(host: Host, loaded: Loaded) -> Iterator[Loaded]:
    """Yield the settings with the proxy that `network.through` asks for, open until the block ends.

    Raises UsageError where nothing listens at the port it names, ActionFailed where the host's sshd forbids forwarding.
    """
    through = loaded.settings.network.through
    port = int(through.partition(":")[2] or 0)
    if port:
        _try(port)
    if host.is_local or not through:
        yield _by(loaded, f"{LOOPBACK}:{port}") if port else loaded
        return
    login = "" if port else f"gpudock:{password()}@"
    with forward.listening(host.context, lambda: _dial(port or relay())) as near:
        yield _by(loaded, f"{login}{LOOPBACK}:{near}")


def _by(loaded: Loaded, proxy: str) -> Loaded:
    proxies = dict.fromkeys(("http_proxy", "https_proxy"), f"http://{proxy}")
    network = msgspec.structs.replace(loaded.settings.network, **proxies)
    settings = msgspec.structs.replace(loaded.settings, network=network)
    origins = dict.fromkeys((f"network.{name}" for name in proxies), "network.through")
    return replace(loaded, settings=settings, origins={**loaded.origins, **origins})


def _dial(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port))


def _try(port: int) -> None:
    try:
        _dial(port).close()
    except (OSError, OverflowError):  # the latter beyond 65535
        raise UsageError(
            f"network.through: nothing listens at {LOOPBACK}:{port} of this machine. Start the proxy program there, or "
            "take `operator` alone: then hosts use this machine's network without one."
        ) from None


@cache
def password() -> str:
    """What our proxy asks for: known to this run alone, and to what it starts as root on hosts."""
    from secrets import token_urlsafe  # 2.6 ms, which a run without needs not

    return token_urlsafe(24)


def relay() -> int:
    """The port of our proxy, started by the first host that needs it; it ends with this program. Raises OSError."""
    with _starting:
        return _started()[1]


@cache
def _started() -> tuple[subprocess.Popen[str], int]:
    """The proxy's process, whose input has to stay open, and its port. Ctrl-C does not reach it: hosts may finish."""
    pipe = subprocess.PIPE
    argv = [sys.executable, str(RELAY)]
    process = subprocess.Popen(
        argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    if not process.stdin or not process.stdout:
        raise OSError("no pipes")
    process.stdin.write(f"{password()}\n")
    process.stdin.flush()
    with process.stdout as said:
        if not (port := said.readline()):
            raise OSError("our proxy does not start")
    return process, int(port)
