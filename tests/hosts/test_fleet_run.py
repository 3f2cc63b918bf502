"""A command line on many hosts: bastion, passwords, canary, a user's own tasks, Ctrl-C, and what a terminal shows."""

from __future__ import annotations

import codecs
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gpudock.config import ROOT
from tests import fleet, testbed
from tests.engine import docker
from tests.fleet import PROJECT, Fleet
from tests.waiting import PATIENCE, ended, until, until_said

BOTH = ["first", "second"]


def test_a_bastion_is_opened_once_for_all_behind_it(three: Fleet) -> None:
    """Two hosts that only the bastion reaches: both are served, over a single login on the bastion."""
    blocks = three.config.read_text().split("\n\n")
    for index, name in ((1, "gpu02"), (2, "gpu03")):
        inside = docker(
            "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", three.hosts[name].name
        ).strip()  # fmt: skip
        blocks[index] = re.sub(
            r"HostName .*\n  Port .*", f"HostName {inside}\n  Port 22\n  ProxyJump gpu01", blocks[index]
        )
    three.config.write_text("\n\n".join(blocks))
    three.hosts["gpu01"].sh(": >/var/log/sshd.log")
    code, _, err = three.run("mark.make", "-H", "gpu02,gpu03")
    assert code == 0, err
    assert three.marks() == {"gpu01": [], "gpu02": BOTH, "gpu03": BOTH}
    assert three.hosts["gpu01"].sh("grep -c Accepted /var/log/sshd.log").strip() == "1"
    three.config.write_text(three.config.read_text().replace(f"Port {three.hosts['gpu01'].port}", "Port 9"))
    code, _, err = three.run("mark.make", "-H", "gpu02,gpu03", environ={"GPUDOCK_FLEET__CONNECT_ATTEMPTS": "1"})
    assert (code, err.count("the bastion root@127.0.0.1:9: cannot be reached")) == (3, 2)


def test_the_login_password_is_given_once(three: Fleet) -> None:
    """Hosts without our key take the password of GPUDOCK_LOGIN_PASSWORD; a wrong one is explained and not tried again."""
    three.connect_as("ask")
    three.config.write_text(re.sub(r" *IdentityFile.*\n", "", three.config.read_text()))
    passwords = {"GPUDOCK_LOGIN_PASSWORD": "test-sudo-password", "GPUDOCK_SUDO_PASSWORD": "test-sudo-password"}
    assert three.run("mark.make", environ=passwords)[0] == 0
    code, _, err = three.run("mark.make", environ={**passwords, "GPUDOCK_LOGIN_PASSWORD": "wrong"})
    assert (code, err.count("no key or password was accepted"), "wrong" in err) == (3, 3, False)


def test_the_agents_right_key_is_tried_first(three: Fleet, tmp_path: Path) -> None:
    """A server hangs up after six keys: of an agent with eight others the one counts whose public half ssh_config names."""
    keys = [str(testbed.make_key(tmp_path / f"key{number}")) for number in range(8)]
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
    environ = {"SSH_AUTH_SOCK": str(tmp_path / "agent")}
    key = three.hosts["gpu01"].key
    try:
        until((tmp_path / "agent").is_socket)
        subprocess.run(["ssh-add", "-q", *keys, str(key)], env={**os.environ, **environ}, check=True)
        three.config.write_text(three.config.read_text().replace(str(key), f"{key}.pub"))
        code, _, err = three.run("mark.make", environ=environ)
        assert code == 0, err
        others = re.sub(" *Identit.*\n", "", three.config.read_text())
        three.config.write_text(others)
        code, _, err = three.run("mark.make", "-H", "gpu01", environ=environ)
        assert (code, "no key or password was accepted" in err) == (3, True), err
    finally:
        agent.kill()
        agent.wait()


def test_hosts_are_more_than_files_may_be_open(three: Fleet) -> None:
    """Each host's connection ends with its work: 40 hosts, 4 at a time, with 32 open files; without a key it says so."""
    block = three.config.read_text().partition("\n\n")[0]
    others = re.sub(r" *IdentityFile.*\n", "", block.replace("gpu01", "refused*"))
    three.config.write_text(f"{block.replace('gpu01', 'open*')}\n\n{others}\n")
    three.hosts["gpu01"].write("/srv/name", "here")
    running = three.start("plain", "-H", "refused[1-3],open[01-37]", environ={"GPUDOCK_FLEET__PARALLEL": "4"})
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (32, 32))
    code, out, err = ended(running)
    assert (code, out.count("here"), err.count("no key or password was accepted")) == (3, 37, 3), err


def test_the_canary_fails_and_nothing_else_is_touched(three: Fleet) -> None:
    """The first host fails: the others are not begun, and said so; mended, all of them are done."""
    three.hosts["gpu01"].write("/etc/slow", "no number")
    code, out, _ = three.run("mark.make", "--canary", "1")
    assert (code, out.count("not begun, as the canary failed on gpu01")) == (1, 2)
    assert three.marks()["gpu02"] == three.marks()["gpu03"] == []
    three.hosts["gpu01"].write("/etc/slow", "0")
    assert three.run("mark.make", "--canary", "1")[0] == 0
    assert three.marks() == dict.fromkeys(three.hosts, BOTH)


