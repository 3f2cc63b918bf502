"""Plans are pure: facts and settings in, the phrases of the actions out."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpudock.actions import Action, Run, Write
from gpudock.errors import UsageError
from gpudock.step import Blocked
from gpudock.steps import compose, gpu_mode, image, inputs, jupyter, services, ssh, stack
from gpudock.steps.container import Container
from gpudock.steps.engine import Engine
from gpudock.steps.image import Image
from gpudock.steps.jupyter import Jupyter
from gpudock.steps.machine import OPERATOR, Machine
from gpudock.steps.services import Services
from gpudock.steps.ssh import Ssh
from tests.conftest import Settle

DEBIAN = Machine("debian", "", "13", "trixie", "amd64", True, "580.95.05", "ops", 1234, 1234, False, True)
BARE = Engine(DEBIAN, False, "", "", "", False, (), False, (), False, {}, False, 0, False, False)
ENGINE = Engine(
    DEBIAN, True, "26.1.5", "", "/usr/bin/docker", True, ("/usr/bin/docker", "compose"), True, ("ops",), False,
    {"runc": {}}, False, 2, False, False,
)  # fmt: skip
IMAGE = Image(
    ENGINE,
    "sha256:1",
    "",
    "2026-01-01T00:00:00Z",
    1,
    ("gpudock/base:nvidia-cuda-13.0.3-base-ubuntu24.04-bookworm",),
    True,
)
CONTAINER = Container(IMAGE, None, "", "", "", "", "", "", "", False, (), (), ())


def test_a_stack_waits_for_engine_and_image(settle: Settle) -> None:
    """A step that needs another one names it instead of guessing."""
    with pytest.raises(Blocked):
        image.plan(settle(), replace(IMAGE, engine=BARE))
    with pytest.raises(Blocked):
        stack.plan(settle(), replace(CONTAINER, image=replace(IMAGE, id="")))


def whys(plan: list[Action]) -> list[str]:
    """The log lines of a plan."""
    return [action.why for action in plan]


def test_the_image_is_built_only_when_its_inputs_change(settle: Settle) -> None:
    """The label's hash decides; a changed package group or Python changes it."""
    current = replace(IMAGE, inputs=inputs.fingerprint(settle(), DEBIAN))
    assert image.plan(settle(), current) == []
    for override in ("image.groups=[notebook]", "image.python='3.13'", "image.environment=other"):
        assert whys(image.plan(settle(override), current))[-1] == "build the image cuda_container_chatbot"


def test_no_secret_of_the_build_stands_in_an_argument(settle: Settle) -> None:
    """Addresses with passwords go by files and environment, never by argv."""
    wanted = settle(
        "mirrors.pypi=https://me:geheim@pypi", "mirrors.apt=https://me:geheim@apt",
        "network.https_proxy=http://me:geheim@proxy",
    )  # fmt: skip
    for action in image.plan(wanted, replace(IMAGE, bases=())):
        assert "geheim" not in str(action.describe())


def test_a_build_reaches_a_proxy_at_the_hosts_loopback(settle: Settle) -> None:
    """A build's own network does not lead to the host's 127.0.0.1, so it gets the host's; no other build does."""
    for address, shared in (("http://127.0.0.1:7890", True), ("http://proxy:3128", False)):
        wanted = settle(f"network.https_proxy={address}")
        built = image.plan(wanted, replace(IMAGE, bases=()))[-1]
        assert isinstance(built, Run)
        assert ("--network host" in " ".join(built.argv)) is shared


def service_of(settings: Any, machine: Machine) -> dict[str, Any]:
    """The rendered service."""
    import yaml

    mode = gpu_mode.of(settings, replace(ENGINE, machine=machine)).mode
    document = yaml.safe_load(compose.render(settings, machine, mode))
    service: dict[str, Any] = document["services"][settings.stack.name]
    return service


