"""A project of the user's own, whose collection is not ours: its plain tasks are rolled out like ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpudock.config import ROOT
from tests.conftest import Completed, program

FABFILE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import invoke
from tasks import ns as theirs

@invoke.task
def mine(context):
    context.run("true")

@invoke.task
def tries(context, retry="0"):
    print("tries", retry)

ns = invoke.Collection(mine, tries)
ns.add_collection(theirs, name="gpudock")
"""
SETTINGS = "tasks:\n  executor_class: gpudock.fleet.FleetExecutor\n  collection_name: fabfile\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's folder, with an ssh_config of two hosts that nobody answers at."""
    (tmp_path / "fabfile.py").write_text(FABFILE)
    (tmp_path / "fabric.yaml").write_text(SETTINGS)
    hosts = [f"Host {name}\n  HostName 127.0.0.1\n  Port 1\n" for name in ("own-one", "own-two")]
    (tmp_path / "config").write_text("".join(hosts))
    return tmp_path


def fab(project: Path, *words: str) -> Completed:
    """Run the project's tasks by our program."""
    argv = [sys.executable, str(ROOT), "fab", "--search-root", str(project), "-S", str(project / "config"), *words]
    return program(argv, cwd=project, environ={"GPUDOCK_FLEET__CONNECT_ATTEMPTS": "1"})


def test_a_plain_task_beside_ours_takes_the_rollouts_options(project: Path) -> None:
    """The canary fails, and the other host is not begun."""
    done = fab(project, "-H", "own-one,own-two", "mine", "--canary", "1")
    assert done.code == 3, done.out + done.err
    assert "own-two  -" in done.out
    assert "not begun, as the canary failed on own-one" in done.out
    assert "own-one mine: failed" in done.err
    assert "own-two mine" not in done.err
    assert "--max-failures=N" in fab(project, "--help", "mine").out


def test_an_option_of_the_tasks_own_stays_its_own(project: Path) -> None:
    """One named as one of the rollout's is the task's."""
    assert fab(project, "tries", "--retry", "3").out == "tries 3\n"
    assert fab(project, "tries").out == "tries 0\n"
