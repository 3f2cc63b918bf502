"""The bootstrap script `inv` where all goes well or can be mended: run for real, with a lock of one tiny package."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpudock.config import ROOT
from tests.bootstrap import UV, Project, finish
from tests.waiting import until


def test_first_use_makes_the_environment_and_later_uses_are_silent(project: Project) -> None:
    """The first use says one line and runs inv of the lock; the next says nothing and makes nothing."""
    first, second = project.run("setup", "--dry-run"), project.run("setup", "--dry-run")
    assert first.called.version == "1.0"
    assert first.called.utf8 == "1"  # with LANG=zh_CN.GBK Python would take our own YAML for GBK
    assert first.called.prefix == str(project.root / ".venv")
    assert first.called.argv[1:] == ["inv", "--search-root", str(project.root), "setup", "--dry-run"]
    assert [line.split(" (")[0] for line in first.err.splitlines()] == [f"gpudock: making {project.root}/.venv"]
    assert (second.out, second.err) == (first.out, "")
    assert not (project.root / ".venv.log").exists()


def test_a_machine_without_cmp_makes_it_once_too(project: Project) -> None:
    """As a minimal RHEL is."""
    (project.bin / "cmp").unlink()
    assert "making" in project.run().err
    assert project.run().err == ""
    project.lock("2.0")
    assert project.run().called.version == "2.0"


def test_venv_and_pip_serve_where_there_is_no_uv(project: Project) -> None:
    """Without uv on PATH the standard library's venv and its pip make the same environment."""
    (project.bin / "uv").unlink()
    assert project.run().called.version == "1.0"
    assert (project.root / ".venv/bin/pip").exists()


def test_fab_is_the_same_script_by_another_name(project: Project) -> None:
    """`fab` runs the environment's fab, by the name it was called by."""
    assert project.run("-H", "gpu01", "plan", program="fab").called.argv[1] == "fab"


def test_runs_from_any_folder_and_through_links(project: Project, tmp_path: Path) -> None:
    """Called through a link and from elsewhere, the checkout's tasks are searched and the folder stays the user's."""
    (tmp_path / "links").mkdir()
    (tmp_path / "links/fab").symlink_to(project.root / "fab")
    ran = project.run("x", program="../links/fab", cwd=project.bin)
    assert ran.called.cwd == str(project.bin)
    assert ran.called.argv[1:] == ["fab", "--search-root", str(project.root), "x"]


def test_the_search_root_finds_the_tasks_from_elsewhere(tmp_path: Path) -> None:
    """The real inv lists the project's tasks from another folder when given the search root."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "--list"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "toolkit.install" in listed.stdout, listed.stderr


def test_a_changed_lock_refreshes_the_environment(project: Project) -> None:
    """What the new lock names is there, and what only the old environment held is gone."""
    project.run()
    left = project.root / ".venv/left-over"
    left.touch()
    project.lock("2.0")
    assert project.run().called.version == "2.0"
    assert not left.exists()


def test_an_environment_whose_python_is_gone_is_made_anew(project: Project) -> None:
    """After the system's Python was replaced, the environment's link to it leads nowhere: it is made anew."""
    project.run()
    python = project.root / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python3.9")
    assert project.run().called.version == "1.0"


def test_a_moved_checkout_still_runs(project: Project, tmp_path: Path) -> None:
    """Moving the checkout needs no new environment: no path in it is relied on."""
    project.run()
    project.root = project.root.rename(tmp_path / "moved")
    ran = project.run()
    assert ran.called.prefix == str(tmp_path / "moved/.venv")
    assert ran.err == ""


def slow_uv(project: Project, seconds: str) -> Path:
    """Have uv say when it has begun to install, and take its time; return the file that says so."""
    begun = project.bin.parent / "begun"
    project.stub("uv", f'[ "$1" = venv ] || {{ touch "{begun}"; sleep {seconds}; }}\nexec "{UV}" "$@"')
    return begun


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_first_use_is_never_taken_as_complete(project: Project, blow: signal.Signals) -> None:
    """Ctrl-C or kill -9 of the whole first use, when half of it is there: the next use starts again and works."""
    begun = slow_uv(project, "600")
    process = project.start()
    until(begun.exists)
    os.killpg(process.pid, blow)
    assert finish(process).code != 0
    assert (project.root / ".venv/bin/python").exists()
    slow_uv(project, "0")
    again = project.run()
    assert again.called.version == "1.0"
    assert "making" in again.err


def test_an_installer_that_outlives_a_killed_script_is_waited_for(project: Project) -> None:
    """Only the script is killed: what it started still writes, so the next use waits for that to end."""
    begun, done, early = (project.bin.parent / name for name in ("begun", "done", "early"))
    project.stub("uv", f'[ "$1" = venv ] || {{ touch "{begun}"; sleep 1.5; touch "{done}"; }}\nexec "{UV}" "$@"')
    process = project.start()
    until(begun.exists)
    process.kill()
    project.stub("uv", f'[ -e "{done}" ] || touch "{early}"\nexec "{UV}" "$@"')
    assert project.run().called.version == "1.0"
    assert done.exists()
    assert not early.exists()
    finish(process)


def test_first_uses_at_once_make_one_environment(project: Project) -> None:
    """Of four first uses at once all succeed, and one of them makes the environment."""
    slow_uv(project, "0.5")
    ran = [finish(process) for process in [project.start() for _ in range(4)]]
    assert [each.called.version for each in ran] == ["1.0"] * 4
    assert sum("making" in each.err for each in ran) == 1


def test_starts_three_small_programs_once_the_environment_is_there(project: Project) -> None:
    """All that the script itself costs then: benchmarks/no_change.py has the milliseconds, under 50."""
    project.run()
    traced = subprocess.run(
        ["/bin/sh", "-x", str(project.root / "inv")],
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    words = [line.split()[1] for line in traced.stderr.splitlines() if line.startswith("+")]
    assert [word for word in words if (project.bin / word).exists()] == ["readlink", "dirname", "cmp"]
    assert words[-1] == "exec"
