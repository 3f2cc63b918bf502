"""Full logs of a run: what is in them, what never is, and how many are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpudock import credentials, logs
from gpudock.actions import shell
from gpudock.logs import Logs
from gpudock.report import Report


def test_all_a_tool_prints_is_in_its_hosts_file(tmp_path: Path) -> None:
    """Action, every line, end; each host in a file of its own."""
    report = Report(2, Logs(tmp_path, "setup"))
    action = shell("build it", "make")
    report.begin("gpu01", "image.build", action)
    for number in range(100):
        report.line("gpu01", f"layer {number}")
    report.end("gpu01", "image.build", action, 1.0)
    report.note("gpu02", "waits")
    report.close({})
    lines = Path(report.logs.path("gpu01")).read_text().splitlines()
    assert lines[0].endswith("image.build: build it")
    assert lines[100].endswith("layer 99")
    assert "waits" not in "".join(lines)
    assert Path(report.logs.path("gpu02")).name == "gpu02.log"


def test_secrets_are_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that was given in this run, and one in an address, never reach the disk; nobody else reads the rest."""
    monkeypatch.setattr(credentials, "_given", set())
    monkeypatch.setenv("GPUDOCK_SUDO_PASSWORD", "correct horse")
    assert credentials.secret("GPUDOCK_SUDO_PASSWORD") == "correct horse"
    written = Logs(tmp_path, "setup")
    written.write("gpu01", "sudo: correct horse is wrong\nfetch https://me:geheim@mirror/simple")
    text = Path(written.path("gpu01")).read_text()
    assert "correct horse" not in text
    assert "geheim" not in text
    assert "https://•••@mirror/simple" in text
    assert written.folder
    assert written.folder.stat().st_mode & 0o077 == 0


def test_old_runs_go(tmp_path: Path) -> None:
    """The newest are kept."""
    for number in range(logs.KEEP + 5):
        (tmp_path / f"20200101T{number:06}-setup-1").mkdir()
    written = Logs(tmp_path, "setup")
    written.write("gpu01", "x")
    assert len(list(tmp_path.iterdir())) == logs.KEEP
    assert not (tmp_path / "20200101T000000-setup-1").exists()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """A read-only checkout has no logs."""
    (tmp_path / "file").touch()
    written = Logs(tmp_path / "file", "setup")
    written.write("gpu01", "x")
    assert written.path("gpu01") == ""


def test_a_full_disk_is_no_error(tmp_path: Path) -> None:
    """A run goes on without its log."""
    written = Logs(tmp_path, "setup")
    written.write("gpu01", "x")
    assert written.folder
    (written.folder / "gpu02.log").symlink_to("/dev/full")
    written.write("gpu02", "x")
    assert Path(written.path("gpu01")).read_text().endswith(" x\n")
