"""The container's inside on a server: the operator's own scripts, users and passwords; a look from a login."""

from __future__ import annotations

import json
from pathlib import Path

import paramiko
import pytest

from tests.conftest import Fab, Hosts
from tests.hosts import guarded_index
from tests.hosts.operator import SCRIPTS, colleagues, login, run, wanted
from tests.testbed import TestHost
from tests.waiting import until

CONTAINER = "cuda_container_chatbot"
PASSWORD = "Zebra-7431-Quagga"


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A server with an engine, operated by an ordinary user."""
    return hosts("trixie-docker")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's scripts and their colleagues' keys."""
    return colleagues(tmp_path_factory.mktemp("operator"))


def test_setup_with_all_kinds_of_additions_and_again_changes_nothing(host: TestHost, folder: Path, fab: Fab) -> None:
    """Scripts, users, a password, variables, a volume, time zone and language in one command; the second finds all so."""
    target, environ = {"gpu01": (host, "ops")}, {"GPUDOCK_SSH_PASSWORD": "correct horse"}
    done = fab(target, "setup", *wanted(folder), environ=environ)
    assert done.code == 0, done.out + done.err
    again = fab(target, "setup", *wanted(folder), "--json", environ=environ)
    assert '"changed": 0' in again.out, again.out
    assert "correct horse" not in done.out + again.out
    assert "$2b$" not in done.out + again.out


def test_packages_and_build_scripts_are_in_the_image_and_no_trace_of_the_build(host: TestHost) -> None:
    """The build script found the added packages; neither the script nor apt's lists stayed."""
    look = "cat /opt/built; ls -d /additions /build /var/lib/apt/lists/*_* /run/secrets 2>/dev/null"
    assert host.sh(f"docker run --rm --entrypoint sh {CONTAINER} -c '{look}'; :") == "built\n"


def test_the_built_image_passes_its_check(host: TestHost, folder: Path, fab: Fab) -> None:
    """Every package of the group imports, sshd and JupyterLab answer, nothing is left over; nothing of the look stays."""
    done = fab({"gpu01": (host, "ops")}, "image.check", *wanted(folder), "--json")
    assert done.code == 0, done.out + done.err
    rows = json.loads(done.out.splitlines()[0])["facts"]["rows"]
    found = {(row["what"], row["status"]): row["found"] for row in rows}
    assert found["imports", "ok"] == "11 of 11 packages import"
    assert found["JupyterLab", "ok"].startswith("4.")
    assert ("services", "ok") in found
    assert float(found["size", "ok"].split()[0]) > 300
    assert host.sh("docker ps -a --format '{{.Names}}'") == f"{CONTAINER}\n"


def test_an_image_with_faults_fails_its_check_with_each_of_them(host: TestHost, folder: Path, fab: Fab) -> None:
    """A package gone, host keys and a cache left, a token in a variable, an sshd that does not start: exit code 4."""
    faults = "RUN pip uninstall -y tqdm && ssh-keygen -A && mkdir -p /root/.cache && touch /root/.cache/x && echo Nonsense yes >>/etc/ssh/sshd_config"
    recipe = f"FROM {CONTAINER}\nENV MY_API_KEY=sk-0123456789\n{faults}\n"
    host.sh("docker build -q -t faulty -", data=recipe)
    done = fab({"gpu01": (host, "ops")}, "image.check", *wanted(folder), "--set", "image.name=faulty")
    assert done.code == 4, done.out + done.err
    for said in ("tqdm : is not installed", "SSH host keys: /etc/ssh/", "caches of pip, uv, conda", "Bad configuration option",
                 "holds a credential: MY_API_KEY"):  # fmt: skip
        assert said in done.out, said
    assert "sk-0123456789" not in done.out


def test_a_difference_names_what_a_build_would_change(host: TestHost, folder: Path, fab: Fab) -> None:
    """Nothing against the settings it was built of; another group adds its packages; less of one's own is another image."""
    target = {"gpu01": (host, "ops")}
    assert "a build has nothing to do" in fab(target, "image.diff", *wanted(folder)).out
    more = fab(target, "image.diff", *wanted(folder), "--set", "image.groups=[notebook,app]", "--json")
    facts = json.loads(more.out.splitlines()[0])["facts"]
    assert {row["running"] for row in facts["packages"] if row["package"] in ("gradio", "openai")} == {"-"}
    assert facts["builds"] is True
    none = fab(target, "image.diff", *wanted(folder), "--set", "additions.pip=[]")
    assert f"image.build would build {CONTAINER} anew" in none.out


