"""All of it on servers over SSH: from sshd, sudo and systemd to JupyterLab and SSH in a container, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fabric
import paramiko
import pytest

from tests import browser
from tests.conftest import Fab, Hosts
from tests.hosts import container
from tests.hosts.container import NAME, PASSWORD, get, inside, keys, knock, tunnel, until_healthy
from tests.testbed import TestHost
from tests.waiting import ended, until, until_said

# Has compose on a server take no step before it is let go.
HOLDS = """#!/bin/sh
case " $* " in *" up "*) touch /run/held; while [ -e /run/held ]; do sleep 0.1; done;; esac
exec /usr/bin/docker-compose "$@"
"""
ROUND_TRIPS = "journalctl --sync; journalctl --no-pager -t sudo | grep -c COMMAND="


@pytest.fixture(scope="module")
def bare(hosts: Hosts) -> TestHost:
    """A Debian 12 with nothing but sshd, sudo and systemd (Docker 20.10, Compose 1.29), hardened: nothing runs in /tmp."""
    return hosts("bookworm", "--tmpfs", "/tmp:noexec")


@pytest.fixture(scope="module")
def ready(hosts: Hosts) -> TestHost:
    """A server with an engine, operated by an ordinary user; root's home is read-only."""
    made = hosts("trixie-docker")
    made.sh("mount --bind /root /root; mount -o remount,ro,bind /root")
    return made


@pytest.fixture(scope="module")
def fetching(hosts: Hosts) -> TestHost:
    """A third server like the second one."""
    return hosts("trixie-docker")


@pytest.fixture
def login(ready: TestHost) -> Iterator[fabric.Connection]:
    """A connection to the second server as its operator."""
    with container.login(ready) as opened:
        yield opened


def test_setup_takes_two_servers_to_a_container(bare: TestHost, ready: TestHost, fab: Fab) -> None:
    """One command, two servers side by side, one of them bare; both say where JupyterLab and SSH are."""
    done = fab({"gpu01": (bare, "root"), "gpu02": (ready, "ops")}, "setup", *keys(), environ=PASSWORD)
    assert done.code == 0, done.out + done.err
    for name in ("gpu01", "gpu02"):
        assert f" -N -L 8888:127.0.0.1:8888 {name}\n" in done.out
        assert f"-J {name} -p 8022" in done.out
    for host in (bare, ready):
        until_healthy(host)


def test_setup_again_changes_nothing_in_one_round_trip(bare: TestHost, ready: TestHost, fab: Fab) -> None:
    """The second run finds all as wanted by one root command a host, and machines can read so."""
    before = int(ready.sh(ROUND_TRIPS))
    done = fab({"gpu01": (bare, "root"), "gpu02": (ready, "ops")}, "setup", *keys(), "--json", environ=PASSWORD)
    assert done.code == 0, done.err
    summary = json.loads(done.out.splitlines()[-1])["summary"]
    assert (summary["changed"], summary["failed"], summary["hosts"]) == (0, 0, 2)
    assert int(ready.sh(ROUND_TRIPS)) == before + 1
    assert not any(secret in done.out for secret in ("correct horse", "argon2"))


def test_a_third_server_fetches_what_the_second_built(ready: TestHost, fetching: TestHost, fab: Fab) -> None:
    """With image.source: push the whole setup ends in a healthy container of the very image, and builds none."""
    targets = {"gpu02": (ready, "ops"), "gpu03": (fetching, "ops")}
    words = ["setup", "--set", "image.source=push", "--set", "image.build_host=gpu02", *keys()]
    done = fab(targets, *words, environ=PASSWORD)
    assert done.code == 0, done.out + done.err
    assert f"gpu03 image.push: fetch {NAME} from gpu02 … changed" in done.out
    assert "gpu03 image.build: skipped, image.source is push" in done.out
    assert " -N -L 8888:127.0.0.1:8888 gpu03\n" in done.out
    identities = {host.sh(f"docker inspect -f '{{{{.Image}}}}' {NAME}") for host in (ready, fetching)}
    assert len(identities) == 1
    until_healthy(fetching)
    assert "nothing to change" in fab(targets, *words, environ=PASSWORD).out


def test_the_environment_is_in_every_kind_of_shell(login: fabric.Connection, ready: TestHost) -> None:
    """By SSH command, login shell, docker exec: python, pip and jupyter are the environment's, for the operator's ids."""
    expected = "/opt/envs/chatbot/bin/python\n/opt/envs/chatbot/bin/pip\n/opt/envs/chatbot/bin/jupyter\n"
    assert inside(login, "which python pip jupyter") == expected
    assert inside(login, "bash -lc 'which python pip jupyter'") == expected
    assert ready.sh(f"docker exec {NAME} which python pip jupyter") == expected
    assert inside(login, "id -u; id -g").split() == ["1234", "1234"]
    assert inside(login, "sudo -n id -u") == "0\n"
    assert inside(login, "python -c 'import numpy, pandas; print(1)'") == "1\n"
    assert inside(login, "bash -lc 'conda activate chatbot && which python'") == "/opt/envs/chatbot/bin/python\n"


