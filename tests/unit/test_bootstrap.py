"""The bootstrap script `inv`, run for real in copies of the checkout with a lock of one tiny package.

What needs another machine (apt-get, a read-only mount) is in tests/hosts/test_first_use.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpudock.config import ROOT

COMMANDS = "basename cat chmod cksum cmp cp cut dirname env grep head id mkdir readlink rm rmdir sed sh sleep tail touch"
PROGRAM = """import json, os, sys
def main():
    print(json.dumps({"version": "VERSION", "argv": sys.argv, "cwd": os.getcwd(), "prefix": sys.prefix}))
"""
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def wheel(folder: Path, version: str) -> str:
    """Make a package whose `inv` and `fab` say how they were called; return its line for the lock."""
    path = folder / f"invoke-{version}-py3-none-any.whl"
    about = f"invoke-{version}.dist-info"
    files = {
        "invoke.py": PROGRAM.replace("VERSION", version),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: invoke\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[console_scripts]\ninv = invoke:main\nfab = invoke:main\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"]))
    return f"invoke=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass
class Checkout:
    """A copy of the checkout, and a PATH that holds what a plain machine has and a Python."""

    root: Path
    bin: Path
    wheels: Path
    environment: dict[str, str] = field(default_factory=dict)

    def lock(self, version: str) -> None:
        """Have the lock name a version."""
        (self.root / "requirements/run.txt").write_text(wheel(self.wheels, version))

    def stub(self, name: str, script: str) -> Path:
        """Put a program on PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def start(self, *arguments: str, program: str = "inv", cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start `inv` or `fab`, in a process group of its own."""
        return subprocess.Popen(
            [program if "/" in program else str(self.root / program), *arguments],
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
            env=self.environment,
            cwd=cwd or self.root,
            start_new_session=True,
        )

    def run(self, *arguments: str, program: str = "inv", cwd: Path | None = None) -> Ran:
        """Run `inv` or `fab` to its end."""
        return finish(self.start(*arguments, program=program, cwd=cwd))


@dataclass(frozen=True)
class Ran:
    """What came of a run."""

    code: int
    out: str
    err: str

    @property
    def called(self) -> dict[str, str]:
        """What the real program says of how it was called."""
        assert self.code == 0, self.err
        return dict(json.loads(self.out))


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for a run."""
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, out, err)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout with a space in its path, on a machine with uv."""
    root, folder, wheels = tmp_path / "a checkout", tmp_path / "bin", tmp_path / "wheels"
    for made in (root / "requirements", folder, wheels):
        made.mkdir(parents=True)
    shutil.copy(ROOT / "inv", root / "inv")
    (root / "fab").symlink_to("inv")
    for name in COMMANDS.split():
        (folder / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    (folder / "python3").symlink_to(sys.executable)
    assert UV, "uv comes with requirements/dev.txt"
    (folder / "uv").symlink_to(UV)
    offline = {"UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    found = {"UV_FIND_LINKS": str(wheels), "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    quick = {"UV_HTTP_RETRIES": "0", "PIP_RETRIES": "0", "HOME": str(tmp_path)}
    made = Checkout(root, folder, wheels, {"PATH": str(folder), **offline, **found, **quick})
    made.lock("1.0")
    return made


def test_first_use_makes_the_environment_and_later_uses_are_silent(checkout: Checkout) -> None:
    """The first use says one line and runs inv of the lock; the next says nothing and makes nothing."""
    first, second = checkout.run("setup", "--dry-run"), checkout.run("setup", "--dry-run")
    assert first.called["version"] == "1.0"
    assert first.called["prefix"] == str(checkout.root / ".venv")
    assert first.called["argv"][1:] == ["--search-root", str(checkout.root), "setup", "--dry-run"]
    assert [line.split(" (")[0] for line in first.err.splitlines()] == [f"gpudock: making {checkout.root}/.venv"]
    assert (second.out, second.err) == (first.out, "")
    assert not (checkout.root / ".venv.log").exists()


def test_venv_and_pip_serve_where_there_is_no_uv(checkout: Checkout) -> None:
    """Without uv on PATH the standard library's venv and its pip make the same environment."""
    (checkout.bin / "uv").unlink()
    assert checkout.run().called["version"] == "1.0"
    assert (checkout.root / ".venv/bin/pip").exists()


