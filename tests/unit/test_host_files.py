"""Files of a host: all in one archive, each with its mode, and what is not there told apart from what cannot be read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import invoke
import pytest

from gpudock import host_files
from gpudock.answers import Answer
from gpudock.errors import CannotTell
from gpudock.host import Host
from gpudock.questions import ask, file, files

BYTES = bytes(range(256)) * 40


@pytest.fixture
def here() -> Host:
    """This machine."""
    return Host(invoke.Context(), "localhost")


def test_every_byte_and_the_mode_come(here: Host, tmp_path: Path) -> None:
    """A key in binary, an empty file, a long name, a link: as they are; one file may be asked for twice."""
    deep = tmp_path / ("a" * 120) / "it's a file"
    deep.parent.mkdir()
    deep.write_bytes(BYTES)
    deep.chmod(0o640)
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(deep)
    (tmp_path / "twin").hardlink_to(deep)
    answers = ask(
        here, {"one": file(str(deep)), "again": file(str(tmp_path / "link")), "all": files(str(tmp_path), "/none")}
    )
    assert (answers["one"].raw, answers["one"].files[str(deep)].mode) == (BYTES, "640")
    assert answers["again"].raw == BYTES
    found = {path: kept.content for path, kept in answers["all"].files.items()}
    assert found == {str(tmp_path / "empty"): b"", str(tmp_path / "link"): BYTES, str(tmp_path / "twin"): BYTES}
    assert answers["all"].ok


def test_a_folder_is_no_file_and_is_not_sent(here: Host, tmp_path: Path) -> None:
    """What is in it stays on the host, also where a link leads to it, and what is below a file is not there."""
    (tmp_path / "inside").write_text("x")
    (tmp_path / "asked").mkdir()
    (tmp_path / "asked" / "disk").symlink_to(tmp_path)
    answers = ask(
        here,
        {
            "folder": file(str(tmp_path)),
            "below": file(str(tmp_path / "inside" / "x")),
            "linked": files(str(tmp_path / "asked")),
        },
    )
    assert answers["folder"].files == answers["linked"].files == {}
    with pytest.raises(CannotTell, match="Is a directory"):
        answers["folder"].file()
    assert answers["below"].file() is None


def test_one_that_cannot_be_read_is_told_and_the_others_come() -> None:
    """As tar says it of a file on a broken disk, or in a folder that is not ours."""
    said = "tar: /a: Cannot open: Input/output error\ntar: /b: Cannot stat: No such file or directory\n"
    asked = {"a": file("/a"), "b": file("/b"), "c": files("/b", "/c"), "d": files("/a")}
    answers = host_files.divide(asked, Answer((), 2, "", said))
    with pytest.raises(CannotTell, match=r"^/a cannot be read: .*Input/output error"):
        answers["a"].file()
    assert answers["b"].file() is None
    assert [answers[name].ok for name in "cd"] == [True, False]


def test_a_host_without_tar_and_one_that_hangs_cannot_tell(here: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither reads as "there is no file"."""
    monkeypatch.setattr(host_files, "ASK", host_files.ASK.replace("tar", "no-such-tar"))
    answers = ask(here, {"a": file("/etc/os-release"), "b": files("/etc/apt")})
    for answer in answers.values():
        assert (answer.ok, answer.err.strip()) == (False, "install no-such-tar on this host")
    with pytest.raises(CannotTell, match="install no-such-tar"):
        answers["a"].file()
    late = host_files.divide({"a": file("/a"), "b": files("/b")}, Answer((), 124, "", ""))
    assert [answer.timed_out for answer in late.values()] == [True, True]


def test_an_archive_that_was_cut_off_has_what_came_whole(tmp_path: Path) -> None:
    """At any byte: no file is ever a part of itself."""
    for name in "abc":
        (tmp_path / name).write_text(name * 700)
    archive = tmp_path.parent / f"{tmp_path.name}.tar"
    subprocess.run(["tar", "-c", "-b", "1", "-P", "-f", archive, tmp_path], check=True)
    whole = archive.read_bytes()
    for length in range(0, len(whole), 97):
        for path, kept in host_files.read(whole[:length])[0].items():
            assert kept.text == path[-1] * 700
