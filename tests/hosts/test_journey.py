"""All of it on servers over SSH: from sshd, sudo and systemd to JupyterLab and SSH in a container, and back."""

from __future__ import annotations

import io
import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fabric
import paramiko
import pytest

from gpudock import own_key
from tests import browser
from tests.conftest import Fab, Hosts
from tests.testbed import TestHost, until

# paramiko leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTAINER = "cuda_container_chatbot"
PASSWORD = {"GPUDOCK_JUPYTER_PASSWORD": "correct horse"}


@pytest.fixture(scope="module")
def bare(hosts: Hosts) -> TestHost:
    """A Debian 12 with nothing but sshd, sudo and systemd: its Docker is 20.10, its Compose 1.29."""
    return hosts("bookworm")


@pytest.fixture(scope="module")
def ready(hosts: Hosts) -> TestHost:
    """A server with an engine, operated by an ordinary user."""
    return hosts("trixie-docker")


@pytest.fixture(scope="module")
def fetching(hosts: Hosts) -> TestHost:
    """A third server like the second one."""
    return hosts("trixie-docker")


@pytest.fixture
def login(ready: TestHost) -> Iterator[fabric.Connection]:
    """A connection to the second server as its operator."""
    with fabric.Connection(
        ready.address, user="ops", port=ready.port, connect_kwargs={"key_filename": str(ready.key)}
    ) as opened:
        yield opened


def inside(connection: fabric.Connection, command: str, user: str = "ops") -> str:
    """Run a command in the container by SSH, through the server, with the key that setup put in place."""
    gateway = connection.transport or connection.open() or connection.transport
    channel = gateway.open_channel("direct-tcpip", ("127.0.0.1", 8022), ("127.0.0.1", 0))
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", 8022, user, sock=channel, pkey=private_key(), look_for_keys=False, allow_agent=False)
    with client:
        _, out, err = client.exec_command(command)
        return out.read().decode() + err.read().decode()


@contextmanager
def tunnel(connection: fabric.Connection, port: int) -> Iterator[None]:
    """Bring the server's JupyterLab to a port of this machine, as the printed ssh -L does."""
    connection.open()
    with connection.forward_local(port, 8888, "127.0.0.1", "127.0.0.1"):
        until(lambda: listens(port))  # Fabric's listener starts in a thread of its own
        yield


