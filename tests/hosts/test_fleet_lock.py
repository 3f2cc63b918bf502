"""One operator at a time on a host, the lock that dies with its holder, and the audit log."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests import fleet
from tests.fleet import Fleet
from tests.testbed import TestHost
from tests.waiting import ended, until, until_said

AUDIT = "/var/log/gpudock/audit.jsonl"


@pytest.fixture(scope="module")
def pair(engine: None, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two machines with an sshd."""
    with fleet.light(2, key, tmp_path_factory.mktemp("pair")) as started:
        yield started


@pytest.fixture(autouse=True)
def clean(pair: Fleet) -> None:
    """No marks, no audit log, nobody at work."""
    pair.clear()
    for host in pair.hosts.values():
        host.sh(f"rm -f {AUDIT}")


@pytest.fixture
def host(pair: Fleet) -> TestHost:
    """The machine that two operators want, where no mark is finished before it is let go."""
    fleet.hold(pair.hosts["gpu01"])
    return pair.hosts["gpu01"]


def entries(host: TestHost) -> list[dict[str, str]]:
    """What the audit log holds."""
    return [json.loads(line) for line in host.sh(f"cat {AUDIT} 2>/dev/null; :").splitlines()]


def test_the_second_operator_is_told_who_and_what(pair: Fleet, host: TestHost) -> None:
    """On the held host: exit code 1, the holder, since when, doing what, nothing touched; the other host is served."""
    first = pair.start("mark.make", "-H", "gpu01", environ={"SUDO_USER": "anna"})
    fleet.until_begun(host, "anna")
    code, out, err = pair.run("mark.make")
    assert code == 1
    assert "gpu01 is being changed by anna@" in err
    assert "doing mark.make: make the first mark" in err
    assert "since 20" in err
    assert "gpu02 mark.make: make the second mark … changed" in out
    fleet.let_go(host)
    assert ended(first)[0] == 0
    assert {entry["who"].partition("@")[0] for entry in entries(host)} == {"anna"}
    assert pair.run("mark.make")[0] == 0


def test_waiting_ends_with_the_holder_and_looks_again(pair: Fleet, host: TestHost) -> None:
    """With --wait the second one says for whom it waits, and then finds nothing left to do."""
    first = pair.start("mark.make", "-H", "gpu01", environ={"SUDO_USER": "anna"})
    fleet.until_begun(host, "anna")
    second = pair.start("mark.make", "--wait", "-H", "gpu01")
    until_said(second, "waits for anna@")
    fleet.let_go(host)
    code, out, _ = ended(second)
    assert (code, "nothing to change" in out, ended(first)[0]) == (0, True, 0)
    assert [entry["why"] for entry in entries(host)] == ["make the first mark", "make the second mark"]


def test_what_a_killed_operator_left_running_is_named_and_waited_for(pair: Fleet, host: TestHost) -> None:
    """Killed by -9 in the middle of an action: the next one hears what still runs, and finishes when that has ended."""
    first = pair.start("mark.make", "-H", "gpu01", environ={"SUDO_USER": "anna"})
    fleet.until_begun(host, "anna")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    until(lambda: entries(host) and host.sh("flock -n /run/gpudock/lock true && echo free; :"))
    code, _, err = pair.run("mark.make", "-H", "gpu01", environ={"SUDO_USER": "ben"})
    assert code == 1
    assert "gpu01 is still at what anna@" in err
    assert "doing mark.make: make the first mark" in err
    assert re.search(r": sh \(\d+\), though no gpudock is with it any more", err), err
    second = pair.start("mark.make", "--wait", "-H", "gpu01", environ={"SUDO_USER": "ben"})
    until_said(second, "which anna@")
    assert pair.marks()["gpu01"] == []
    fleet.let_go(host)
    assert ended(second)[0] == 0
    assert pair.marks()["gpu01"] == ["first", "second"]
    told = [(entry["who"].partition("@")[0], entry["why"], entry["result"]) for entry in entries(host)]
    assert told == [("anna", "make the first mark", "interrupted"), ("ben", "make the second mark", "done")]
    assert "nothing to change" in pair.run("mark.make", "-H", "gpu01")[1]


def test_a_daemon_that_an_action_started_is_nothing_left(pair: Fleet, host: TestHost) -> None:
    """What goes on beside an action that has ended, such as a daemon, keeps nobody out."""
    fleet.let_go(host)
    host.write("/usr/local/bin/env", '#!/bin/sh\nsetsid sleep 4715 >/dev/null 2>&1 &\nexec /usr/bin/env "$@"\n')
    host.sh("chmod +x /usr/local/bin/env")
    try:
        assert pair.run("mark.make", "-H", "gpu01")[0] == 0
        assert host.sh("pgrep -f '[s]leep 4715'")
        host.sh("rm -r /srv/marks")
        code, _, err = pair.run("mark.make", "-H", "gpu01")
        assert code == 0, err
    finally:
        host.sh("rm /usr/local/bin/env; pkill -f '[s]leep 4715'")


