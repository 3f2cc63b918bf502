"""The proxy on the operator's machine, as hosts reach it at the end of their connection."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import invoke
import pytest

from gpudock import through
from gpudock.config import Loaded, load
from gpudock.errors import UsageError
from gpudock.host import Host


class Answering(BaseHTTPRequestHandler):
    """A server that says one word."""

    def do_GET(self) -> None:  # noqa: D102 - as the library has it
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"reached")

    def log_message(self, *said: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server in the network."""
    with HTTPServer(("127.0.0.1", 0), Answering) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.mark.parametrize("way", ["--proxytunnel", "--no-proxytunnel"])
def test_only_who_has_the_password_of_the_run_gets_through(server: str, way: str) -> None:
    """Other users of a host reach its loopback port too; without the password they get no further."""
    proxy = f"127.0.0.1:{through.relay()}"
    curl = ("curl", "-s", way, "--noproxy", "", "-w", "%{http_code}")
    known = subprocess.run([*curl, "-x", f"http://gpudock:{through.password()}@{proxy}", server], capture_output=True)
    assert known.stdout == b"reached200"
    for login in ("", "gpudock:wrong@"):
        other = subprocess.run([*curl, "-x", f"http://{login}{proxy}", server], capture_output=True)
        assert b"reached" not in other.stdout


def loaded(value: str) -> Loaded:
    """The settings with network.through."""
    return load([f"network.through={value}"], environ={})


def test_this_machine_needs_no_way_to_itself(server: str) -> None:
    """`operator` is its own network; a proxy program of its own is at its own loopback, if it is there."""
    here = Host(invoke.Context(), "localhost")
    with through.opened(here, loaded("operator")) as found:
        assert found.settings.network.environment == {}
    port = server.rstrip("/").rpartition(":")[2]
    with through.opened(here, loaded(f"operator:{port}")) as found:
        assert found.settings.network.https_proxy == f"http://127.0.0.1:{port}"
        assert found.origins["network.https_proxy"] == "network.through"
    for silent in ("operator:1", "operator:99999"):
        with pytest.raises(UsageError, match="nothing listens"), through.opened(here, loaded(silent)):
            pass
