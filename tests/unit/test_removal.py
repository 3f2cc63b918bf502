"""What teardown takes from the folder host.state, and what it leaves to others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gpudock.steps import astray, removal


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_another_stack_and_somebody_elses_files_stay(tmp_path: Path, shell: str) -> None:
    """The last stack takes along what all share, but for the record of a toolkit that stays; then all is as wanted."""
    state = tmp_path / "their files"
    for name in ("one/compose.yml", "one/container/services/ssh", "two/compose.yml", "build/context/Dockerfile",
                 "registry/lock", "doctor/fix", "toolkit/before/packages", "gpu-proof", "thesis.txt"):  # fmt: skip
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text("")

    def run(script: str, stack: str) -> str:
        argv = [shell, "-ec", script, "sh", str(state), stack]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    run(removal.CLEAN, "one")
    left = {"two", "build", "registry", "doctor", "toolkit", "gpu-proof", "thesis.txt"}
    assert ({path.name for path in state.iterdir()}, run(removal.LOOK, "one")) == (left, "")
    run(removal.CLEAN, "two")
    assert ({path.name for path in state.iterdir()}, run(removal.LOOK, "two")) == ({"toolkit", "thesis.txt"}, "")
    for path in ("toolkit/before/packages", "thesis.txt"):
        (state / path).unlink()
    (state / "toolkit/before").rmdir()
    run(removal.CLEAN, "two")
    assert not state.exists()


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ("Deleted: sha256:1", 0, "Deleted: sha256:1\n"),
        ("conflict: unable to delete 1 - image is being used by running container 2", 0, "it stays: another"),
        ("Error response from daemon: No such image: sha256:1", 0, ""),
        ("Cannot connect to the Docker daemon", 1, "Cannot connect to the Docker daemon\n"),
    ],
)
def test_an_image_stays_only_where_another_has_it(
    tmp_path: Path, shell: str, answer: str, code: int, said: str
) -> None:
    """That somebody uses it is no error, that it is gone neither; whatever else Docker says is one, and is told."""
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{answer}'\ncase '{answer}' in Deleted*) ;; *) exit 1;; esac\n")
    docker.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = [shell, "-ec", astray.FORGET, "sh", "sha256:1"]
    done = subprocess.run(argv, env=environ, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout[: len(said)]) == (code, said)
