"""A host without systemd, as a container or WSL is: Docker was started by hand, and is reloaded and restarted all the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import testbed
from tests.conftest import Completed
from tests.engine import docker
from tests.hosts.nvidia import Repository, plug_in_gpu
from tests.testbed import TestHost

Fab = Callable[..., Completed]
DAEMON = "/etc/docker/daemon.json"
PID = "cat /var/run/docker.pid"


@pytest.fixture(scope="module")
def host(engine: None, key: Path) -> Iterator[TestHost]:
    """A host on which sshd is the first process, and nothing else runs."""
    name = f"{testbed.PREFIX}-by-hand-{os.getpid()}-{time.monotonic_ns()}"
    first = ("sh", "-c", "mkdir -p /run/sshd && exec /usr/sbin/sshd -D")
    options = ("--init", "--tmpfs", "/run", "-p", "127.0.0.1::22")
    docker("run", "-d", "--name", name, *testbed.CAPABLE, *options, testbed.image("trixie-docker"), *first)
    made = testbed.at(name, key)
    made.sh("mkdir -p /root/.ssh; cat >/root/.ssh/authorized_keys", data=key.with_suffix(".pub").read_text())
    made.until_listening(22)
    plug_in_gpu(made)
    yield made
    made.remove()


def test_docker_is_reloaded_and_restarted_without_systemd(host: TestHost, fab: Fab, repository: Repository) -> None:
    """A reload for the runtime, a restart with the words it was started with where that must be, and back again."""

    def done(*words: str) -> str:
        completed = fab({"gpu01": (host, "root")}, *words)
        assert completed.code == 0, completed.out + completed.err
        return completed.out

    done("engine.install")
    first = host.sh(PID)
    assert not host.sh("[ ! -d /run/systemd/system ] || echo systemd")
    host.run_container("other")
    assert "reload Docker" in done("toolkit.install", *repository.overrides)
    assert "nvidia" in host.sh("docker info -f '{{json .Runtimes}}'")
    assert host.sh(PID) == first
    words = host.sh(f"tr '\\0' ' ' </proc/$({PID})/cmdline")
    assert "restart Docker" in done("toolkit.install", "--yes", "--set", "gpu.mode=gpus", *repository.overrides)
    assert host.sh(PID) != first
    assert host.sh(f"tr '\\0' ' ' </proc/$({PID})/cmdline") == words
    assert "nothing to change" in done("toolkit.install", "--set", "gpu.mode=gpus", *repository.overrides)
    done("toolkit.uninstall")
    assert '"nvidia":{' not in host.sh("docker info -f '{{json .Runtimes}}'")


def test_a_docker_that_does_not_come_back_is_brought_back(host: TestHost, fab: Fab, repository: Repository) -> None:
    """Started by hand it has no unit that says how: the words are kept, the former daemon.json comes back, and it runs."""
    host.write(DAEMON, '{"debug": true}')
    host.sh("mv /usr/sbin/dockerd /usr/sbin/dockerd.real")
    refuse = f"#!/bin/sh\ncase $* in *--validate*|*--help*) ;; *) ! grep -q nvidia {DAEMON} || exit 1;; esac\n"
    host.write(
        "/usr/sbin/dockerd", f'{refuse}exec -a dockerd /usr/sbin/dockerd.real "$@"\n'.replace("/bin/sh", "/bin/bash")
    )
    host.sh("chmod 755 /usr/sbin/dockerd")
    done = fab({"gpu01": (host, "root")}, "toolkit.install", "--yes", "--set", "gpu.mode=gpus", *repository.overrides)
    assert done.code == 1
    assert "the former daemon.json is back" in done.err
    assert "Docker runs with it" in done.err
    assert host.read(DAEMON) == '{"debug": true}'
