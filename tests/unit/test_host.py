"""The host adapter on this machine: what holds here holds over SSH, which tests/hosts checks."""

from __future__ import annotations

import gc
import io
import os
import pty
import resource
import secrets
import shutil
import signal
import sys
import tarfile
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

import invoke
import pytest

from gpudock.errors import Unreachable, UsageError
from gpudock.host import WRITE, Host
from gpudock.tree import packed


@pytest.fixture
def here() -> Host:
    """This machine."""
    return Host(invoke.Context(), "localhost")


def test_a_file_is_written_with_mode_in_new_folders(here: Host, tmp_path: Path) -> None:
    """Folders on the way are made, and content and mode are as asked."""
    path = tmp_path / "new" / "file"
    assert here.write(str(path), b"text\n", mode=0o600).code == 0
    assert path.read_bytes() == b"text\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_made_is_readable_whatever_the_umask(here: Host, tmp_path: Path) -> None:
    """On a hardened host root's umask is 077; what a tool makes and the folders of a file are as elsewhere."""
    former = os.umask(0o077)
    try:
        assert here.write(str(tmp_path / "folder/file"), b"", mode=0o600).code == 0
        assert here.do(["mkdir", str(tmp_path / "made")]).code == 0
    finally:
        os.umask(former)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "folder", tmp_path / "folder/file", tmp_path / "made")]
    assert modes == [0o755, 0o600, 0o755]


def test_a_file_that_arrives_in_part_is_not_put_in_place(here: Host, tmp_path: Path) -> None:
    """When the connection dies half-way the former file stays, and nothing is left beside it."""
    path = tmp_path / "file"
    path.write_text("former")
    done = here.do(["sh", "-c", WRITE, "sh", str(path), "1000", "0644", "root:root"], data=b"only a part")
    assert done.code != 0
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(here: Host, tmp_path: Path) -> None:
    """A file that its owner keeps elsewhere is written there, as an editor does it."""
    kept, path = tmp_path / "kept" / "file", tmp_path / "file"
    path.symlink_to(kept)
    for text in (b"new", b"newer"):
        assert here.write(str(path), text).code == 0
        assert (path.readlink(), kept.read_bytes()) == (kept, text)


@pytest.mark.parametrize("refusal", [PermissionError, ProcessLookupError])
def test_silence_is_told_where_the_command_cannot_be_stopped(
    monkeypatch: pytest.MonkeyPatch, refusal: type[OSError]
) -> None:
    """What sudo runs is root's, and a command may end by itself just then: the operator hears of the silence."""

    def refuse(group: int, number: int) -> None:
        kill(group, number)
        raise refusal

    kill = os.killpg
    monkeypatch.setattr(os, "killpg", refuse)
    with pytest.raises(Unreachable, match="no sign of life"):
        Host(invoke.Context(), "here", silence=0.1).do(["sleep", "60"])


def test_what_a_signal_ended_says_so(here: Host) -> None:
    """The code is a shell's for it, also where Python's own would be the -1 of a lost connection; the output names it."""
    done = here.do(["sh", "-c", "echo working; kill -KILL $$"])
    assert (done.code, done.output.splitlines()[0]) == (137, "working")
    assert done.output.endswith("\n(ended by SIGKILL)\n")
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # children of nohup ignore it
    assert here.do(["sh", "-c", "kill -HUP 0"]).code == 129
    signal.signal(signal.SIGHUP, former)


def test_a_tree_replaces_the_former_one(here: Host, tmp_path: Path) -> None:
    """Files that are no longer in the tree are gone, modes are kept, and nobody's name comes along."""
    tree, target = tmp_path / "tree", tmp_path / "target"
    tree.mkdir()
    (tree / "script").write_text("#!/bin/sh\n")
    (tree / "script").chmod(0o755)
    target.mkdir()
    (target / "stale").touch()
    assert here.push(tree, str(target)).code == 0
    assert [path.name for path in target.iterdir()] == ["script"]
    assert (target / "script").stat().st_mode & 0o777 == 0o755


def test_a_clones_umask_does_not_travel(tmp_path: Path) -> None:
    """Whoever cloned it under whatever umask: the same files are the same bytes, as git has them, runnable or not."""
    seen = set()
    for strict in (0, 0o022, 0o077):
        tree = tmp_path / f"{strict:o}"
        (tree / "folder").mkdir(parents=True)
        for name, mode in (("folder/plain", 0o666), ("folder/program", 0o777)):
            (tree / name).write_text(name)
            (tree / name).chmod(mode & ~strict)
        (tree / "folder").chmod(0o777 & ~strict)
        seen.add(packed(tree))
    assert len(seen) == 1
    with tarfile.open(fileobj=io.BytesIO(seen.pop())) as archive:
        assert {entry.name: f"{entry.mode:o}" for entry in archive if "folder" in entry.name} == {
            "./folder": "755", "./folder/plain": "644", "./folder/program": "755",
        }  # fmt: skip