def listens(port: int) -> bool:
    """Whether a port of this machine takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def private_key() -> paramiko.Ed25519Key:
    """The key pair that gpudock made where the operator has none."""
    return paramiko.Ed25519Key(file_obj=io.StringIO(own_key.PRIVATE.read_text()))


@pytest.fixture(autouse=True, scope="module")
def only_our_key() -> None:
    """Log in with gpudock's own key, whatever keys this machine's user has."""
    own_key.public_key()


KEYS = ["--set", f"ssh.authorized_keys=['{own_key.PUBLIC}']"]


def test_setup_takes_two_servers_to_a_container(bare: TestHost, ready: TestHost, fab: Fab) -> None:
    """One command, two servers side by side, one of them bare; both say where JupyterLab and SSH are."""
    done = fab({"gpu01": (bare, "root"), "gpu02": (ready, "ops")}, "setup", *KEYS, environ=PASSWORD)
    assert done.code == 0, done.out + done.err
    for name in ("gpu01", "gpu02"):
        assert f"ssh -N -L 8888:127.0.0.1:8888 {name}" in done.out
        assert f"-J {name} -p 8022" in done.out
    for host in (bare, ready):
        assert "healthy" in host.sh(f"docker ps --filter name={CONTAINER}")


def test_setup_again_changes_nothing_in_one_round_trip(bare: TestHost, ready: TestHost, fab: Fab) -> None:
    """The second run finds all as wanted, and machines can read so."""
    done = fab({"gpu01": (bare, "root"), "gpu02": (ready, "ops")}, "setup", *KEYS, "--json", environ=PASSWORD)
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0, done.err
    summary = rows[-1]["summary"]
    assert (summary["changed"], summary["failed"], summary["hosts"]) == (0, 0, 2)
    assert summary["seconds"] < 10
    assert "correct horse" not in done.out
    assert "argon2" not in done.out


def test_a_third_server_fetches_what_the_second_built(ready: TestHost, fetching: TestHost, fab: Fab) -> None:
    """With image.source: push the whole setup ends in a healthy container of the very image, and builds none."""
    targets = {"gpu02": (ready, "ops"), "gpu03": (fetching, "ops")}
    words = ["setup", "--set", "image.source=push", "--set", "image.build_host=gpu02", *KEYS]
    done = fab(targets, *words, environ=PASSWORD)
    assert done.code == 0, done.out + done.err
    assert f"gpu03 image.push: fetch {CONTAINER} from gpu02 … changed" in done.out
    assert "gpu03 image.build: skipped, image.source is push" in done.out
    assert "ssh -N -L 8888:127.0.0.1:8888 gpu03" in done.out
    identities = {host.sh(f"docker inspect -f '{{{{.Image}}}}' {CONTAINER}") for host in (ready, fetching)}
    assert len(identities) == 1
    assert "healthy" in fetching.sh(f"docker ps --filter name={CONTAINER}")
    assert "nothing to change" in fab(targets, *words, environ=PASSWORD).out


def test_the_environment_is_in_every_kind_of_shell(login: fabric.Connection, ready: TestHost) -> None:
    """By SSH command, login shell, docker exec: python, pip and jupyter are the environment's, for the operator's ids."""
    expected = "/opt/envs/chatbot/bin/python\n/opt/envs/chatbot/bin/pip\n/opt/envs/chatbot/bin/jupyter\n"
    assert inside(login, "which python pip jupyter") == expected
    assert inside(login, "bash -lc 'which python pip jupyter'") == expected
    assert ready.sh(f"docker exec {CONTAINER} which python pip jupyter") == expected
    assert inside(login, "id -u; id -g").split() == ["1234", "1234"]
    assert inside(login, "sudo -n id -u") == "0\n"
    assert inside(login, "python -c 'import numpy, pandas; print(1)'") == "1\n"
    assert inside(login, "bash -lc 'conda activate chatbot && which python'") == "/opt/envs/chatbot/bin/python\n"


def test_only_keys_log_in(login: fabric.Connection) -> None:
    """Another key, and a password, are refused."""
    gateway = login.transport or login.open() or login.transport
    for secret in ({"pkey": paramiko.ECDSAKey.generate()}, {"password": "x"}):
        channel = gateway.open_channel("direct-tcpip", ("127.0.0.1", 8022), ("127.0.0.1", 0))
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        with pytest.raises(paramiko.AuthenticationException):
            client.connect("127.0.0.1", 8022, "ops", sock=channel, look_for_keys=False, allow_agent=False, **secret)


def test_jupyter_answers_and_wants_the_password(login: fabric.Connection) -> None:
    """/api is open for health checks; anything else without signing in is refused."""
    with tunnel(login, 18888):
        with urllib.request.urlopen("http://127.0.0.1:18888/api") as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen("http://127.0.0.1:18888/api/contents")
        assert caught.value.code == 403


def test_the_lab_opens_in_a_browser(login: fabric.Connection, tmp_path: Path) -> None:
    """Through the tunnel a wrong password is refused, and the right one opens the lab with its launcher."""
    with tunnel(login, 18889), browser.chromium(tmp_path / "profile") as driver:
        browser.sign_in(driver, "http://127.0.0.1:18889/lab", "wrong")
        until(lambda: "Invalid credentials" in driver.page_source)
        browser.sign_in(driver, "http://127.0.0.1:18889/lab", PASSWORD["GPUDOCK_JUPYTER_PASSWORD"])
        browser.wait_for_lab(driver)


def test_a_jupyter_terminal_has_the_environment(login: fabric.Connection, tmp_path: Path) -> None:
    """A terminal opened in the lab finds the environment's python."""
    with tunnel(login, 18890), browser.chromium(tmp_path / "profile") as driver:
        browser.sign_in(driver, "http://127.0.0.1:18890/lab", PASSWORD["GPUDOCK_JUPYTER_PASSWORD"])
        browser.wait_for_lab(driver)
        script = "return fetch('/api/terminals', {method: 'POST', headers: {'X-XSRFToken': document.cookie.match(/_xsrf=([^;]*)/)[1]}}).then(r => r.json()).then(t => t.name)"
        name = driver.execute_script(script)
        listen = (
            "const done = arguments[1]; let seen = ''; const socket = new WebSocket(`ws://${location.host}/terminals/websocket/${arguments[0]}`);"
            "socket.onmessage = m => { seen += JSON.parse(m.data)[1]; if (seen.includes('END:')) done(seen); };"
            "socket.onopen = () => setTimeout(() => socket.send(JSON.stringify(['stdin', `echo $(which python) EN''D:\\r`])), 2000);"
        )
        driver.set_script_timeout(30)
        assert "/opt/envs/chatbot/bin/python END:" in driver.execute_async_script(listen, name)


