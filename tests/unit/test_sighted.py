"""Which containers are said to have lost their GPUs: the shell text that asks them, with a stand-in for docker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gpudock.steps.toolkit.containers import LOST

# Each container's name is what becomes of it, and its id; Docker lists paused ones too, if it is not told otherwise.
DOCKER = """#!/bin/sh
case $* in
ps*running*) cat {folder}/running ;;
ps*) cat {folder}/running; echo paused ;;
*command*) ;;
exec\\ paused*|exec\\ blind*) exit 1 ;;
exec\\ sleeps*) exit 124 ;;
exec\\ ends*) sed -i /ends/d {folder}/running; exit 1 ;;
esac
"""


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_only_who_runs_and_sees_none_has_lost_its_gpus(tmp_path: Path, shell: str) -> None:
    """Not one that is paused, has ended, ends while it is asked, or whose GPU takes long: a restart would end its work."""
    names = ("sees", "blind", "paused", "sleeps", "ends")
    (tmp_path / "sighted").write_text("".join(f"{name} {name}\n" for name in (*names, "gone")))
    (tmp_path / "running").write_text("".join(f"{name}\n" for name in names if name != "paused"))
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(folder=tmp_path))
    docker.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = [shell, "-c", LOST, "sh", str(tmp_path)]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["blind"], "")
