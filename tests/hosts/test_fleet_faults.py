"""What can go wrong on one host: the others finish, code and summary are right, and the same command again converges."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fabric
import pytest

from gpudock.errors import Unreachable
from gpudock.failures import BY_SIGNAL
from gpudock.host import Host
from tests import fleet, testbed
from tests.engine import docker
from tests.fleet import Fleet
from tests.testbed import TestHost
from tests.waiting import PATIENCE, ended, until, until_printed

BOTH = ["first", "second"]
QUICK = {"GPUDOCK_FLEET__LOST_AFTER": "6"}  # the default is 60


@pytest.fixture
def ill(three: Fleet) -> TestHost:
    """The machine that something goes wrong on."""
    return three.hosts["gpu02"]


def check(three: Fleet, done: tuple[int, str, str], code: int, said: str) -> None:
    """The run ended with the code and said why for the ill host alone; the others have their marks."""
    assert done[0] == code, done
    assert said in done[2]
    assert "Traceback" not in done[1] + done[2]
    assert "gpu01 mark.make: failed" not in done[2]
    assert "gpu03 mark.make: failed" not in done[2]
    marks = three.marks()
    assert (marks["gpu01"], marks["gpu03"]) == (BOTH, BOTH)
    assert "3 hosts: 2 changed, 1 failed" in done[1]


def converges(three: Fleet, *words: str) -> None:
    """The same command again finishes, and the one after that finds nothing to do."""
    code, out, err = three.run("mark.make", *words)
    assert code == 0, out + err
    assert three.marks() == dict.fromkeys(three.hosts, BOTH)
    assert "nothing to change" in three.run("mark.make")[1]


def test_a_host_that_is_down(three: Fleet, ill: TestHost) -> None:
    """Code 3; up again, --retry goes to it alone."""
    docker("stop", "-t", "0", ill.name)
    done = three.run("mark.make")
    docker("start", ill.name)
    check_down = "cannot be reached"
    ill.port = testbed.at(ill.name, ill.key).port
    three.connect_as("root")
    ill.until_listening(22)
    check(three, done, 3, check_down)
    assert "1 of 3 hosts unreachable" in done[1]
    code, out, err = three.run("mark.make", "--retry")
    assert (code, "gpu02 mark.make" in out, "gpu01" in out) == (0, True, False), err
    assert three.run("mark.make", "--retry")[2].strip() == "Nothing to do again: this failed on no host last time."
    converges(three)


@pytest.mark.parametrize(
    ("killed", "code", "said"),
    [
        ("sshd-session", 3, ["gpu02: the connection is gone"]),
        ("-f '[/]etc/held'", 1, ["(ended by SIGKILL)", "out of memory"]),
    ],
)
def test_what_is_killed_in_the_middle(three: Fleet, ill: TestHost, killed: str, code: int, said: list[str]) -> None:
    """An sshd: code 3, the connection is gone. A command: code 1, memory is the likely cause, and the host answers on."""
    fleet.hold(ill)
    running = three.start("mark.make")
    fleet.until_begun(ill)
    ill.sh(f"pkill -9 {killed}")
    done = ended(running)
    fleet.let_go(ill)
    check(three, done, code, said[0])
    assert all(words in done[2] for words in said)
    converges(three, "--wait")


def allow_sessions(host: TestHost, number: int) -> None:
    """Have sshd allow so many sessions on a connection, from now on."""
    listened = "grep -c 'Server listening' /var/log/sshd.log"
    before = host.sh(listened)
    host.sh(f"sed -i 's/MaxSessions .*/MaxSessions {number}/' /etc/ssh/sshd_config.d/test.conf; pkill -HUP -o sshd")
    until(lambda: host.sh(listened) != before)


def test_an_sshd_that_allows_one_session(three: Fleet, ill: TestHost) -> None:
    """The lock and a command are two sessions of one connection: the setting is named, and nothing has begun."""
    allow_sessions(ill, 1)
    check(three, three.run("mark.make"), 3, "gpu02: its sshd allows no second session on a connection. Set MaxSessions")
    assert three.marks()["gpu02"] == []
    allow_sessions(ill, 100)
    converges(three)


@pytest.mark.parametrize("user", ["root", "ops"])
def test_a_killed_command_without_a_shell_around_it(three: Fleet, ill: TestHost, user: str) -> None:
    """The SSH session ends without an exit code, for root and by sudo: killed, if the connection is still there."""
    three.connect_as(user)
    config = fabric.Config(runtime_ssh_path=str(three.config))
    with fabric.Connection("gpu02", config=config) as connection, ThreadPoolExecutor() as pool:
        host = Host(connection, "gpu02")
        for killed in ("-xf 'sleep 4717'", "sshd-session"):
            running = pool.submit(host.do, ("sleep", "4717"))
            until(lambda: ill.sh("pgrep -xf 'sleep 4717'; :"))
            ill.sh(f"pkill -9 {killed}")
            if "sleep" in killed:
                done = running.result(PATIENCE)
                assert (done.code, done.output) == (BY_SIGNAL, "\n(ended by a signal)\n")
                assert host.do(("echo", "here")).output == "here\n"
            else:
                assert isinstance(running.exception(PATIENCE), Unreachable)
    ill.sh("pkill -9 -xf 'sleep 4717'")


def test_a_network_that_drops_packets_in_the_middle(three: Fleet, ill: TestHost) -> None:
    """A host that is silent, not refusing, is given up after fleet.lost_after, alone, and its lock is free again."""
    fleet.hold(ill)
    running = three.start("mark.make", environ=QUICK)
    fleet.until_begun(ill)
    ill.sh("iptables -I INPUT -p tcp --dport 22 -j DROP; iptables -I OUTPUT -p tcp --sport 22 -j DROP")
    started = time.monotonic()
    done = ended(running)
    took = time.monotonic() - started
    ill.sh("iptables -F")
    fleet.let_go(ill)
    check(three, done, 3, "gpu02: the connection is gone")
    assert took < 45  # 8 usually, and more than 60 by the default
    converges(three, "--wait")


def test_a_full_disk(three: Fleet, ill: TestHost) -> None:
    """Code 1, the tool's words and what to do, and where all of it is; with room again the rest is done."""
    ill.sh("rm -rf /small/*; mkdir /small/marks; ln -s /small/marks /srv/marks; dd if=/dev/zero of=/small/fill 2>&1; :")
    done = three.run("mark.make")
    check(three, done, 1, "No space left on device")
    assert "The disk is full" in done[2]
    log = next(line for line in done[2].splitlines() if "All it printed is in" in line).split()[-1].rstrip(".")
    assert "making first" in Path(log).read_text()
    ill.sh("rm /small/fill")
    converges(three)