def test_fab_is_the_same_script_by_another_name(checkout: Checkout) -> None:
    """`fab` runs the environment's fab, by the name it was called by."""
    assert Path(checkout.run("-H", "gpu01", "plan", program="fab").called["argv"][0]).name == "fab"


def test_runs_from_any_folder_and_through_links(checkout: Checkout, tmp_path: Path) -> None:
    """Called through a link and from elsewhere, the checkout's tasks are searched and the folder stays the user's."""
    (tmp_path / "links").mkdir()
    (tmp_path / "links/fab").symlink_to(checkout.root / "fab")
    ran = checkout.run("x", program="../links/fab", cwd=checkout.bin)
    assert ran.called["cwd"] == str(checkout.bin)
    assert ran.called["argv"][1:] == ["--search-root", str(checkout.root), "x"]
    assert Path(ran.called["argv"][0]).name == "fab"


def test_the_search_root_finds_the_tasks_from_elsewhere(tmp_path: Path) -> None:
    """The real inv lists the project's tasks from another folder when given the search root."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "--list"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "toolkit.install" in listed.stdout, listed.stderr


def test_a_changed_lock_refreshes_the_environment(checkout: Checkout) -> None:
    """What the new lock names is there, and what only the old environment held is gone."""
    checkout.run()
    left = checkout.root / ".venv/left-over"
    left.touch()
    checkout.lock("2.0")
    assert checkout.run().called["version"] == "2.0"
    assert not left.exists()


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Checkout) -> None:
    """After the system's Python was replaced, the environment's link to it leads nowhere: it is made anew."""
    checkout.run()
    python = checkout.root / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3.9")
    assert checkout.run().called["version"] == "1.0"


def test_a_moved_checkout_still_runs(checkout: Checkout, tmp_path: Path) -> None:
    """Moving the checkout needs no new environment: no path in it is relied on."""
    checkout.run()
    checkout.root = checkout.root.rename(tmp_path / "moved")
    ran = checkout.run()
    assert ran.called["prefix"] == str(tmp_path / "moved/.venv")
    assert ran.err == ""


def slow_uv(checkout: Checkout, seconds: str) -> Path:
    """Have uv say when it has begun to install, and take its time; return the file that says so."""
    begun = checkout.bin.parent / "begun"
    checkout.stub("uv", f'[ "$1" = venv ] || {{ touch "{begun}"; sleep {seconds}; }}\nexec "{UV}" "$@"')
    return begun


def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_first_use_is_never_taken_as_complete(checkout: Checkout, blow: signal.Signals) -> None:
    """Ctrl-C or kill -9 of the whole first use, when half of it is there: the next use starts again and works."""
    begun = slow_uv(checkout, "30")
    process = checkout.start()
    until(begun.exists)
    os.killpg(process.pid, blow)
    assert finish(process).code != 0
    assert (checkout.root / ".venv/bin/python").exists()
    slow_uv(checkout, "0")
    again = checkout.run()
    assert again.called["version"] == "1.0"
    assert "making" in again.err


def test_an_installer_that_outlives_a_killed_script_is_waited_for(checkout: Checkout) -> None:
    """Only the script is killed: what it started still writes, so the next use waits for that to end."""
    begun = slow_uv(checkout, "1.5")
    process = checkout.start()
    until(begun.exists)
    killed = time.monotonic()
    process.kill()
    slow_uv(checkout, "0")
    assert checkout.run().called["version"] == "1.0"
    assert time.monotonic() - killed > 1.2
    finish(process)


def test_first_uses_at_once_make_one_environment(checkout: Checkout) -> None:
    """Of four first uses at once all succeed, and one of them makes the environment."""
    slow_uv(checkout, "0.5")
    ran = [finish(process) for process in [checkout.start() for _ in range(4)]]
    assert [each.called["version"] for each in ran] == ["1.0"] * 4
    assert sum("making" in each.err for each in ran) == 1


def refusal(ran: Ran) -> str:
    """The one line that a run ended with, before which nothing was printed but what it was doing."""
    assert (ran.code, ran.out) == (2, ""), ran
    lines = [line for line in ran.err.splitlines() if not line.startswith("gpudock: making ")]
    assert len(lines) == 1, ran.err
    return lines[0]


def pretend_version(checkout: Checkout, name: str, version: str) -> Path:
    """Put a Python on PATH that is this one in all but its version."""
    code = f'import sys; sys.version_info = {version}; exec(sys.argv[1])'
    return checkout.stub(name, f'exec "{sys.executable}" -c "{code}" "$2"')


def test_a_python_too_old_is_refused_in_one_line(checkout: Checkout) -> None:
    """With Python 3.9 alone, one line says what is needed and how to name another, and nothing is left behind."""
    pretend_version(checkout, "python3", "(3, 9, 18)")
    line = refusal(checkout.run())
    assert "Python 3.10 or newer" in line
    assert "GPUDOCK_PYTHON=" in line
    assert not (checkout.root / ".venv").exists()


def test_a_newer_python_beside_an_old_one_is_found(checkout: Checkout) -> None:
    """python3 is too old and python3.12 is there: that one is used."""
    (checkout.bin / "python3").rename(checkout.bin / "python3.12")
    pretend_version(checkout, "python3", "(3, 8, 10)")
    assert checkout.run().called["version"] == "1.0"


def test_the_named_python_is_used_and_no_other(checkout: Checkout, tmp_path: Path) -> None:
    """GPUDOCK_PYTHON, with a space in its path, is used; one that does not fit is refused though another would."""
    (tmp_path / "my python").symlink_to(sys.executable)
    checkout.environment["GPUDOCK_PYTHON"] = str(tmp_path / "no python")
    assert f"GPUDOCK_PYTHON={tmp_path}/no python" in refusal(checkout.run())
    (checkout.bin / "python3").unlink()
    checkout.environment["GPUDOCK_PYTHON"] = str(tmp_path / "my python")
    assert checkout.run().called["version"] == "1.0"


def test_a_python_without_ensurepip_that_apt_cannot_mend_is_refused_in_one_line(checkout: Checkout) -> None:
    """Without uv, ensurepip and apt-get, one line names what is missing."""
    (checkout.bin / "uv").unlink()
    checkout.stub("python3", f'case $2 in *ensurepip*) exit 1 ;; *_base*) echo "$0" ;; *) exec {sys.executable} "$@" ;; esac')
    assert "lacks venv or ensurepip" in refusal(checkout.run())


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_no_network_is_said_in_one_line(checkout: Checkout, installer: str) -> None:
    """Where the index cannot be reached, one line says so and how to name a mirror; one variable serves both."""
    for name in ("UV_OFFLINE", "UV_FIND_LINKS", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
        del checkout.environment[name]
    checkout.environment["PIP_INDEX_URL" if installer == "uv" else "UV_INDEX_URL"] = "http://127.0.0.1:1/simple"
    if installer == "pip":
        (checkout.bin / "uv").unlink()
    line = refusal(checkout.run())
    assert "onnection refused" in line
    assert "PIP_INDEX_URL=https://" in line
    assert "127.0.0.1:1" in (checkout.root / ".venv.log").read_text()


def test_a_package_that_differs_from_the_lock_is_refused(checkout: Checkout) -> None:
    """A mirror that serves other bytes than the lock's hash is not installed."""
    wheel(checkout.wheels, "1.0")
    (checkout.root / "requirements/run.txt").write_text(f"invoke==1.0 --hash=sha256:{'0' * 64}\n")
    assert "could not install" in refusal(checkout.run())


def test_the_environment_may_be_elsewhere_but_never_replaces_other_files(checkout: Checkout, tmp_path: Path) -> None:
    """GPUDOCK_VENV names where the environment goes; a folder with other things in it is refused and kept."""
    precious = tmp_path / "precious/file"
    precious.parent.mkdir()
    precious.touch()
    checkout.environment["GPUDOCK_VENV"] = str(precious.parent)
    assert "no virtual environment" in refusal(checkout.run())
    assert precious.exists()
    checkout.environment["GPUDOCK_VENV"] = "elsewhere"
    assert checkout.run(cwd=tmp_path).called["prefix"] == str(tmp_path / "elsewhere")
    assert not (checkout.root / ".venv").exists()


def test_costs_less_than_50_ms_once_the_environment_is_there(checkout: Checkout) -> None:
    """Own time of the script: the median of 15 runs less the median of the real program's."""
    checkout.run()
    through = [str(checkout.root / "inv")]
    direct = [str(checkout.root / ".venv/bin/python"), str(checkout.root / ".venv/bin/inv")]

    def median(command: list[str]) -> float:
        times = []
        for _ in range(15):
            started = time.perf_counter()
            subprocess.run(command, env=checkout.environment, capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    assert median(through) - median(direct) < 0.05


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
