"""A power cut at any time: kill -9 of the operator and of what runs on the host leaves a Docker that starts, and a second run does the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.conftest import Fab, Hosts
from tests.hosts.nvidia import Repository, plug_in_gpu
from tests.testbed import TestHost
from tests.waiting import ended, until

DAEMON = "/etc/docker/daemon.json"
THEIRS = '{"debug": true}'
UNPACKS = "/usr/sbin/dpkg-deb"  # before /usr/bin on the path that apt gives dpkg
STOPS = '#!/bin/sh\ncase $* in *--fsys-tarfile*nvidia*) touch /tmp/unpacking; sleep 600;; esac\nexec /usr/bin/dpkg-deb "$@"\n'
KILL = (
    "pkill -9 -x apt-get; pkill -9 -x dpkg; pkill -9 -x dpkg-deb; pkill -9 -f 'eva[l] .*head -c'; pkill -9 -x sudo; :"
)
Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def cut_host(hosts: Hosts) -> TestHost:
    """A host with an owner's daemon.json and a driver."""
    host = hosts("trixie-docker")
    plug_in_gpu(host)
    host.write(DAEMON, THEIRS)
    host.sh("systemctl reload docker; apt-get install -y --no-install-recommends python3")
    return host


@pytest.fixture
def start(cut_host: TestHost, repository: Repository, fab: Fab) -> Start:
    """Return a function that begins toolkit.install on the host."""
    words = ["toolkit.install", "--wait", "--set", "toolkit.hold=true", *repository.overrides]
    return lambda: fab.start({"gpu01": (cut_host, "ops")}, *words)


def kill(running: subprocess.Popen[str], host: TestHost) -> None:
    """Cut the power: neither end gets to clean up."""
    os.killpg(running.pid, signal.SIGKILL)
    host.sh(KILL)
    ended(running)


def starts(host: TestHost) -> bool:
    """Whether Docker comes up with the files as they are."""
    return "up" in host.sh(
        "systemctl reset-failed docker; systemctl restart docker && docker info >/dev/null 2>&1 && echo up; :"
    )


def test_an_installation_cut_off_is_finished(cut_host: TestHost, start: Start) -> None:
    """Killed while dpkg unpacks; Docker starts, and what dpkg left half done is finished by the next run."""
    cut_host.write(UNPACKS, STOPS)
    cut_host.sh(f"chmod 755 {UNPACKS}")
    running = start()
    until(lambda: "there" in cut_host.sh("[ -e /tmp/unpacking ] && echo there; :"))
    kill(running, cut_host)
    cut_host.sh(f"rm {UNPACKS} /tmp/unpacking")
    assert "half-installed" in cut_host.sh("dpkg-query -W -f '${Status}\\n' '*nvidia*'")
    assert cut_host.read(DAEMON) == THEIRS
    assert starts(cut_host)


def test_cut_after_each_action_it_converges(cut_host: TestHost, start: Start) -> None:
    """The power goes after every action, once each; Docker starts on what is there, and in the end all is done, once."""
    seen: set[str] = set()
    text = THEIRS
    while line := cut_after_a_new_action(start(), cut_host, seen):
        now = cut_host.read(DAEMON)
        assert json.loads(now)["debug"] is True
        assert now == text or starts(cut_host), line
        text = now
    assert {"add the nvidia runtime to daemon.json", "install the NVIDIA Container Toolkit"} <= seen
    assert "nvidia" in cut_host.sh("docker info -f '{{json .Runtimes}}'")
    assert cut_host.sh("apt-mark showhold").count("nvidia") == 4
    assert cut_host.sh("ls /var/lib/gpudock/toolkit | grep -c before") == "1\n"
    assert cut_host.sh("cat /var/lib/gpudock/toolkit/before/daemon.json") == THEIRS


def cut_after_a_new_action(running: subprocess.Popen[str], host: TestHost, seen: set[str]) -> str:
    """Kill a run after the first action that no run was killed after; an empty text where it ends well before that."""
    assert running.stdout is not None
    for line in running.stdout:
        why = line.partition(": ")[2].partition(" … changed (")[0]
        if "… changed (" in line and why not in seen:
            seen.add(why)
            kill(running, host)
            return line
    code, _, err = ended(running)
    assert code == 0, err
    return ""
