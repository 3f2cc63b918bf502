"""What the scripts for hosts do where /tmp is full: nothing, and least of all to the folder that they were started in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gpudock import measure
from gpudock.steps import registry


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(
    ("option", "script", "arguments"),
    [("-ec", registry.FETCH, ["/proc/none"]), ("-c", measure.PROBE, ["1", "pass"])],
    ids=["registry", "mirrors"],
)
def test_a_script_without_a_temporary_folder_ends(
    tmp_path: Path, shell: str, option: str, script: str, arguments: list[str]
) -> None:
    """`cd ""` is no error, and what tidies up behind it would take root's home away."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("mine")
    for name in ("apt-get", "curl", "python3"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": "/proc/none", "HOME": str(home)}
    argv = [shell, option, script, "sh", *arguments]
    done = subprocess.run(
        argv, cwd=home, env=environment, input="0\n0 x\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, "mktemp" in done.stderr) == (1, True), done
    assert (home / "thesis.txt").read_text() == "mine"
