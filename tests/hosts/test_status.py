"""status and top on a host with a stand-in GPU and on one that is down."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from gpudock.config import ROOT
from tests import testbed
from tests.conftest import Fab, Hosts
from tests.hosts.nvidia import plug_in_gpu
from tests.testbed import TestHost
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A host with two GPUs, a running container, and a process of it on the second GPU."""
    made = hosts("trixie-docker")
    plug_in_gpu(made, count=2)
    made.run_container("web")
    pid = made.sh("docker inspect -f '{{.State.Pid}}' web").strip()
    made.write("/etc/nvidia-smi.apps", f"{pid}, GPU-00000000-0000-0000-0000-000000000001, 512, /bin/sleep\n")
    return made


@pytest.fixture
def targets(host: TestHost) -> dict[str, tuple[TestHost, str]]:
    """That host, and one where nothing listens."""
    return {"gpu01": (host, "ops"), "gpu02": (TestHost("down", 1, host.key), "ops")}


def test_status_of_many_hosts_is_one_table_with_those_that_are_down(
    targets: dict[str, tuple[TestHost, str]], fab: Fab
) -> None:
    """A row a host, GPUs included; the one that is down has a row too, and is why the code is 3."""
    done = fab(targets, "status")
    assert done.code == 3
    rows = [line.split() for line in done.out.splitlines()]
    head = next(row for row in rows if row[0] == "host")
    assert head[1:4] == ["reachable", "system", "driver"]
    up, down = (next(row for row in rows if row[0] == name and len(row) > 8) for name in targets)
    assert up[1:5] == ["yes", "debian", "13", "580.95.05"]
    assert "2 x H100 80GB HBM3, 0/159 GiB, 0 %" in " ".join(up)
    assert down[1:3] == ["no", "-"]
    assert "cannot be reached" in done.err


def test_status_as_json_has_the_gpus_as_numbers(targets: dict[str, tuple[TestHost, str]], fab: Fab) -> None:
    """A line a host and the summary, with the error of the one that is down."""
    done = fab(targets, "status", "--json")
    rows = {row.get("host", "summary"): row for row in map(json.loads, done.out.splitlines())}
    assert rows["gpu01"]["facts"]["gpus"][1]["memory_total"] == 81559
    assert rows["gpu02"]["status"] == "failed"
    assert rows["summary"]["summary"]["unreachable"] == 1
    assert done.code == 3


def test_status_of_one_host_is_a_list(host: TestHost, fab: Fab) -> None:
    """Two columns behind the host's name."""
    done = fab({"gpu01": (host, "ops")}, "status")
    assert done.code == 0, done.err
    assert "gpu01  gpu 1      H100 80GB HBM3, 0.0 of 79.6 GiB, 0 %" in done.out


def test_top_once_names_container_and_user_of_a_process(host: TestHost, fab: Fab) -> None:
    """Without a terminal there is one look: the process on a GPU with its container and user, and what it takes."""
    done = fab({"gpu01": (host, "ops")}, "top", "--json")
    facts = json.loads(done.out.splitlines()[0])["facts"]
    (process,) = facts["processes"]
    assert (process["container"], process["user"], process["memory"]) == ("web", "root", 512)
    assert [gpu["temperature"] for gpu in facts["gpus"]] == [32, 32]
    assert [(load["name"], load["processes"]) for load in facts["containers"]] == [("web", 1)]
    assert "1    " in fab({"gpu01": (host, "ops")}, "top", "--once").out


def test_top_refreshes_until_ctrl_c(host: TestHost, tmp_path: Path) -> None:
    """On a terminal it redraws, takes up what has changed, and leaves the screen at Ctrl-C with code 0."""
    config = testbed.ssh_config(tmp_path / "config", [("gpu01", host, "ops")])
    terminal, theirs = pty.openpty()
    argv = [str(ROOT / "fab"), "-S", str(config), "-H", "gpu01", "top", "--interval", "1"]
    environ = {**os.environ, "COLUMNS": "120", "LINES": "40", "TERM": "xterm"}
    running = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    try:
        assert shows(terminal, "H100 80GB HBM3")
        host.run_container("later")
        assert shows(terminal, "later")
        os.killpg(running.pid, 2)
        assert shows(terminal, "\x1b[?1049l")
        assert running.wait(PATIENCE) == 0
    finally:
        running.kill()
        os.close(terminal)


def shows(terminal: int, text: str, seconds: float = PATIENCE) -> bool:
    """Whether a terminal comes to show a text."""
    seen, end = "", time.monotonic() + seconds
    while text not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                seen += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                break
    return text in seen