def test_a_mirrors_password_reaches_neither_layer_nor_log(host: TestHost, folder: Path, fab: Fab) -> None:
    """A package comes by an index that wants a password; image, history, output, log and the host's files are free of it."""
    address = guarded_index.serve(host, f"me:{PASSWORD}")
    words = [*wanted(folder), "--set", "image.name=mirrored", "--set", "additions.pip=[iniconfig]"]
    words += ["--set", f"mirrors.pypi={address}", "--json"]
    done = fab({"gpu01": (host, "ops")}, "image.build", *words)
    assert done.code == 0, done.err
    assert "/iniconfig/ known" in guarded_index.asked(host)
    assert PASSWORD not in done.out + done.err
    look = f"docker save mirrored | grep -ac {PASSWORD}; docker history --no-trunc mirrored | grep -c {PASSWORD}"
    assert host.sh(f"{look}; grep -rl {PASSWORD} /var/lib/gpudock /var/log | wc -l").split() == ["0", "0", "0"]
    host.sh("docker image rm mirrored")


def test_back_to_the_former_image_and_forth(host: TestHost, folder: Path, fab: Fab) -> None:
    """A changed build replaces the image; rollback brings the former one and the stack back; setup leaves it; twice is forth."""
    target = {"gpu01": (host, "ops")}
    environ = {"GPUDOCK_SSH_PASSWORD": "correct horse"}
    running = f"docker inspect -f '{{{{.Image}}}}' {CONTAINER}"
    first = host.sh(running)
    refused = fab(target, "image.rollback", *wanted(folder))
    assert (refused.code, "There is no former image" in refused.err) == (1, True)
    (folder / "build.sh").write_text(SCRIPTS["build.sh"] + "echo more\n")
    assert fab(target, "setup", *wanted(folder), environ=environ).code == 0
    second = host.sh(running)
    assert second != first
    assert fab(target, "image.rollback", *wanted(folder)).code == 0
    assert host.sh(running) == first
    again = fab(target, "setup", *wanted(folder), environ=environ)
    assert "image.build: skipped, what the settings say was rolled back" in again.out
    assert host.sh(running) == first
    assert fab(target, "image.rollback", *wanted(folder)).code == 0
    assert host.sh(running) == second
    assert "nothing to change" in fab(target, "setup", *wanted(folder), environ=environ).out


def test_a_requirement_against_the_locks_is_told(host: TestHost, folder: Path, fab: Fab) -> None:
    """What a group locks is not bent: the build ends, names both, and the former image stays."""
    before = host.sh(f"docker image inspect -f '{{{{.Id}}}}' {CONTAINER}")
    done = fab({"gpu01": (host, "ops")}, "image.build", *wanted(folder), "--set", "additions.pip=['numpy<2']")
    assert done.code == 1
    assert "numpy<2" in done.err
    assert "A requirement of yours contradicts what a package group locks" in done.err
    assert host.sh(f"docker image inspect -f '{{{{.Id}}}}' {CONTAINER}") == before


def test_first_scripts_run_once_and_start_scripts_at_each_start(host: TestHost) -> None:
    """As root, with what the container knows of its user, over two starts of one container."""
    host.sh(f"docker restart {CONTAINER}")
    until(lambda: host.sh(f"docker exec {CONTAINER} cat /opt/start", check=False) == "again\nagain\n")
    assert host.sh(f"docker exec {CONTAINER} cat /opt/first") == "ops\n"
    until(lambda: "ssh up" in host.sh(f"docker exec {CONTAINER} gpudock-service status", check=False))


def test_each_user_has_their_own_key_uid_and_rights(host: TestHost, folder: Path) -> None:
    """Alice with her UID and without sudo, bob with it, each by their own key alone; both may `pip install`."""
    with login(host, "alice", key=folder / "alice") as alice:
        assert run(alice, "id -u; id -un").split() == ["1501", "alice"]
        assert run(alice, "sudo -n id -u 2>/dev/null") == ""
        assert "six" in run(alice, "pip install -q --no-deps six 2>&1; pip list 2>/dev/null")
        assert run(alice, "mkdir /var/cache/gpudock/huggingface/hub/models--x && echo made") == "made\n"
    with login(host, "bob", key=folder / "bob") as bob:
        assert run(bob, "sudo -n id -u") == "0\n"
    with pytest.raises(paramiko.AuthenticationException):
        login(host, "alice", key=folder / "bob")
    with pytest.raises(paramiko.AuthenticationException):
        login(host, "root", key=folder / "alice")


def test_the_password_signs_the_containers_user_in_and_nobody_else(host: TestHost) -> None:
    """The right one opens, a wrong one and another user do not; on the server there is only a hash, for root to read."""
    with login(host, "ops", password="correct horse") as own:
        assert run(own, "id -un") == "ops\n"
    for user, password in (("ops", "wrong"), ("alice", "correct horse"), ("root", "correct horse")):
        with pytest.raises(paramiko.AuthenticationException):
            login(host, user, password=password)
    kept = f"/var/lib/gpudock/{CONTAINER}/container/ssh/password"
    assert host.sh(f"stat -c %a {kept}; head -c 4 {kept}") == "600\n$2b$"
    assert "$2b$" not in host.sh(f"docker inspect {CONTAINER}; docker logs {CONTAINER} 2>&1; cat /proc/*/cmdline")


