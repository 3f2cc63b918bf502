"""What the bootstrap script `inv` refuses, each in one line with the next move; its locks and its shell.

What needs another machine (apt-get, a read-only mount) is in tests/hosts/test_first_use.py.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpudock.config import ROOT
from tests.bootstrap import Project, pretend_version, refusal, wheel


def test_a_python_too_old_is_refused_in_one_line(project: Project) -> None:
    """With Python 3.9 alone, one line says what is needed and how to name another, and nothing is left behind."""
    pretend_version(project, "python3", "(3, 9, 18)")
    line = refusal(project.run())
    assert "Python 3.10 or newer" in line
    assert "GPUDOCK_PYTHON=" in line
    assert not (project.root / ".venv").exists()


def test_a_newer_python_beside_an_old_one_is_found(project: Project) -> None:
    """python3 is too old and python3.12 is there: that one is used."""
    (project.bin / "python3").rename(project.bin / "python3.12")
    pretend_version(project, "python3", "(3, 8, 10)")
    assert project.run().called.version == "1.0"


def test_the_named_python_is_used_and_no_other(project: Project, tmp_path: Path) -> None:
    """GPUDOCK_PYTHON, with a space in its path, is used; one that does not fit is refused though another would."""
    (tmp_path / "my python").symlink_to(sys.executable)
    project.environment["GPUDOCK_PYTHON"] = str(tmp_path / "no python")
    assert f"GPUDOCK_PYTHON={tmp_path}/no python" in refusal(project.run())
    (project.bin / "python3").unlink()
    project.environment["GPUDOCK_PYTHON"] = str(tmp_path / "my python")
    assert project.run().called.version == "1.0"


def test_a_python_without_ensurepip_that_apt_cannot_mend_is_refused_in_one_line(project: Project) -> None:
    """Without uv, ensurepip and apt-get, one line names what is missing."""
    (project.bin / "uv").unlink()
    project.stub(
        "python3", f'case $2 in *ensurepip*) exit 1 ;; *_base*) echo "$0" ;; *) exec {sys.executable} "$@" ;; esac'
    )
    assert "lacks venv or ensurepip" in refusal(project.run())


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_no_network_is_said_in_one_line(project: Project, installer: str) -> None:
    """Where the index cannot be reached, one line says so and how to name a mirror; one variable serves both."""
    for name in ("UV_OFFLINE", "UV_FIND_LINKS", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
        del project.environment[name]
    project.environment["PIP_INDEX_URL" if installer == "uv" else "UV_INDEX_URL"] = (
        "http://127.0.0.1:1/our-mirror/simple"
    )
    if installer == "pip":
        (project.bin / "uv").unlink()
    line = refusal(project.run())
    assert "onnection refused" in line
    assert "PIP_INDEX_URL=https://" in line
    assert "/our-mirror/simple/invoke/" in (project.root / ".venv.log").read_text()


def test_a_package_that_differs_from_the_lock_is_refused(project: Project) -> None:
    """A mirror that serves other bytes than the lock's hash is not installed."""
    wheel(project.wheels, "1.0")
    (project.root / "requirements/run.txt").write_text(f"invoke==1.0 --hash=sha256:{'0' * 64}\n")
    assert "could not install" in refusal(project.run())


def test_the_environment_may_be_elsewhere_but_never_replaces_other_files(project: Project, tmp_path: Path) -> None:
    """GPUDOCK_VENV names where the environment goes; a folder with other things in it is refused and kept."""
    precious = tmp_path / "precious/file"
    precious.parent.mkdir()
    precious.touch()
    project.environment["GPUDOCK_VENV"] = str(precious.parent)
    assert "no virtual environment" in refusal(project.run())
    assert precious.exists()
    project.environment["GPUDOCK_VENV"] = "elsewhere"
    assert project.run(cwd=tmp_path).called.prefix == str(tmp_path / "elsewhere")
    assert not (project.root / ".venv").exists()


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_the_locks_pin_every_package_by_hash_and_name_no_index(name: str) -> None:
    """Any mirror of the same files will do, and no other files will."""
    text = (ROOT / "requirements" / name).read_text()
    pins = text.replace("\\\n", " ").splitlines()
    assert "://" not in text
    assert "index" not in text
    assert all(" --hash=sha256:" in pin and "==" in pin for pin in pins)
    assert "invoke" in {pin.split("==")[0] for pin in pins}


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("script", ["inv", "requirements/lock", ".ci/run"])
def test_shell_scripts_pass_shellcheck(script: str) -> None:
    """The shell scripts have none of the faults that shellcheck knows."""
    checked = subprocess.run(["shellcheck", str(ROOT / script)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
