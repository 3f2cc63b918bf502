"""A command line on its hosts: order, exit codes, Ctrl-C, a reader that goes away."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from gpudock.config import ROOT
from tests.conftest import program
from tests.waiting import ended, until, until_said

# Two actions of a step, each leaving a file; run the way `inv` runs tasks, on this machine.
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
import invoke
from gpudock.actions import shell
from gpudock.command import step_command
from gpudock.step import Step
from gpudock.questions import shell as question
from gpudock.runner import LOCAL, Target, run

folder = sys.argv[1]
def plan(settings, names):
    script = 'touch "$2"; until [ -e "$3" ]; do sleep 0.05; done; touch "$1"'
    return [shell("make " + name, script, folder + "/" + name, folder + "-begun", folder + "-go") for name in ("one", "two") if name not in names]
step = Step("test.step", "", lambda settings: {{"files": question('ls "$1"', folder)}}, lambda settings, answers: answers["files"].out.split(), plan)
program = invoke.Program(namespace=invoke.Collection(step=step_command(step, name="step", summary="")))
program.executor_class = __import__("gpudock.runner").runner.LocalExecutor
program.run(["x", "step", *sys.argv[2:]])
"""


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Run the step in a process of its own."""
    argv = [sys.executable, "-c", SCRIPT.format(root=str(ROOT)), str(folder), *words]
    beside = folder.parent / f"{folder.name}-host"  # not this machine's own lock and log
    environ = {**os.environ, "GPUDOCK_HOST__LOCK": str(beside), "GPUDOCK_HOST__AUDIT": str(beside / "audit.jsonl")}
    return subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until_it_works(folder: Path) -> None:
    """Wait until the first action runs, which ends when it is let go."""
    until(Path(f"{folder}-begun").exists)


def let_go(folder: Path) -> None:
    """Let the running action end, and those after it."""
    Path(f"{folder}-go").touch()


def made(folder: Path) -> list[str]:
    """The actions that have been done."""
    return sorted(path.name for path in folder.iterdir())


def test_ctrl_c_lets_the_running_action_end_and_a_rerun_does_the_rest(tmp_path: Path) -> None:
    """The first action ends, the second never begins, the code is 1; the same command again finishes."""
    running = start(tmp_path)
    wait_until_it_works(tmp_path)
    running.send_signal(signal.SIGINT)
    said = until_said(running, "Ctrl-C again stops at once")
    let_go(tmp_path)
    code, out, err = ended(running)
    assert (code, made(tmp_path)) == (1, ["one"])
    assert "make one … changed" in out
    assert "test.step: stopped before it would make two. The same command goes on from there.\n" in said + err
    assert "Traceback" not in said + err
    code, out, _ = ended(start(tmp_path))
    assert (code, "make two … changed" in out) == (0, True)


def test_ctrl_c_twice_stops_at_once(tmp_path: Path) -> None:
    """The second one does not wait for the running action."""
    running = start(tmp_path)
    wait_until_it_works(tmp_path)
    running.send_signal(signal.SIGINT)
    until_said(running, "Ctrl-C again stops at once")
    running.send_signal(signal.SIGINT)
    code, _, err = ended(running)
    assert (code, made(tmp_path)) == (1, [])
    assert ("Stopped." in err, "Traceback" in err) == (True, False)
    let_go(tmp_path)


ASKING = """
import sys
sys.path.insert(0, {root!r})
import invoke
from gpudock.command import command
from gpudock.credentials import secret
from gpudock.runner import LocalExecutor

@command()
def ask(job):
    "Ask."
    print("it is", repr(secret("NOWHERE", prompt="password: ")))

program = invoke.Program(namespace=invoke.Collection(ask))
program.executor_class = LocalExecutor
program.run(["x", "ask"])
"""


@pytest.mark.parametrize(("keys", "code", "said"), [(b"\x03", 1, "Stopped."), (b"\x04", 0, "it is None")])
def test_who_is_asked_for_a_password_may_leave(keys: bytes, code: int, said: str) -> None:
    """Ctrl-C at the prompt stops at once, Ctrl-D is no answer; neither leaves a terminal that shows nothing."""
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, [sys.executable, "-c", ASKING.format(root=str(ROOT))])  # noqa: S606
    shown = _read_until(terminal, b"password: ")
    until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO)
    os.write(terminal, keys)
    shown += _read_until(terminal, said.encode())
    assert bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == code
    os.close(terminal)
    assert "Traceback" not in shown


def _read_until(terminal: int, word: bytes) -> str:
    shown = b""
    while word not in shown:
        shown += os.read(terminal, 4096)
    return shown.decode()


@pytest.mark.parametrize("word", ["--dry-run", "--dry", "-R"])
def test_a_dry_run_does_nothing(tmp_path: Path, word: str) -> None:
    """It says what would be done, and nothing is; Invoke's own --dry means the same."""
    _, out, _ = ended(start(tmp_path, word))
    assert "would make one" in out
    assert made(tmp_path) == []


@pytest.mark.parametrize("words", [["config"], ["status"], ["--list"], []])
def test_a_reader_that_goes_away_is_no_error(words: list[str]) -> None:
    """`inv config | head -1` ends quietly."""
    line = f"./inv {' '.join(words)} | head -n 1"
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S602
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == 1


def test_a_subject_stands_for_its_option() -> None:
    """`doctor mirror` is `doctor --rule mirror`, a task behind doctor stays a task, and a wrong rule is code 2."""
    done = program([str(ROOT / "inv"), "doctor", "mirror", "config"])
    assert "fine: 1 of 1 rules" in done.out
    assert "stack.name" in done.out
    wrong = program([str(ROOT / "inv"), "doctor", "miror"])
    assert (wrong.code, "Did you mean mirror?" in wrong.err) == (2, True)


def test_yes_is_consent_to_stop_containers_for_this_command_alone() -> None:
    """--yes is engine.stop_containers for one command; without it nothing that runs is stopped."""
    for words, value in ((["--yes"], "True"), ([], "False")):
        done = program([str(ROOT / "inv"), "config", "--json", *words])
        assert json.loads(done.out.splitlines()[0])["facts"]["engine.stop_containers"]["value"] == value