def test_a_holder_that_falls_silent_loses_the_lock(host: TestHost) -> None:
    """A holder whose network is gone sends no signs of life: its shell ends by itself, and what it began is recorded."""
    from gpudock.lock import KEEPER

    host.write("/tmp/keeper", KEEPER)
    keeper = f'sh -c "$(cat /tmp/keeper)" sh /run/gpudock {AUDIT} 5'
    host.sh(f'(printf \'begin "why": "x"}}\\n\'; sleep 600) | {keeper} >/tmp/said &')
    until(lambda: host.sh("cat /tmp/said", check=False) == "held\n")
    until(lambda: host.sh("flock -n /run/gpudock/lock true && echo free; :"))
    assert [entry["why"] for entry in entries(host)] == ["x"]


def test_the_audit_log_tells_of_every_change_and_no_secret(pair: Fleet) -> None:
    """Each action leaves who, from where, when, why, what and how it ended; `audit` shows it, also to machines."""
    secret = "hunter2-hunter2"
    environ = {"SUDO_USER": "anna", "GPUDOCK_SUDO_PASSWORD": secret}
    config, started = pair.config.read_text(), int(time.time())
    pair.config.write_text(config.replace("User root", "User ask"))
    for host in pair.hosts.values():
        host.sh(f"echo ask:{secret} | chpasswd")
    try:
        assert pair.run("mark.make", environ=environ)[0] == 0
        code, out, _ = pair.run("audit", "--json", environ=environ)
        shown = pair.run("audit", "--last", "1", environ=environ)[1]
    finally:
        pair.config.write_text(config)
    rows = [json.loads(line) for line in out.splitlines()]
    told = {row["host"]: row["facts"]["entries"] for row in rows[:-1]}
    assert (code, sorted(told)) == (0, ["gpu01", "gpu02"])
    for host_entries in told.values():
        assert [entry["why"] for entry in host_entries] == ["make the first mark", "make the second mark"]
        for entry in host_entries:
            assert entry["who"].startswith("anna@")
            assert entry["from"].count(".") == 3
            assert (entry["task"], entry["step"], entry["result"]) == ("mark.make", "mark.make", "done")
            assert entry["action"].startswith("sh -ec")
            assert started <= datetime.fromisoformat(entry["when"][:19] + "+00:00").timestamp() <= time.time()
    assert shown.count("make the second mark") == 2
    assert "make the first mark" not in shown
    assert secret not in out + shown + "".join(
        host.sh(f"cat {AUDIT}; cat /run/gpudock/*") for host in pair.hosts.values()
    )


def test_a_failed_action_is_recorded_as_failed(pair: Fleet, host: TestHost) -> None:
    """What a tool refuses to do is in the log with that result, and what cannot be recorded is told."""
    fleet.let_go(host)
    host.write("/etc/slow", "not-a-number")
    assert pair.run("mark.make", "-H", "gpu01")[0] == 1
    assert [entry["result"] for entry in entries(host)] == ["failed"]
    host.write("/etc/slow", "0")
    code, _, err = pair.run("mark.make", "-H", "gpu01", environ={"GPUDOCK_HOST__AUDIT": "/proc/no/audit.jsonl"})
    assert (code, "could not be recorded in /proc/no/audit.jsonl" in err) == (0, True)


def test_nothing_to_change_takes_no_lock(pair: Fleet, host: TestHost) -> None:
    """A run that finds all as wanted, and a dry run, neither wait for a holder nor leave a trace."""
    host.sh("mkdir -p /srv/marks; touch /srv/marks/first /srv/marks/second; mkdir -p /run/gpudock")
    host.sh("setsid flock /run/gpudock/lock sleep 4716 >/dev/null 2>&1 &")
    until(lambda: host.sh("flock -n /run/gpudock/lock true && echo free; :") == "")
    try:
        assert "nothing to change" in pair.run("mark.make", "-H", "gpu01")[1]
        host.sh("rm /srv/marks/second")
        assert "would make the second mark" in pair.run("mark.make", "-H", "gpu01", "--dry-run")[1]
        assert "someone who has not said" in pair.run("mark.make", "-H", "gpu01")[2]
    finally:
        host.sh("pkill -f '[s]leep 4716'")
    assert entries(host) == []