def test_a_wrong_sudo_password(three: Fleet, ill: TestHost) -> None:
    """Code 1 for the host where sudo does not take it, and it is in no log."""
    three.connect_as("ask")
    ill.sh("echo ask:another | chpasswd")
    environ = {"GPUDOCK_SUDO_PASSWORD": "test-sudo-password"}
    done = three.run("mark.make", environ=environ)
    check(three, done, 1, "sudo did not take the password")
    assert "test-sudo-password" not in done[1] + done[2]
    ill.sh("echo ask:test-sudo-password | chpasswd")
    assert three.run("mark.make", environ=environ)[0] == 0
    three.connect_as("root")
    converges(three)


def test_a_changed_host_key(three: Fleet, ill: TestHost) -> None:
    """Code 3 with the way to accept the new key, which is not accepted by itself."""
    assert three.run("mark.make", "--dry-run")[0] == 0
    listening = "grep -c 'Server listening on 0.0.0.0' /var/log/sshd.log"
    before = int(ill.sh(listening))
    ill.sh("rm /etc/ssh/ssh_host_*; ssh-keygen -A; pkill -HUP -o sshd")
    until(lambda: int(ill.sh(listening)) > before)
    check(three, three.run("mark.make"), 3, "its host key has changed")
    known = three.config.parent / "known_hosts"
    known.write_text(
        "".join(line for line in known.read_text().splitlines(keepends=True) if f":{ill.port} " not in line)
    )
    converges(three)


def test_a_slow_host_holds_nobody_up(three: Fleet, ill: TestHost) -> None:
    """While one host is still at its first action the others are done and told, and the whole ends when that one does."""
    fleet.hold(ill)
    running = three.start("mark.make", "--json")
    first = until_printed(running, '"gpu01"', '"gpu03"')
    assert three.marks() == {"gpu01": BOTH, "gpu02": [], "gpu03": BOTH}
    fleet.let_go(ill)
    code, out, _ = ended(running)
    assert '"gpu02"' not in first
    rows = [json.loads(line) for line in (first + out).splitlines()]
    assert [row.get("host") for row in rows[2:]] == ["gpu02", None]
    summary = rows[-1]["summary"]
    assert (code, summary["changed"], summary["hosts"]) == (0, 3, 3)
    converges(three)


def test_a_host_that_comes_up_late(three: Fleet, ill: TestHost) -> None:
    """A refused connection is tried again with a pause, so a host in the middle of a restart is served."""
    ill.sh("iptables -I INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset")
    running = three.start("mark.make", environ={"GPUDOCK_FLEET__CONNECT_ATTEMPTS": "8"})
    until(lambda: int(ill.sh("iptables -nvxL INPUT | tail -n 1").split()[0]) > 0)
    ill.sh("iptables -F")
    assert (ended(running)[0], three.marks()) == (0, dict.fromkeys(three.hosts, BOTH))


def test_thirty_two_hosts_with_three_failing(engine: None, key: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """29 finish, the code is the worst of the three, the table names them, and --retry goes to them alone."""
    with fleet.light(32, key, tmp_path_factory.mktemp("many")) as many:
        down, full, odd = (many.hosts[name] for name in ("gpu05", "gpu17", "gpu32"))
        down.sh("iptables -I INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset")
        full.sh("ln -s /small/marks /srv/marks; mkdir /small/marks; dd if=/dev/zero of=/small/fill 2>&1; :")
        odd.write("/etc/slow", "no number")
        code, out, err = many.run("mark.make", "-H", "gpu[01-32]")
        assert (code, "Traceback" in err) == (3, False), err
        assert "32 hosts: 29 changed, 3 failed, 1 of 32 hosts unreachable" in out
        assert [line.split()[0] for line in out.splitlines() if "  failed: mark.make" in line] == ["gpu17", "gpu32"]
        assert sum(marks == BOTH for marks in many.marks().values()) == 29
        down.sh("iptables -F")
        full.sh("rm /small/fill")
        odd.write("/etc/slow", "0")
        code, out, err = many.run("mark.make", "-H", "all,gpu[01-32]", "--retry")
        assert (code, "3 hosts: 3 changed" in out) == (0, True), out + err
        assert many.marks() == dict.fromkeys(many.hosts, BOTH)