def test_the_compose_file_is_safe_and_sound(settle: Settle) -> None:
    """Loopback only, an init, shared memory, the operator's ids, GPUs by the runtime, never privileged."""
    service = service_of(settle(), DEBIAN)
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["init"] is True
    assert service["shm_size"] == "16gb"
    assert (service["environment"]["GPUDOCK_USER"], service["environment"]["GPUDOCK_UID"]) == ("ops", "1234")
    assert service["runtime"] == "nvidia"
    assert "privileged" not in service
    assert service_of(settle("stack.bind_address='::1'"), DEBIAN)["ports"][0] == "[::1]:8022:8022"
    assert "/opt/ai:/opt/ai" in service["volumes"]
    assert "/var/lib/gpudock/cuda_container_chatbot/container:/etc/gpudock:ro" in service["volumes"]


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("CORP\\tom smith", "tom-smith"),
        ("tom smith@corp.example", "tom-smith"),
        ("20231234", "u20231234"),
        ("张三", "operator"),
        ("a" * 40, "a" * 32),
    ],
)
def test_the_operators_name_is_one_that_useradd_takes(settle: Settle, shell: str, name: str, inside: str) -> None:
    """It comes from the host as it is, and makes no container that cannot start."""
    environment = {"SUDO_USER": name, "SUDO_UID": "4000000000", "SUDO_GID": "4000000000"}
    said = subprocess.run([shell, "-c", OPERATOR], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [name, "4000000000", "4000000000"]
    assert service_of(settle(), replace(DEBIAN, user=name))["environment"]["GPUDOCK_USER"] == inside


@pytest.mark.parametrize(("mode", "key"), [("runtime", "runtime"), ("cdi", "devices"), ("gpus", "deploy")])
def test_each_gpu_mode_has_its_form(settle: Settle, mode: str, key: str) -> None:
    """The mode's file is merged in, and no other's."""
    service = service_of(settle(f"gpu.mode={mode}"), DEBIAN)
    assert {"runtime", "devices", "deploy"} & set(service) == {key}
    assert not {"runtime", "devices", "deploy"} & set(
        service_of(settle(f"gpu.mode={mode}"), replace(DEBIAN, driver=""))
    )


def test_dollars_reach_the_container_as_they_are(settle: Settle) -> None:
    """Compose must not take a value's $ for a variable."""
    given = service_of(settle("stack.environment={A: 'x$y', N: 8}"), DEBIAN)["environment"]
    assert (given["A"], given["N"]) == ("x$$y", "8")


RUNNING = Services(replace(CONTAINER, id="1", status="running", ours=True), (), ())


def test_keys_of_somebody_else_are_counted_before_they_go(settle: Settle, tmp_path: Path) -> None:
    """Whoever runs setup last decides who may log in, and sees in the plan that others may not any more."""
    (tmp_path / "me").write_text("ssh-ed25519 AAAA me\n")
    mine = settle(f"ssh.authorized_keys=[{tmp_path}/me]")
    first, others = Ssh(RUNNING, None), Ssh(RUNNING, "ssh-ed25519 BBBB you\nssh-ed25519 AAAA me\n")
    assert whys(ssh.plan_start(mine, first))[0] == "put your public keys in place"
    assert whys(ssh.plan_start(mine, others))[0] == "put your public keys in place, instead of 1 that is there"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n", "private holds no public key"),
        ("# none\n", "private holds no public key"),
        (None, "ssh-ed25519 AAAA… bob is no public key"),
    ],
)
def test_a_key_that_is_none_is_told_before_the_build(
    settle: Settle, tmp_path: Path, key: str | None, said: str
) -> None:
    """A private one, which must not leave this machine, an empty file, the README's placeholder: whose it is is named."""
    if key is not None:
        (tmp_path / "private").write_text(key)
    named = "ssh-ed25519 AAAA… bob" if key is None else tmp_path / "private"
    settings = settle(f"ssh.users={{bob: {{keys: ['{named}']}}}}")
    with pytest.raises(UsageError, match=r"^ssh\.users\.bob\.keys: .*") as caught:
        ssh.needs(settings, Ssh(RUNNING, None))
    assert said in str(caught.value)
    if key is not None:
        with pytest.raises(UsageError, match="holds no public key"):
            ssh.needs(settle(f"ssh.authorized_keys=[auto, {named}]"), Ssh(RUNNING, None))
    ssh.needs(settle("ssh.enabled=false", f"ssh.users={{bob: {{keys: ['{named}']}}}}"), Ssh(RUNNING, None))