def test_too_many_failures_end_it(three: Fleet) -> None:
    """One host at a time: after the second failure the third does not begin, and a number that is none is code 2."""
    for name in ("gpu01", "gpu02"):
        three.hosts[name].write("/etc/slow", "no number")
    one = {"GPUDOCK_FLEET__PARALLEL": "1"}
    code, out, _ = three.run("mark.make", "--max-failures", "1", environ=one)
    assert (code, "1 of 3 hosts not begun" in out, three.marks()["gpu03"]) == (1, True, [])
    code, _, err = three.run("mark.make", "--max-failures", "few")
    assert (code, "--max-failures few" in err) == (2, True)


def test_a_users_own_plain_task_runs_side_by_side(three: Fleet) -> None:
    """What it raises on one host does not stop the others, and it takes the rollout's options."""
    for name in ("gpu01", "gpu03"):
        three.hosts[name].write("/srv/name", f"{name}\n")
    code, out, err = three.run("plain")
    assert (code, out.splitlines()[:2]) in ((1, ["gpu01", "gpu03"]), (1, ["gpu03", "gpu01"]))
    assert "gpu02 plain: failed. plain ended with UnexpectedExit" in err
    assert "Traceback" not in err
    code, out, _ = three.run("plain", "--retry")
    assert (code, "gpu01" in out) == (1, False)


def test_ctrl_c_on_many_hosts(three: Fleet) -> None:
    """Once: each host ends the action it is at and begins no other; the code is 1, with a summary; a rerun finishes."""
    fleet.hold(*three.hosts.values())
    running = three.start("mark.make")
    for host in three.hosts.values():
        fleet.until_begun(host)
    running.send_signal(signal.SIGINT)
    until_said(running, "Ctrl-C again stops at once")
    fleet.let_go(*three.hosts.values())
    code, out, err = ended(running)
    assert code == 1
    assert three.marks() == dict.fromkeys(three.hosts, BOTH[:1])
    assert err.count("stopped before it would make the second mark") == 3
    assert "3 hosts: 3 failed" in out
    assert three.run("mark.make")[0] == 0
    assert three.marks() == dict.fromkeys(three.hosts, BOTH)


def test_a_terminal_shows_a_row_a_host_and_then_one_line(three: Fleet) -> None:
    """While it runs each host has a row with its action; at the end a line, a failure its reason, and a table."""
    three.hosts["gpu03"].write("/etc/slow", "no number")
    held = three.hosts["gpu01"], three.hosts["gpu02"]
    fleet.hold(*held)
    row = r"● gpu01 mark.make: make the first mark … \d+s +making"
    code, shown = on_a_terminal(three, "mark.make", shows=row, then=lambda terminal: fleet.let_go(*held))
    text = plain(shown)
    assert code == 1
    assert re.search(row, text)
    assert "gpu01: 1 changed (" in text
    assert "gpu03: 1 failed (" in text
    assert "invalid time interval" in text
    assert "… changed" not in text
    assert "host   changed  ok  skipped  time" in text
    assert shown.rstrip().endswith("s)")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is back


def test_the_sudo_password_is_asked_once_for_all_hosts(three: Fleet) -> None:
    """Three hosts want it: one prompt, one answer, which is shown nowhere."""
    three.connect_as("ask")
    asked = r"sudo password \(asked by "
    code, shown = on_a_terminal(
        three, "mark.make", shows=asked, then=lambda terminal: os.write(terminal, b"test-sudo-password\n")
    )
    assert (code, shown.count("sudo password (asked by "), "test-sudo-password" in shown) == (0, 1, False)
    assert three.marks() == dict.fromkeys(three.hosts, BOTH)


def on_a_terminal(three: Fleet, *words: str, shows: str, then: Callable[[int], object]) -> tuple[int, str]:
    """Run fab on a terminal, and once it shows what fits a pattern do `then`; its exit code and all that it showed."""
    ours, theirs = pty.openpty()
    argv = [str(Path(sys.executable).with_name("fab")), "--search-root", str(PROJECT), "-S", str(three.config)]
    environ = three.environ({"COLUMNS": "150", "LINES": "30", "TERM": "xterm", "NO_COLOR": "1"})
    shown, done = "", False
    with subprocess.Popen(
        [*argv, "-H", "gpu[01-03]", *words], cwd=ROOT, env=environ, stdout=theirs, stderr=theirs, stdin=theirs,
        start_new_session=True,
    ) as running:  # fmt: skip
        os.close(theirs)
        try:
            for piece in _read(ours):
                shown += piece
                if not done and re.search(shows, plain(shown)):
                    done = True
                    then(ours)
        except BaseException:
            running.kill()
            raise
    os.close(ours)
    return running.returncode, shown


def plain(shown: str) -> str:
    """What a terminal shows, without its escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def _read(terminal: int) -> Iterator[str]:
    """What a program prints to its terminal, until it ends."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a piece may end within a letter
    while True:
        assert select.select([terminal], [], [], PATIENCE)[0], "it does not end"
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            return
        yield decoder.decode(piece)