def test_a_session_has_what_editors_and_the_operator_expect(host: TestHost, folder: Path) -> None:
    """Variables, language, time zone; sftp, forwarding, tar, curl and ps for VS Code and JetBrains; all without a login shell."""
    with login(host, "ops", password="correct horse") as own:
        assert run(own, "echo $MY_VALUE; date +%Z; locale charmap").splitlines() == ["a b", "CST", "UTF-8"]
        assert "一月" in run(own, "date -d 2026-01-05 +%B")
        assert own.open_sftp().listdir("/scratch") == []
        assert run(own, "which tar curl wget ps").count("/") >= 4
        forwarded = own.get_transport()
        assert forwarded is not None
        assert forwarded.open_channel("direct-tcpip", ("127.0.0.1", 8888), ("127.0.0.1", 0)).active


def test_a_login_is_greeted_and_no_login_script_can_end_it(host: TestHost, folder: Path) -> None:
    """The greeting names GPU, environment and mounts; the alias is there though its script failed and called exit."""
    with login(host, "alice", key=folder / "alice") as alice:
        assert "environment" not in run(alice, "bash -lc true")
        shell = alice.invoke_shell(width=400)
        shell.send(b"greet; exit\n")
        seen = b""
        while piece := shell.recv(4096):
            seen += piece
    said = seen.decode()
    assert "GPU          none" in said
    assert "environment  chatbot: Python 3.11" in said
    assert "/scratch" in said
    assert "login script 00-login.sh: failed with exit code 3" in said
    assert "hello from an alias" in said


def test_a_failing_script_is_told_and_ssh_runs_all_the_same(host: TestHost, folder: Path, fab: Fab) -> None:
    """Setup ends with its name, code and last words; SSH answers; with the script mended the same command succeeds."""
    target = {"gpu01": (host, "ops")}
    done = fab(target, "setup", *wanted(folder, start="fails.sh"))
    assert done.code == 1
    assert "start/00-fails.sh: failed with exit code 7" in done.err
    assert "the disk of the lab is away" in done.err
    assert "stack.shell" in done.out  # the ways in are told all the same
    with login(host, "alice", key=folder / "alice") as alice:
        assert run(alice, "id -un") == "alice\n"
    until(lambda: "healthy" in host.sh(f"docker ps --filter name={CONTAINER} --filter health=healthy"))
    (folder / "fails.sh").write_text("true\n")
    assert fab(target, "setup", *wanted(folder, start="fails.sh")).code == 0


def test_a_token_that_a_run_left_behind_is_taken_up(host: TestHost, folder: Path, fab: Fab) -> None:
    """Where a run broke off between a new secret and its JupyterLab, the next one finds the former one at work."""
    host.write(f"/var/lib/gpudock/{CONTAINER}/container/jupyter/token", "the-new-one\n")
    words = [*wanted(folder, start="fails.sh"), "--yes"]
    done = fab({"gpu01": (host, "ops")}, "setup", *words)
    assert "jupyter.start: start jupyter and wait until it listens … changed" in done.out, done.out + done.err
    config = "/run/gpudock/jupyter/jupyter_server_config.json"
    assert "the-new-one" in host.sh(f"docker exec {CONTAINER} cat {config}")
    assert "nothing to change" in fab({"gpu01": (host, "ops")}, "setup", *words).out


def test_a_user_comes_and_goes_without_a_restart(host: TestHost, folder: Path, fab: Fab) -> None:
    """Bob is taken off the settings: his sessions end and his key opens nothing, his home stays, nothing is restarted."""
    started = host.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {CONTAINER}")
    words = wanted(folder, start="fails.sh", users="alice")
    with login(host, "bob", key=folder / "bob") as bob:
        run(bob, "touch work")
        done = fab({"gpu01": (host, "ops")}, "ssh.start", *words)
        assert done.code == 0, done.err
        transport = bob.get_transport()
        assert transport is not None
        until(lambda: not transport.is_active())
    with pytest.raises(paramiko.AuthenticationException):
        login(host, "bob", key=folder / "bob")
    assert host.sh(f"docker exec {CONTAINER} ls /home/bob") == "work\n"
    assert host.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {CONTAINER}") == started


def test_a_name_the_image_has_already_is_told(host: TestHost, folder: Path, fab: Fab) -> None:
    """An account of the image is nobody's to take over; the other users are made, and every run says it again."""
    extra = ["--set", f"ssh.users={{games: {{keys: ['{folder}/bob.pub']}}, carol: {{keys: ['{folder}/bob.pub']}}}}"]
    words = [*wanted(folder, start="fails.sh"), *extra]
    for _ in range(2):
        done = fab({"gpu01": (host, "ops")}, "ssh.start", *words)
        assert done.code == 1
        assert "ssh user games: the image has an account of this name" in done.err
    with login(host, "carol", key=folder / "bob") as carol:
        assert run(carol, "id -un") == "carol\n"
