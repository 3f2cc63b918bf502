"""Hosts without internet: what they fetch comes by the operator's machine; all of `setup` so is in test_setup_gpu.py."""

from __future__ import annotations

import socket

import pytest

from tests.conftest import Fab, Hosts
from tests.hosts.container import THROUGH
from tests.testbed import TestHost


@pytest.fixture(scope="module")
def server(hosts: Hosts) -> TestHost:
    """A bare server whose only way out is the one that SSH came by."""
    host = hosts("trixie")
    host.sh("ip route del default")
    return host


def test_without_a_way_out_the_error_names_one(server: TestHost, fab: Fab) -> None:
    """What cannot be fetched is told, with the setting that gets it."""
    done = fab({"gpu01": (server, "ops")}, "engine.install")
    assert done.code == 1
    assert "network.through=operator" in done.err


def test_a_port_where_nothing_listens_is_told_before_anything_is_touched(server: TestHost, fab: Fab) -> None:
    """A proxy program that is not started is bad usage."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = fab({"gpu01": (server, "ops")}, "engine.install", "--set", f"network.through=operator:{port}")
    assert done.code == 2
    assert f"nothing listens at 127.0.0.1:{port} of this machine" in done.err


def test_the_engine_comes_by_the_operators_network(server: TestHost, fab: Fab) -> None:
    """Lists and packages reach a host without a route; the next run changes nothing, with the way out or without."""
    target = {"gpu01": (server, "ops")}
    done = fab(target, "engine.install", *THROUGH)
    assert done.code == 0, done.out + done.err
    assert server.sh("docker version --format '{{.Server.Version}}'").strip()
    for words in (THROUGH, ()):
        assert "nothing to change" in fab(target, "engine.install", *words).out