def test_no_secret_can_be_seen(ready: TestHost) -> None:
    """Neither password nor hash is in `docker inspect`, the image's history, the logs, or a process's arguments."""
    seen = ready.sh(
        f"docker inspect {CONTAINER}; docker history --no-trunc {CONTAINER}; docker logs {CONTAINER} 2>&1; "
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; journalctl --no-pager | cat"
    )
    assert "correct horse" not in seen
    assert "argon2" not in seen
    assert ready.sh(f"stat -c %a /var/lib/gpudock/{CONTAINER}/container/jupyter/password") == "600\n"


def test_pip_installs_as_the_user_and_it_stays(login: fabric.Connection, ready: TestHost) -> None:
    """The container's user changes the environment without root, and a restart keeps it."""
    said = inside(login, "pip install -q --no-deps six==1.16.0 2>&1")
    ready.sh(f"docker restart {CONTAINER}")
    until(lambda: "healthy" in ready.sh(f"docker ps --filter name={CONTAINER} --filter health=healthy"))
    assert inside(login, "python -c 'import six; print(six.__version__)'") == "1.16.0\n", said


def test_what_was_started_comes_back_and_what_was_stopped_stays(
    login: fabric.Connection, ready: TestHost, fab: Fab
) -> None:
    """After kill -9 of a service, a docker restart and a reboot of the host: sshd is there, the stopped Jupyter is not."""
    target = {"gpu02": (ready, "ops")}
    assert fab(target, "jupyter.stop").code == 0
    ready.sh(f"docker exec {CONTAINER} pkill -9 -o sshd")
    until(lambda: services(ready) == {"ssh": "up", "jupyter": "down"})
    ready.sh(f"docker restart {CONTAINER}")
    until(lambda: services(ready) == {"ssh": "up", "jupyter": "down"})
    assert fab(target, "jupyter.start").code == 0
    ready.reboot()
    until(lambda: services(ready) == {"ssh": "up", "jupyter": "up"})


def services(host: TestHost) -> dict[str, str]:
    """The state of the container's services; empty while there is none."""
    said = host.sh(f"docker exec {CONTAINER} gpudock-service status", check=False)
    return dict(line.split() for line in said.splitlines() if line.endswith((" up", " down")))


def test_a_changed_password_takes_effect(ready: TestHost, fab: Fab) -> None:
    """A new password replaces the former one without anything else being touched."""
    done = fab({"gpu02": (ready, "ops")}, "jupyter.password", environ={"GPUDOCK_JUPYTER_PASSWORD": "another"})
    assert done.code == 0, done.err
    assert services(ready) == {"ssh": "up", "jupyter": "up"}
    assert (
        "nothing to change"
        in fab({"gpu02": (ready, "ops")}, "jupyter.password", environ={"GPUDOCK_JUPYTER_PASSWORD": "another"}).out
    )


def test_status_logs_and_url_answer(ready: TestHost, fab: Fab) -> None:
    """The looking tasks say what is there, over the Docker SDK where it is the container's own log."""
    target = {"gpu02": (ready, "ops")}
    until(lambda: "running (healthy)" in fab(target, "status").out)  # Docker looks every 5 s; the host has just booted
    assert "ssh: listening on port 8022" in fab(target, "stack.logs").out
    assert "http://127.0.0.1:8888/lab" in fab(target, "jupyter.url").out
    assert "gpudock.configuration" in fab(target, "stack.show").out


def test_a_failing_build_leaves_the_last_image_running(ready: TestHost, fab: Fab) -> None:
    """An index that is not there ends the build with one paragraph; image, container and a rerun are as before."""
    target = {"gpu02": (ready, "ops")}
    before = ready.sh(f"docker inspect -f '{{{{.Id}}}} {{{{.Image}}}} {{{{.State.StartedAt}}}}' {CONTAINER}")
    overrides = ["--set", "mirrors.pypi=http://me:geheim@127.0.0.1:9/simple", "--set", "image.environment=other"]
    done = fab(target, "image.build", *overrides)
    assert done.code == 1
    assert "mirror" in done.err
    assert "geheim" not in done.out + done.err
    assert ready.sh(f"docker inspect -f '{{{{.Id}}}} {{{{.Image}}}} {{{{.State.StartedAt}}}}' {CONTAINER}") == before
    assert not ready.sh("ls -d /var/lib/gpudock/build/secrets 2>/dev/null; :")
    assert "nothing to change" in fab(target, "setup", *KEYS).out