def test_services_are_switched_on_once_and_off_once(settle: Settle) -> None:
    """On and up: nothing to do. On and down: started again. Off: its switch goes, then it is stopped."""
    on = replace(RUNNING, wanted=("ssh",), up=("ssh",))
    assert whys(services.start(settle(), RUNNING, "ssh", changed=False)) == [
        "switch ssh on",
        "start ssh and wait until it listens",
    ]
    assert services.start(settle(), on, "ssh", changed=False) == []
    assert whys(services.start(settle(), replace(on, up=()), "ssh", changed=False)) == [
        "start ssh and wait until it listens"
    ]
    assert whys(services.stop(settle(), on, "ssh")) == ["switch ssh off", "stop ssh"]
    assert services.stop(settle(), RUNNING, "ssh") == []


def test_the_password_is_kept_only_as_its_hash(settle: Settle) -> None:
    """The written text verifies, holds no password, and the same password again changes nothing."""
    plan = jupyter.plan_password(settle(), Jupyter(RUNNING, None, True), lambda: "geheim")
    write = plan[0]
    assert isinstance(write, Write)
    assert write.text.startswith("argon2:$argon2id$")
    assert write.mode == 0o600
    assert "geheim" not in write.text + str(write.describe()) + repr(write)
    assert whys(plan)[1] == "take the token away"
    known = Jupyter(RUNNING, write.text, False)
    assert jupyter.plan_password(settle(), known, lambda: "geheim") == []
    assert jupyter.plan_password(settle(), known, lambda: "other")


def test_a_password_that_was_not_taken_up_is_taken_up(settle: Settle) -> None:
    """A run that broke off behind the hash has left the token and a JupyterLab with the former secret: both go."""
    known = jupyter.hashed("geheim")
    left = replace(RUNNING, wanted=("jupyter",), up=("jupyter",), former=True)
    look, start = "look whether somebody's work runs in it", "start jupyter and wait until it listens"
    with_token = jupyter.plan_password(settle(), Jupyter(left, known, True), lambda: "geheim")
    assert whys(with_token) == [look, "take the token away", start]
    assert whys(jupyter.plan_password(settle(), Jupyter(left, known, False), lambda: "geheim")) == [look, start]
    assert whys(jupyter.plan_start(settle(), Jupyter(left, known, False))) == [look, start]
    assert jupyter.plan_start(settle(), Jupyter(replace(left, former=False), known, False)) == []


def test_jupyter_never_runs_open(settle: Settle) -> None:
    """Without a password a token is made, before the start."""
    assert (
        whys(jupyter.plan_start(settle(), Jupyter(RUNNING, None, False)))[0] == "make a token, as no password is given"
    )
    assert whys(jupyter.plan_password(settle(), Jupyter(RUNNING, None, False), lambda: None)) == [
        "make a token, as no password is given"
    ]


def test_the_build_and_the_container_trust_whom_the_host_trusts(settle: Settle) -> None:
    """By default the host's own bundle goes into the build, by a secret, and into the container, once."""
    machine = replace(DEBIAN, driver="", authorities="/etc/ssl/certs/ca-certificates.crt", authorities_hash="ab")
    facts = replace(CONTAINER, image=replace(IMAGE, engine=replace(ENGINE, machine=machine)))
    assert "hand the build its certificates" in whys(image.plan(settle(), facts.image))
    put = "have the container trust whom the host trusts"
    assert put in whys(stack.plan(settle(), facts))
    assert put not in whys(stack.plan(settle(), replace(facts, ca_hash="ab")))
    assert "SSL_CERT_FILE: /etc/gpudock/ca.crt" in compose.render(settle(), machine)
    assert "SSL_CERT_FILE" not in compose.render(settle("network.ca_bundle=''"), machine)
