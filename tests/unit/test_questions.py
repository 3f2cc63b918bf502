"""Questions: many in one shell, each answer apart."""

from __future__ import annotations

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

import invoke
import pytest

from gpudock import questions
from gpudock.answers import Answer
from gpudock.errors import CannotTell
from gpudock.host import Host
from gpudock.questions import ask, file, shell
from tests.waiting import until


@pytest.fixture
def here() -> Host:
    """This machine."""
    return Host(invoke.Context(), "localhost")


def test_answers_keep_apart_output_errors_and_code(here: Host) -> None:
    """Each question's output, errors and exit code come back as they were, newlines and all."""
    answers = ask(
        here,
        {"both": shell("echo out; echo err >&2; exit 3"), "none": ("true",), "lines": shell("printf '\\na\\n\\nb'")},
    )
    assert (answers["both"].out, answers["both"].err, answers["both"].code) == ("out\n", "err\n", 3)
    assert (answers["none"].out, answers["none"].err, answers["none"].code) == ("", "", 0)
    assert answers["lines"].out == "\na\n\nb"


def test_questions_are_answered_side_by_side(here: Host, tmp_path: Path) -> None:
    """Ten questions, each of which waits until all ten have begun, are answered."""
    meet = 'touch "$1/$2"; until [ "$(ls "$1" | wc -l)" = 10 ]; do sleep 0.1; done'
    answers = ask(here, {str(number): shell(meet, str(tmp_path), str(number)) for number in range(10)})
    assert [answer.code for answer in answers.values()] == [0] * 10


def test_arguments_are_quoted(here: Host) -> None:
    """What stands in an argument is never run."""
    hostile = "$(touch /tmp/injected); 'x' \"y\" `id`"
    assert ask(here, {"x": shell('printf %s "$1"', hostile)})["x"].out == hostile


def test_the_kernels_own_files_have_their_text(here: Host) -> None:
    """They say that they are empty: doctor took a driver that is loaded for one without a version."""
    answers = ask(here, {"version": file("/proc/version"), "none": file("/proc/driver/none")})
    assert answers["version"].file() == Path("/proc/version").read_text()
    assert answers["none"].file() is None


def test_absent_is_not_unreadable(here: Host) -> None:
    """A file that is not there reads as None; one that cannot be read raises CannotTell."""
    answers = ask(here, {"absent": file("/nonexistent"), "folder": file("/etc")})
    assert answers["absent"].file() is None
    with pytest.raises(CannotTell, match="Is a directory"):
        answers["folder"].file()


def test_output_that_is_no_json_cannot_tell() -> None:
    """A tool that prints something else than JSON is an error that names the tool."""
    with pytest.raises(CannotTell, match="docker info"):
        Answer(("docker", "info"), 0, "Segmentation fault", "").json()


def test_a_question_that_hangs_is_ended_and_the_others_are_answered(
    here: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is late ends with timeout's code, what it started with it; the rest is as ever, and nothing waits for the limit."""
    monkeypatch.setattr(questions, "TIME_LIMIT", 3)
    length = f"4170.{os.getpid()}"  # seconds; no other test run's
    started = time.monotonic()
    answers = ask(
        here, {"hangs": shell(f"sleep {length} | cat; echo never"), "plain": ("sleep", length), "fine": ("echo", "x")}
    )
    assert (answers["hangs"].code, answers["plain"].code, answers["fine"].code) == (124, 124, 0)
    assert (answers["hangs"].out, answers["fine"].out) == ("", "x\n")
    assert 3 <= time.monotonic() - started < 25  # 3.1 usually
    until(lambda: ask(here, {"left": shell(f"pgrep -f '[s]leep {length}'")})["left"].out == "")


def test_a_question_may_exit_exec_and_change_folder(here: Host) -> None:
    """Questions share a shell and still do not touch each other."""
    answers = ask(here, {"cd": shell("cd /; exit 4"), "exec": shell("exec pwd"), "missing": ("no-such-program",)})
    assert (answers["cd"].code, answers["exec"].ok, answers["missing"].not_found) == (4, True, True)


@pytest.mark.parametrize("shell_of_host", ["dash", "bash"])
def test_hosts_by_the_dozen_are_answered_and_nothing_is_left_running(
    here: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell_of_host: str
) -> None:
    """Whatever the host's sh, and however late its processes come to run: every answer comes, and the clock ends with them."""
    (tmp_path / "sh").symlink_to(str(which(shell_of_host)))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    limit = 4_000_000_000 + os.getpid()  # seconds; no other test run's
    monkeypatch.setattr(questions, "TIME_LIMIT", limit)
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda number: ask(here, {"echo": ("echo", str(number))})["echo"].out, range(400)))
    assert said == [f"{number}\n" for number in range(400)]
    monkeypatch.setattr(questions, "TIME_LIMIT", 30)
    assert ask(here, {"left": shell(f"pgrep -fc '[s]leep {limit}'")})["left"].out == "0\n"


@pytest.mark.parametrize("shell_of_host", ["dash", "bash"])
def test_a_connection_that_is_gone_leaves_nothing_on_the_host(tmp_path: Path, shell_of_host: str) -> None:
    """Where nobody is left to hear the answers, their folder goes all the same."""
    folder = f'folder=$(mktemp -d -p "{tmp_path}")'
    frame = re.sub(r"folder=.*?\|\| exit 1", f"{folder} || exit 1", questions.script({"x": ("echo", "x")}, "--"))
    running = subprocess.Popen([shell_of_host, "-c", frame], stdout=subprocess.PIPE)
    assert running.stdout
    running.stdout.close()
    running.wait()
    assert list(tmp_path.iterdir()) == []
