"""All of `setup` on a host with GPUs, as far as a container can have them: toolkit, image, stack and proof, once.

The host has no internet: what it fetches comes by the operator's machine, over the SSH connection.
"""

from __future__ import annotations

import json

import pytest

from tests.conftest import Fab, Hosts
from tests.hosts.container import NAME, PASSWORD, THROUGH, keys, services
from tests.hosts.nvidia import Repository, plug_in_gpu
from tests.testbed import TestHost
from tests.waiting import until


@pytest.fixture(scope="module")
def server(hosts: Hosts) -> TestHost:
    """A server with an engine and two GPUs, operated by an ordinary user; its only way out is the one SSH came by."""
    host = hosts("trixie-docker")
    host.sh("ip route del default")
    plug_in_gpu(host, count=2)
    return host


@pytest.fixture(scope="module")
def words(repository: Repository) -> list[str]:
    """What goes behind every task here."""
    return [*keys(), *repository.overrides, *THROUGH]


def test_a_second_setup_changes_nothing_and_has_the_proof_in_it(server: TestHost, fab: Fab, words: list[str]) -> None:
    """The container gets the GPUs by the runtime, computes are proved once, and the next run finds all of it as wanted."""
    first = fab({"gpu01": (server, "ops")}, "setup", "--json", *words, environ=PASSWORD)
    assert first.code == 0, first.out + first.err
    rows = {row["step"]: row for row in map(json.loads, first.out.splitlines()) if "step" in row}
    assert {rows[f"toolkit.{step}"]["status"] for step in ("repo", "package", "configure", "restart")} == {"changed"}
    assert rows["gpu.prove"]["status"] == "changed"
    shown = f"docker inspect -f '{{{{.HostConfig.Runtime}}}}' {NAME}; docker exec {NAME} nvidia-smi -L"
    assert server.sh(shown).splitlines()[0] == "nvidia"
    assert server.sh(shown).count("NVIDIA H100") == 2
    started = server.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {NAME}")
    again = fab({"gpu01": (server, "ops")}, "setup", "--json", *words, environ=PASSWORD)
    assert again.code == 0, again.out + again.err
    steps = {row["step"]: row["status"] for row in map(json.loads, again.out.splitlines()) if "step" in row}
    assert steps["gpu.prove"] == "ok"
    assert not {step: status for step, status in steps.items() if status not in ("ok", "skipped")}
    assert server.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {NAME}") == started
    checked = fab({"gpu01": (server, "ops")}, "gpu.check", "--json", *words)
    facts = json.loads(checked.out.splitlines()[0])["facts"]
    assert (checked.code, [device["index"] for device in facts["devices"]], facts["problems"]) == (0, ["0", "1"], [])


def test_of_the_way_out_nothing_is_left(server: TestHost) -> None:
    """Neither the proxy nor its password stands in the image, the container or a file of the host."""
    assert "proxy" not in server.sh(
        f"docker history --no-trunc {NAME}; docker image inspect {NAME}; docker inspect {NAME}"
    )
    assert not server.sh("grep -rlE 'gpudock:[^@]+@' /etc /var/lib/gpudock /var/log 2>/dev/null; :")


def test_what_was_started_comes_back_and_what_was_stopped_stays(server: TestHost, fab: Fab) -> None:
    """After kill -9 of a service, a docker restart and a reboot of the host: sshd is there, the stopped Jupyter is not."""
    target = {"gpu01": (server, "ops")}
    assert fab(target, "jupyter.stop").code == 0
    oldest = f"docker exec {NAME} pgrep -ox sshd; :"
    before = server.sh(oldest)
    server.sh(f"docker exec {NAME} pkill -9 -ox sshd")
    until(lambda: server.sh(oldest) not in ("", before) and services(server) == {"ssh": "up", "jupyter": "down"})
    server.sh(f"docker restart {NAME}")
    until(lambda: services(server) == {"ssh": "up", "jupyter": "down"})
    assert fab(target, "jupyter.start").code == 0
    server.reboot()
    until(lambda: services(server) == {"ssh": "up", "jupyter": "up"})


def test_a_changed_password_takes_effect(server: TestHost, fab: Fab) -> None:
    """A new password replaces the former one without anything else being touched."""
    done = fab({"gpu01": (server, "ops")}, "jupyter.password", environ={"GPUDOCK_JUPYTER_PASSWORD": "another"})
    assert done.code == 0, done.err
    assert services(server) == {"ssh": "up", "jupyter": "up"}
    assert (
        "nothing to change"
        in fab({"gpu01": (server, "ops")}, "jupyter.password", environ={"GPUDOCK_JUPYTER_PASSWORD": "another"}).out
    )


def test_status_logs_and_url_answer(server: TestHost, fab: Fab) -> None:
    """The looking tasks say what is there, over the Docker SDK where it is the container's own log."""
    target = {"gpu01": (server, "ops")}
    until(lambda: "running (healthy)" in fab(target, "status").out)  # Docker looks every 5 s; the host has just booted
    assert "ssh: listening on port 8022" in fab(target, "stack.logs").out
    assert "http://127.0.0.1:8888/lab" in fab(target, "jupyter.url").out
    assert "gpudock.configuration" in fab(target, "stack.show").out


def test_a_failing_build_leaves_the_last_image_running(server: TestHost, fab: Fab, words: list[str]) -> None:
    """An index that is not there ends the build with one paragraph; image, container and a rerun are as before."""
    target = {"gpu01": (server, "ops")}
    before = server.sh(f"docker inspect -f '{{{{.Id}}}} {{{{.Image}}}} {{{{.State.StartedAt}}}}' {NAME}")
    overrides = ["--set", "mirrors.pypi=http://me:geheim@127.0.0.1:9/simple", "--set", "image.environment=other"]
    done = fab(target, "image.build", *overrides)
    assert done.code == 1
    assert "mirror" in done.err
    assert "geheim" not in done.out + done.err
    assert server.sh(f"docker inspect -f '{{{{.Id}}}} {{{{.Image}}}} {{{{.State.StartedAt}}}}' {NAME}") == before
    assert not server.sh("ls -d /var/lib/gpudock/build/secrets 2>/dev/null; :")
    assert "nothing to change" in fab(target, "setup", *words).out


def test_a_jupyterlab_that_heeds_no_signal_gets_its_password_all_the_same(server: TestHost, fab: Fab) -> None:
    """One that hangs, or is deaf to TERM, is ended: none goes on with the former password, or after it was stopped."""
    target, place = {"gpu01": (server, "ops")}, "/etc/jupyter/jupyter_server_config.py"
    deaf = (
        "import signal\nheard = signal.signal\nsignal.signal = lambda number, handler: heard(number, signal.SIG_IGN)\n"
    )
    server.sh(f"docker exec -i {NAME} sh -c 'mkdir -p /etc/jupyter && cat >{place}'", data=deaf)
    server.sh(f"docker exec {NAME} sv -w 200 restart /run/service/jupyter")
    serves = f"docker exec {NAME} gpudock-service listens jupyter && echo yes; :"
    until(lambda: server.sh(serves))
    done = fab(target, "jupyter.password", environ={"GPUDOCK_JUPYTER_PASSWORD": "a third"})
    assert done.code == 0, done.err
    assert server.sh(serves)
    assert fab(target, "jupyter.stop").code == 0
    assert not server.sh(serves)
    server.sh(f"docker exec {NAME} rm {place}")
    assert fab(target, "jupyter.start").code == 0
