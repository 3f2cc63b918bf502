"""What bad input gets over SSH: one clear paragraph, the right exit code, and a host as it was."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gpudock.config import ROOT
from tests import testbed
from tests.conftest import Completed, Fab, Hosts, program
from tests.testbed import TestHost


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A server with an engine."""
    return hosts("trixie-docker")


def fab_with(config: Path, *words: str) -> Completed:
    """Run fab with a given ssh_config."""
    return program([str(ROOT / "fab"), "-S", str(config), *words])


def test_a_wrong_setting_touches_nothing(host: TestHost, fab: Fab) -> None:
    """Exit code 2 with the key's name, before any connection."""
    done = fab({"gpu01": (host, "ops")}, "setup", "--set", "stack.prots=[1]")
    assert done.code == 2
    assert "stack.prots" in done.err
    assert "Did you mean ports?" in done.err


def test_an_unknown_group_names_the_nearest() -> None:
    """-H @group that is not in the inventory is exit code 2."""
    done = program([str(ROOT / "fab"), "-H", "@nonexistent", "status"])
    assert (done.code, "no such group" in done.err) == (2, True)


def test_an_unreachable_host_does_not_stop_the_others(host: TestHost, tmp_path: Path) -> None:
    """One host is down, the other is served; the code is 3 and the summary right."""
    config = testbed.ssh_config(tmp_path / "config", [("gpu01", host, "ops")])
    config.write_text(config.read_text() + "\nHost gpu02\n  HostName 127.0.0.1\n  Port 9\n")
    done = fab_with(config, "-H", "gpu01,gpu02", "engine.install", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 3
    assert rows[-1]["summary"]["unreachable"] == 1
    assert [row["status"] for row in rows[:-1] if row["host"] == "gpu01"] == ["changed"]
    assert "cannot be reached" in next(row["error"] for row in rows if row.get("host") == "gpu02")


def test_a_wrong_ssh_key_says_what_to_do(host: TestHost, tmp_path: Path) -> None:
    """A key the host does not know is exit code 3 with the next move."""
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    config = testbed.ssh_config(tmp_path / "config", [("gpu01", host, "ops")])
    config.write_text(config.read_text().replace(str(host.key), str(key)))
    done = fab_with(config, "-H", "gpu01", "status")
    assert (done.code, "no key or password was accepted" in done.err) == (3, True)


def test_host_keys_are_recorded_once_and_then_checked(host: TestHost, tmp_path: Path) -> None:
    """An unknown key is recorded on first sight, the file's other lines stay; another one or a revoked one is refused."""
    config = testbed.ssh_config(tmp_path / "config", [("gpu01", host, "ops")])
    known = tmp_path / "known_hosts"
    known.write_text("# mine\n")
    assert fab_with(config, "-H", "gpu01", "status").code == 0
    assert fab_with(config, "-H", "gpu01", "status").code == 0
    lines = known.read_text().splitlines()
    assert (lines[0], len(lines)) == ("# mine", 2)
    kind, key = lines[1].split()[1:3]
    known.write_text(
        lines[1].replace(key, key[:-8] + ("AAAAAAAA" if not key.endswith("AAAAAAAA") else "BBBBBBBB")) + "\n"
    )
    done = fab_with(config, "-H", "gpu01", "status")
    assert (done.code, "host key has changed" in done.err, kind != "") == (3, True, True)
    for line in ("", lines[1]):
        known.write_text(f"@revoked {lines[1]}\n{line}\n")
        done = fab_with(config, "-H", "gpu01", "status")
        assert (done.code, "is marked @revoked in known_hosts" in done.err) == (3, True), done.err


def test_strict_checking_refuses_unknown_hosts(host: TestHost, tmp_path: Path) -> None:
    """StrictHostKeyChecking yes in ssh_config is honoured."""
    config = testbed.ssh_config(tmp_path / "config", [("gpu01", host, "ops")])
    config.write_text(config.read_text() + "  StrictHostKeyChecking yes\n")
    assert fab_with(config, "-H", "gpu01", "status").code == 3


def test_a_gateway_is_gone_through(host: TestHost, tmp_path: Path) -> None:
    """ProxyJump of ssh_config reaches a host that only the gateway sees."""
    config = testbed.ssh_config(tmp_path / "config", [("gateway", host, "ops"), ("gpu01", host, "root")])
    text = config.read_text()
    inner = text.index("Host gpu01")
    config.write_text(text[:inner] + text[inner:].replace(f"Port {host.port}", "Port 22\n  ProxyJump gateway"))
    done = fab_with(config, "-H", "gpu01", "status")
    assert done.code == 0, done.err
    assert "debian 13" in done.out


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        ("ask", "", "a password is required"),
        ("ask", "wrong", "sudo did not take the password"),
        ("nosudo", "wrong", "sudo did not take the password"),
    ],
)
def test_sudo_that_is_refused_is_explained(host: TestHost, fab: Fab, user: str, password: str, said: str) -> None:
    """No password, a wrong one, a user without sudo: each told apart, nothing done."""
    environ = {"GPUDOCK_SUDO_PASSWORD": password} if password else {}
    done = fab({"gpu01": (host, user)}, "engine.install", environ=environ)
    assert (done.code, said in done.err) == (1, True), done.err


