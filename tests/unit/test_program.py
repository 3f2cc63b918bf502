"""What the programs say of a wrong word, and how they help with right ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpudock.config import ROOT
from tests.conftest import program


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `./inv …` or `./fab …` in the checkout."""
    return subprocess.run([f"./{words[0]}", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inv", "stup"], "There is no task stup. Did you mean setup? `inv --list` shows all.\n"),
        (["inv", "xyzzy"], "There is no task xyzzy. `inv --list` shows all.\n"),
        (["inv", "toolkit"], "toolkit is a group of tasks: toolkit.channel, "),
        (["inv", "--help", "stup"], "There is no task stup. Did you mean setup?"),
        (["inv", "--list", "toolki"], "There is no group of tasks toolki. Did you mean toolkit?\n"),
        (["fab", "-H", "gpu01", "tolkit.install"], "Did you mean toolkit.install?"),
        (["fab", "-H"], "The option -H needs a value.\n"),
        (["inv", "doctor", "", "--jsn"], "doctor has no option --jsn. Did you mean --json?\n"),
        (["inv", "setup", "--jsn"], "setup has no option --jsn. Did you mean --json?\n"),
        (["inv", "setup", "--set"], "The option --set needs a value.\n"),
        (["inv", "setup", "--set", "ssh.port", "22"], "--set ssh.port 22: should be --set ssh.port=22, in one word.\n"),
        (["inv", "--dry-run", "setup"], "--dry-run belongs behind the task, for example: inv setup --dry-run\n"),
        (["fab", "--canary=2", "setup"], "--canary belongs behind the task, for example: fab setup --canary=N\n"),
        (["fab", "status", "@train"], "@train names hosts: ./fab -H @train status\n"),
        (["inv", "--config=/none", "config"], "--config /none: there is no such file. It is Invoke's"),
        (["inv", "stack.logs", "--lines=abc"], "'abc': should be a whole number.\n"),
        (["fab", "-t", "abc", "-H", "gpu01", "status"], "'abc': should be a whole number.\n"),
        (["fab", "-H", "gpu[1-2", "status"], "-H gpu[1-2: a range is written gpu[01-16]"),
        (["fab", "-H", "gpu01", "-S", "/", "status"], "/: cannot be read: "),
        (["fab", "-H", "gpu01", "-i", "/none", "status"], "-i /none: there is no such file.\n"),
        (["inv", "config", "--set", "stack.name=\udcc4\udce3"], "stack.name: is not in UTF-8."),
        (["inv", "setup", "-H", "gpu01"], "Servers are for fab: ./fab -H NAME setup\n"),
    ],
)
def test_a_wrong_word_is_usage_with_what_was_probably_meant(words: Sequence[str], said: str) -> None:
    """A misspelt task, group or option, or one in the wrong place, ends with code 2 before anything is touched."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize("option", ["--prompt-for-sudo-password", "--prompt-for-passphrase"])
def test_a_password_that_nobody_can_be_asked_for_is_usage(option: str) -> None:
    """In CI there is neither a terminal nor an answer: that is said, without a traceback."""
    done = program([str(ROOT / "fab"), "-H", "gpu01", option, "status"])
    assert (done.code, "asks at a terminal" in done.err, "Traceback" in done.err) == (2, True, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit", "--last=x"], "--last x: should be a whole number, 1 or more."),
        (["ssh.password"], "ssh.passwords is off: only keys log in."),
    ],
)
def test_a_task_that_finds_itself_wrong_ends_as_any_other(words: Sequence[str], said: str) -> None:
    """A row of its own and the summary, which every run with --json ends with; code 2."""
    done = program([str(ROOT / "inv"), *words, "--json"])
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, rows[0]["status"], rows[-1]["summary"]["failed"]) == (2, "failed", 1)
    assert said in rows[0]["error"]


@pytest.mark.parametrize(
    ("words", "code"), [(["stup"], 2), (["jupyter.url", "--set", "stack.name=nobody"], 1), (["--list"], 0)]
)
def test_nobody_who_reads_makes_no_success(words: Sequence[str], code: int) -> None:
    """The exit code is right where neither output nor errors have a reader any more."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([str(ROOT / "inv"), *words], stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == code


def test_without_a_task_the_tasks_are_shown() -> None:
    """Who types the program's name alone sees what there is to type."""
    done = run("inv")
    assert (done.returncode, "Usage: inv TASK" in done.stdout, "toolkit.install" in done.stdout) == (0, True, True)


def test_the_help_of_a_task_fits_a_terminal_and_names_values() -> None:
    """No line is longer than 80 letters, and numbers are not called strings."""
    done = run("inv", "--help", "doctor")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "code 4 if an error is found." in done.stdout
    for option in ("--canary=N", "--max-failures=N", "--set=KEY=VALUE"):
        assert option in done.stdout


@pytest.mark.parametrize("name", ["inv", "fab"])
def test_words_are_completed_for_the_program_as_it_is_called(name: str) -> None:
    """The shell's script calls our path, as `inv` is not on PATH, and options of a task are found behind `./inv`."""
    script = run(name, "--print-completion-script", "bash").stdout
    assert f"`{ROOT}/{name} --complete -- " in script
    words = f"./{name} stack.up --dr"
    typed = f"COMP_WORDS=({words}); _complete_{name} ./{name} --dr; echo ${{COMPREPLY[@]}}"
    assert program(["bash", "-c", f"{script}\n{typed}"]).out == "--dry-run\n"


def test_a_user_without_name_and_home_works_all_the_same() -> None:
    """A user id that the machine does not know, as in containers of CI: hosts are gone to, and no traceback is printed."""
    nobody = "import pwd, runpy; pwd.getpwuid = lambda uid: {}[uid]; runpy.run_path('.', run_name='__main__')"
    lacking = ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME")
    environ = {name: value for name, value in os.environ.items() if name not in lacking}
    argv = [sys.executable, "-c", nobody, "fab", "-H", "127.0.0.1:1", "status"]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**environ, "GPUDOCK_FLEET__CONNECT_ATTEMPTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert "127.0.0.1:1: cannot be reached" in done.stderr


def test_ctrl_c_while_the_program_is_loaded_is_no_traceback(tmp_path: Path) -> None:
    """Who stops it at once gets the code of a stop and nothing to read."""
    (tmp_path / "invoke.py").write_text("raise KeyboardInterrupt\n")
    argv = [sys.executable, str(ROOT), "inv", "--list"]
    done = program(argv, environ={"PYTHONPATH": str(tmp_path)})
    assert (done.code, done.out, done.err) == (1, "", "")