def test_only_keys_log_in(login: fabric.Connection) -> None:
    """Another key, and a password, are refused."""
    for secret in ({"pkey": paramiko.ECDSAKey.generate()}, {"password": "x"}):
        with pytest.raises(paramiko.AuthenticationException):
            knock(login, **secret)


def test_jupyter_answers_and_wants_the_password(login: fabric.Connection) -> None:
    """/api is open for health checks; anything else without signing in is refused."""
    with tunnel(login) as address:
        assert (get(address, "/api"), get(address, "/api/contents")) == (200, 403)


def test_the_lab_opens_in_a_browser(login: fabric.Connection, tmp_path: Path) -> None:
    """Through the tunnel a wrong password is refused, and the right one opens the lab with its launcher."""
    with tunnel(login) as address, browser.chromium(tmp_path / "profile") as driver:
        browser.sign_in(driver, f"{address}/lab", "wrong")
        browser.wait_for_text(driver, "Invalid credentials")
        browser.sign_in(driver, f"{address}/lab", PASSWORD["GPUDOCK_JUPYTER_PASSWORD"])
        browser.wait_for_lab(driver)


def test_a_jupyter_terminal_has_the_environment(login: fabric.Connection, tmp_path: Path) -> None:
    """A terminal opened in the lab finds the environment's python."""
    with tunnel(login) as address, browser.chromium(tmp_path / "profile") as driver:
        browser.sign_in(driver, f"{address}/lab", PASSWORD["GPUDOCK_JUPYTER_PASSWORD"])
        browser.wait_for_lab(driver)
        script = "return fetch('/api/terminals', {method: 'POST', headers: {'X-XSRFToken': document.cookie.match(/_xsrf=([^;]*)/)[1]}}).then(r => r.json()).then(t => t.name)"
        name = driver.execute_script(script)
        listen = (
            "const done = arguments[1]; let seen = ''; const socket = new WebSocket(`ws://${location.host}/terminals/websocket/${arguments[0]}`);"
            "const ask = () => socket.send(JSON.stringify(['stdin', `echo $(which python) EN''D:\r`]));"
            "socket.onmessage = m => { const [kind, text] = JSON.parse(m.data); if (kind !== 'stdout') return;"
            " if (!seen) ask(); seen += text; if (seen.includes('END:')) done(seen); };"
        )
        driver.set_script_timeout(browser.PATIENCE)
        assert "/opt/envs/chatbot/bin/python END:" in driver.execute_async_script(listen, name)


def test_no_secret_can_be_seen(ready: TestHost) -> None:
    """Neither password nor hash is in `docker inspect`, the image's history, the logs, or a process's arguments."""
    seen = ready.sh(
        f"docker inspect {NAME}; docker history --no-trunc {NAME}; docker logs {NAME} 2>&1; "
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; journalctl --no-pager | cat"
    )
    assert "correct horse" not in seen
    assert "argon2" not in seen
    assert ready.sh(f"stat -c %a /var/lib/gpudock/{NAME}/container/jupyter/password") == "600\n"


def test_pip_installs_as_the_user_and_it_stays(login: fabric.Connection, ready: TestHost) -> None:
    """The container's user changes the environment without root, and a restart keeps it."""
    said = inside(login, "pip install -q --no-deps six==1.16.0 2>&1")
    ready.sh(f"docker restart {NAME}")
    until_healthy(ready)
    assert inside(login, "python -c 'import six; print(six.__version__)'") == "1.16.0\n", said


def test_a_taken_port_is_named_with_its_holder(bare: TestHost, fab: Fab) -> None:
    """A process on the wanted port is named, and the running container is left as it was."""
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 8899)); time.sleep(3600)"
    bare.sh(f'setsid python3 -c "{listen}" >/dev/null 2>&1 &')
    bare.until_listening(8899)
    done = fab({"gpu01": (bare, "root")}, "stack.up", "--set", "jupyter.port=8899")
    assert (done.code, "Port 8899 is taken by the process python3" in done.err) == (1, True), done.err
    until_healthy(bare)