def test_sudo_with_a_password_does_all_that_root_does(host: TestHost, fab: Fab) -> None:
    """The password travels on standard input, and data behind it arrives whole."""
    environ = {"GPUDOCK_SUDO_PASSWORD": "test-sudo-password"}
    done = fab({"gpu01": (host, "ask")}, "engine.install", environ=environ)
    assert done.code == 0, done.err
    assert "ask" in host.sh("getent group docker")
    assert "test-sudo-password" not in host.sh("journalctl --no-pager | cat; cat /var/log/auth.log 2>/dev/null; :")


def test_a_host_that_talks_is_understood(host: TestHost, fab: Fab) -> None:
    """A .bashrc's greeting, sudo's lecture, its complaint of the host's name: none is taken for an answer or a reply."""
    former = host.sh("hostname").strip()
    host.sh(
        "echo 'echo Welcome to the cluster' >~ask/.bashrc; echo 'Defaults lecture=always' >/etc/sudoers.d/talks; "
        "gpasswd -d ask docker; hostname nowhere"
    )
    talks = host.sh("echo test-sudo-password | su ask -c 'bash -ic \"sudo -Sk true\"' 2>&1")
    assert all(words in talks for words in ("Welcome", "usual lecture", "unable to resolve host nowhere"))
    environ = {"GPUDOCK_SUDO_PASSWORD": "test-sudo-password"}
    done = fab({"gpu01": (host, "ask")}, "engine.install", environ=environ)
    assert (done.code, "let ask use Docker" in done.out, "install docker" in done.out) == (0, True, False), done.err
    logs = fab({"gpu01": (host, "ask")}, "stack.logs", environ=environ)
    assert (logs.code, "there is no container" in logs.err) == (1, True), logs.err
    host.sh(f"hostname {former}; rm ~ask/.bashrc /etc/sudoers.d/talks")


def test_a_full_disk_is_told_and_nothing_is_left(host: TestHost, fab: Fab) -> None:
    """Where a file cannot be written whole the former one stays, and the message says that the disk is full."""
    host.sh(
        "mkdir -p /var/lib/gpudock && mount -t tmpfs -o size=64k tmpfs /var/lib/gpudock && head -c 60k /dev/zero >/var/lib/gpudock/full"
    )
    done = fab({"gpu01": (host, "root")}, "image.build")
    assert done.code == 1
    assert "disk is full" in done.err
    assert host.sh("ls /var/lib/gpudock; ls /var/lib/gpudock/build 2>/dev/null; :").split() == ["build", "full"]
    host.sh("umount /var/lib/gpudock")


RIVAL = "Package: rival\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\nConflicts: docker-compose\n"