def test_a_pushed_files_time_changes_with_its_content_and_with_nothing_else(here: Host, tmp_path: Path) -> None:
    """BuildKit would take a changed file of the same size and time for the former one."""
    tree, target = tmp_path / "tree", tmp_path / "target"
    tree.mkdir()
    times = []
    for text in ("six==1.17.0", "six==1.16.0", "six==1.17.0"):
        (tree / "lock").write_text(text)
        assert here.push(tree, str(target)).code == 0
        times.append((target / "lock").stat().st_mtime)
    assert times[0] == times[2] != times[1]


def test_secrets_never_stand_in_an_argument(here: Host) -> None:
    """Neither the script nor its environment can be seen in the process list while it runs."""
    look = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
    secret = secrets.token_hex(8)
    done = here.do(["sh", "-c", look], environment={"PROXY": f"http://me:{secret}@proxy"})
    assert "cmdline" in done.output
    assert secret not in done.output


def test_lines_come_as_they_are_printed(here: Host) -> None:
    """Both streams arrive line by line, and a carriage return ends a line as progress bars use it."""
    lines: list[str] = []
    done = here.do(["sh", "-c", "echo a; echo b >&2; printf '1%%\\r2%%'; exit 4"], on_line=lines.append)
    assert (done.code, lines) == (4, ["a", "b", "1%", "2%"])


def test_this_machine_answers_a_program_with_many_open_files(here: Host) -> None:
    """One that is connected to hundreds of hosts has a file of a number that select() does not take."""
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (former[1], former[1]))
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, former)
        while opened.enter_context(open(os.devnull)).fileno() < 1024:
            pass
        assert here.do(["echo", "here"]).output == "here\n"


def test_a_large_input_does_not_stand_still(here: Host) -> None:
    """Megabytes go in while megabytes come out."""
    done = here.do(["cat"], data=b"x" * 5_000_000)
    assert len(done.output) == 5_000_000


def test_a_command_that_does_not_read_its_input_leaves_no_pipe_open(here: Host) -> None:
    """Its end of the pipe is closed at once, and not by the garbage collector at some time."""
    gc.collect()  # what earlier tests have left
    before = os.listdir("/proc/self/fd")
    done = [here.do(["sh", "-c", "exec <&-; exit 3"], data=b"x" * 1_000_000) for _ in range(3)]
    assert ([item.code for item in done], os.listdir("/proc/self/fd")) == ([3, 3, 3], before)


# Two kinds of sudo, without becoming anybody. The translated one speaks German where its user does; sudo-rs 0.2.5 reads
# all there is where it reads the password.
TRANSLATED = """[ "$LC_ALL" = C ] && said='a password is required' || said='Ein Passwort ist notwendig'
[ "$1" != -n ] || { echo "sudo: $said" >&2; exit 1; }
read -r password; [ "$password" = right ] || { echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
shift 5; exec "$@\""""
READS_ON = """[ "$1" != -n ] || { echo "sudo-rs: interactive authentication is required" >&2; exit 1; }
password=$(dd bs=8192 count=1 2>/dev/null | head -n 1); [ "$password" = right ] || exit 1
shift 5; exec "$@\""""


@pytest.mark.parametrize("sudo", [TRANSLATED, READS_ON])
def test_sudo_in_another_language_and_one_that_reads_on(
    here: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sudo: str
) -> None:
    """Both are given the password, and what comes behind it on standard input is the command's, whole."""
    for name, script in (("sudo", sudo), ("id", "echo 1000")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("GPUDOCK_SUDO_PASSWORD", "right")
    assert here.ask("echo looked") == b"looked\n"
    assert here.do(["cat"], data=b"x" * 100_000).output == "x" * 100_000
    with here.socket(["cat"]) as stream:
        stream.sendall(b"answer\n")
        assert stream.recv(100) == b"answer\n"


def test_an_interactive_program_s_exit_code_is_returned() -> None:
    """A shell that the operator leaves with `exit 3` ends the task with 3, on a terminal."""
    script = (
        "import invoke; from gpudock.host import Host; "
        "raise SystemExit(Host(invoke.Context(), 'here').interact(['sh', '-c', 'exit 3']))"
    )
    assert os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-c", script])) == 3


def test_options_of_the_operators_shell_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SHELLOPTS that is exported reaches every sh that is bash, as on RHEL: its errexit would end a question."""
    if not (bash := shutil.which("bash")):
        pytest.skip("this machine has no bash")
    (tmp_path / "sh").symlink_to(bash)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SHELLOPTS", "errexit:nounset:noglob")
    asked = Host(invoke.Context(), "here").ask(
        'false; (false; echo "$unset_before"); echo /pro*; sh -c "false; echo end"'
    )
    assert asked == b"\n/proc\nend\n"


def test_without_a_terminal_no_interactive_program_begins(here: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI, or with a pipe for its input, it would wait for an end that does not come."""
    monkeypatch.setattr(sys, "stdin", StringIO())
    with pytest.raises(UsageError, match="at a terminal only"):
        here.interact(["sh"])