def test_a_taken_port_is_named_with_its_holder(bare: TestHost, fab: Fab) -> None:
    """A process on the wanted port is named, and the running container is left as it was."""
    bare.sh(
        "setsid python3 -c \"import socket,time; s=socket.create_server(('127.0.0.1', 8899)); time.sleep(600)\" >/dev/null 2>&1 &"
    )
    until(lambda: ":8899" in bare.sh("ss -Hltn"))
    done = fab({"gpu01": (bare, "root")}, "stack.up", "--set", "jupyter.port=8899")
    assert done.code == 1
    assert "Port 8899 is taken by the process python3" in done.err
    assert "healthy" in bare.sh(f"docker ps --filter name={CONTAINER}")


def test_a_container_that_does_not_become_healthy_says_why(bare: TestHost, fab: Fab) -> None:
    """A start that fails ends with the container's own last words, and with the mistake taken back all is well."""
    done = fab({"gpu01": (bare, "root")}, "stack.up", "--set", "stack.environment={GPUDOCK_UID: nobody}")
    assert done.code == 1
    assert f"Could not have {CONTAINER} healthy" in done.err
    assert "usermod: user 'root' already exists" in done.err, done.err
    assert fab({"gpu01": (bare, "root")}, "stack.up").code == 0


def test_work_in_the_container_is_ended_by_nobody_unasked(bare: TestHost, fab: Fab) -> None:
    """A change that starts the container anew is refused while a program runs in it, as is teardown; --yes consents."""
    target = {"gpu01": (bare, "root")}
    started = f"docker inspect -f '{{{{.Id}}}} {{{{.State.StartedAt}}}}' {CONTAINER}"
    bare.sh(f"docker exec -d {CONTAINER} sleep 3600")
    age = f"docker exec {CONTAINER} ps -o etimes= -C sleep | sort -n | tail -n 1"
    until(lambda: int(bare.sh(age) or 0) > 3)
    before = bare.sh(started)
    for words in (["setup", *KEYS, "--set", "jupyter.port=8890"], ["stack.down"], ["teardown"]):
        done = fab(target, *words)
        assert done.code == 1
        assert "work runs in cuda_container_chatbot:" in done.err
        assert "sleep 3600 (root, for " in done.err
        assert bare.sh(started) == before
    assert fab(target, "stack.up", "--set", "jupyter.port=8890", "--yes").code == 0
    assert bare.sh(started) != before
    assert fab(target, "setup", *KEYS).code == 0


def test_killed_in_the_middle_and_then_again_converges(bare: TestHost, fab: Fab) -> None:
    """The operator's program is killed while it waits; the next run waits for what goes on there and finishes the rest."""
    bare.sh(f"docker stop {CONTAINER}; rm /run/gpudock/holder")
    running = fab.start({"gpu01": (bare, "root")}, "setup", *KEYS)
    until(lambda: "stack.up" in bare.sh("cat /run/gpudock/holder", check=False))
    running.kill()
    running.communicate()
    done = fab({"gpu01": (bare, "root")}, "setup", "--wait", *KEYS)
    assert done.code == 0, done.err
    assert "nothing to change" in fab({"gpu01": (bare, "root")}, "setup", *KEYS).out


def test_teardown_takes_away_ours_and_nothing_else(bare: TestHost, fab: Fab) -> None:
    """Stack, image and files go, volumes and /opt/ai stay; then the volumes on demand; the engine is still there."""
    bare.write("/opt/ai/work", "mine")
    target = {"gpu01": (bare, "root")}
    assert fab(target, "teardown").code == 0
    assert CONTAINER not in bare.sh("docker ps -a; docker images")
    assert not bare.sh("ls -d /var/lib/gpudock 2>/dev/null; :")
    assert f"{CONTAINER}_home" in bare.sh("docker volume ls")
    assert fab(target, "teardown", "--volumes").code == 0
    assert CONTAINER not in bare.sh("docker volume ls")
    assert bare.read("/opt/ai/work") == "mine"
    assert "nothing to change" in fab(target, "teardown", "--volumes").out