def test_no_package_of_somebody_else_goes_for_ours(host: TestHost, fab: Fab) -> None:
    """As podman-docker and containerd.io would for Debian's Docker: it is named and stays; without it all is well again."""
    host.write("/root/rival/DEBIAN/control", RIVAL)
    host.sh("dpkg --purge docker-compose; dpkg-deb -b /root/rival /root/rival.deb; dpkg -i /root/rival.deb")
    done = fab({"gpu01": (host, "root")}, "engine.install")
    assert (done.code, "\n      rival\n" in done.err, "apt-get remove NAME" in done.err) == (1, True, True), done.err
    assert host.sh("dpkg-query -W -f '${db:Status-Status}' rival") == "installed"
    host.sh("dpkg --purge rival")
    assert fab({"gpu01": (host, "root")}, "engine.install").code == 0


def test_a_container_that_is_not_there_is_told_in_words(host: TestHost, fab: Fab) -> None:
    """Not as an HTTP error of the Docker SDK's, and with what starts it."""
    done = fab({"gpu01": (host, "root")}, "stack.logs")
    assert done.code == 1
    assert "gpu01: there is no container cuda_container_chatbot; stack.up, or setup, starts it." in done.err


def test_the_engine_is_the_machines_own(host: TestHost, fab: Fab) -> None:
    """Where root's docker works on another machine by its context, what is asked and what is done stays here all the same."""
    host.sh("docker context create far --docker host=tcp://127.0.0.1:9 && docker context use far")
    try:
        done = fab({"gpu01": (host, "root")}, "stack.logs")
    finally:
        host.sh("docker context use default && docker context rm far")
    assert "gpu01: there is no container cuda_container_chatbot" in done.err, done.err


def test_a_taken_port_is_told_before_anything_is_done(host: TestHost, fab: Fab) -> None:
    """Nobody waits for a build to hear it: setup and plan name the holder first, as far as the host can tell it."""
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 7990)); time.sleep(3600)"
    host.sh(f'setsid python3 -c "{listen}" >/dev/null 2>&1 & echo $! >/run/listener')
    host.until_listening(7990)
    for words in (["setup"], ["plan"], ["setup", "--json"]):
        done = fab({"gpu01": (host, "root")}, *words)
        assert (done.code, "image" in done.out) == (1, False), done.out
        assert "Port 7990 is taken by the process python3" in done.out + done.err
    host.sh("mv /usr/bin/ss /usr/bin/ss.away")
    done = fab({"gpu01": (host, "root")}, "plan")
    host.sh("mv /usr/bin/ss.away /usr/bin/ss; kill $(cat /run/listener)")
    assert "Port 7990 is taken by another process" in done.err
    assert host.sh("ls /var/lib/gpudock 2>/dev/null; :") == ""


def test_a_container_of_somebody_else_is_left_alone(host: TestHost, fab: Fab) -> None:
    """A container that has the name already is not replaced."""
    host.run_container("cuda_container_chatbot")
    before = host.sh("docker inspect -f '{{.Id}} {{.State.StartedAt}}' cuda_container_chatbot")
    for task in ("stack.up", "setup"):
        done = fab({"gpu01": (host, "root")}, task)
        assert (done.code, "is not gpudock's" in done.err, done.out.count("\n")) == (1, True, 1)
    assert fab({"gpu01": (host, "root")}, "stack.down").code == 0
    assert host.sh("docker inspect -f '{{.Id}} {{.State.StartedAt}}' cuda_container_chatbot") == before


def test_no_traceback_for_anything_here(host: TestHost, fab: Fab) -> None:
    """A dead Docker daemon is told as such, not as "not installed"."""
    host.sh("systemctl stop docker.socket docker")
    done = fab({"gpu01": (host, "root")}, "stack.up")
    assert done.code == 1
    assert "No Docker engine answers" in done.err
    assert "Traceback" not in done.err
    assert fab({"gpu01": (host, "root")}, "engine.install").code == 0