def test_a_start_that_broke_off_is_put_right(bare: TestHost, fab: Fab) -> None:
    """Compose renames the container that it replaces; where it ended then, the next setup has one of the right name."""
    bare.sh(f"docker rename {NAME} 0123_{NAME}")
    done = fab({"gpu01": (bare, "root")}, "setup", *keys())
    assert done.code == 0, done.out + done.err
    assert f"remove 0123_{NAME}, left by a start that broke off … changed" in done.out
    until_healthy(bare)
    assert "nothing to change" in fab({"gpu01": (bare, "root")}, "setup", *keys()).out


def test_the_image_of_a_container_goes_with_it(bare: TestHost, fab: Fab) -> None:
    """One that was replaced while the container ran on, and has no name any more, does not stay on the disk."""
    bare.sh(f"echo FROM {NAME} | DOCKER_BUILDKIT=1 docker build -q --label again=1 -t {NAME} -")
    done = fab({"gpu01": (bare, "root")}, "stack.up")
    assert "remove the image it ran before … changed" in done.out, done.out + done.err
    assert bare.sh("docker image ls -q --filter dangling=true") == ""


def test_a_container_that_does_not_become_healthy_says_why(bare: TestHost, fab: Fab) -> None:
    """A start that fails ends with the container's own last words, and with the mistake taken back all is well."""
    done = fab({"gpu01": (bare, "root")}, "stack.up", "--set", "stack.environment={GPUDOCK_UID: nobody}")
    assert f"Could not have {NAME} healthy" in done.err
    assert "usermod: user 'root' already exists" in done.err, done.err
    assert fab({"gpu01": (bare, "root")}, "stack.up").code == 0


def test_work_in_the_container_is_ended_by_nobody_unasked(bare: TestHost, fab: Fab) -> None:
    """A change that starts the container anew is refused while a program runs in it, as is teardown; --yes consents."""
    target = {"gpu01": (bare, "root")}
    started = f"docker inspect -f '{{{{.Id}}}} {{{{.State.StartedAt}}}}' {NAME}"
    bare.sh(f"docker exec -d {NAME} sleep 3600")
    age = f"docker exec {NAME} ps -o etimes= -C sleep | sort -n | tail -n 1"
    until(lambda: int(bare.sh(age) or 0) > 5)
    before = bare.sh(started)
    for words in (["setup", *keys(), "--set", "jupyter.port=8890"], ["stack.down"], ["teardown"]):
        done = fab(target, *words)
        assert done.code == 1
        assert "work runs in cuda_container_chatbot:" in done.err
        assert "sleep 3600 (root, for " in done.err
        assert bare.sh(started) == before
    assert fab(target, "stack.up", "--set", "jupyter.port=8890", "--yes").code == 0
    assert bare.sh(started) != before
    assert fab(target, "setup", *keys()).code == 0


def test_killed_in_the_middle_and_then_again_converges(bare: TestHost, fab: Fab) -> None:
    """The operator's program is killed while it waits; the next run waits for what goes on there and finishes the rest."""
    bare.sh(f"docker stop {NAME}")
    bare.write("/usr/local/bin/docker-compose", HOLDS)
    bare.sh("chmod 755 /usr/local/bin/docker-compose")
    running = fab.start({"gpu01": (bare, "root")}, "setup", *keys())
    until(lambda: bare.sh("ls /run/held 2>/dev/null; :"))
    running.kill()
    running.communicate()
    second = fab.start({"gpu01": (bare, "root")}, "setup", "--wait", *keys())
    until_said(second, "waits for ")
    bare.sh("rm /usr/local/bin/docker-compose /run/held")
    code, _, err = ended(second)
    assert code == 0, err
    assert "nothing to change" in fab({"gpu01": (bare, "root")}, "setup", *keys()).out


def test_teardown_takes_away_ours_and_nothing_else(bare: TestHost, fab: Fab) -> None:
    """Stack, image and files go, volumes and /opt/ai stay; then the volumes on demand; the engine is still there."""
    bare.write("/opt/ai/work", "mine")
    target = {"gpu01": (bare, "root")}
    bare.sh(f"docker create --name theirs {NAME}")
    done = fab(target, "teardown")
    assert (done.code, "image.remove: skipped, made of it: theirs" in done.out) == (0, True), done.out + done.err
    bare.sh("docker rm theirs")
    assert fab(target, "teardown").code == 0
    assert NAME not in bare.sh("docker ps -a; docker images")
    assert not bare.sh("ls -d /var/lib/gpudock 2>/dev/null; :")
    assert f"{NAME}_home" in bare.sh("docker volume ls")
    assert fab(target, "teardown", "--volumes").code == 0
    assert NAME not in bare.sh("docker volume ls")
    assert bare.read("/opt/ai/work") == "mine"
    assert "nothing to change" in fab(target, "teardown", "--volumes").out
