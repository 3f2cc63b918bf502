"""What goes inside the container, as plans: the operator's own scripts, users, passwords, variables, volumes, ports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpudock.actions import Run, Write
from gpudock.errors import Refused, UsageError
from gpudock.step import Blocked
from gpudock.steps import accounts, additions, compose, image, jupyter, scripts, ssh, stack, trust
from gpudock.steps.inputs import fingerprint
from gpudock.steps.scripts import Progress
from gpudock.steps.services import Services
from gpudock.steps.ssh import Ssh
from tests.conftest import Settle
from tests.golden.test_plans import CONTAINER, DEBIAN, IMAGE, whys

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEx alice"
UP = Services(replace(CONTAINER, id="1", status="running", ours=True), ("ssh",), ("ssh",))


def document(settings: Any) -> dict[str, Any]:
    """The rendered compose file."""
    loaded: dict[str, Any] = yaml.safe_load(compose.render(settings, DEBIAN))
    return loaded


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script of the operator's, in a folder with a space in its name."""
    path = tmp_path / "my scripts" / "mount data.sh"
    path.parent.mkdir()
    path.write_text("mount /data\n")
    return path


def test_a_script_reaches_the_host_and_its_change_starts_the_container_anew(settle: Settle, script: Path) -> None:
    """It is written executable, and the compose file's hash follows its text."""
    settings = settle(f"additions.scripts.first_start=['{script}']")
    write = stack.plan(settings, CONTAINER)[0]
    assert isinstance(write, Write)
    assert write.path == "/var/lib/gpudock/cuda_container_chatbot/container/scripts/first/00-mount-data.sh"
    assert (write.text, write.mode) == ("mount /data\n", 0o755)
    before = compose.configuration(settings, DEBIAN)
    script.write_text("mount /other\n")
    assert compose.configuration(settings, DEBIAN) != before
    assert compose.configuration(settle(), DEBIAN) != before


def test_a_script_no_longer_wanted_is_taken_away(settle: Settle) -> None:
    """What is there and not in the settings goes, and what is as wanted is not written again."""
    there = replace(CONTAINER, scripts={"scripts/login/00-old.sh": "x"})
    assert whys(stack.plan(settle(), there))[0] == "take the script scripts/login/00-old.sh away"


def test_scripts_are_seen_through(settle: Settle, script: Path) -> None:
    """None: nothing to do. All well: nothing. Running: waited for. Failed: run again. No container: stack.up first."""
    settings = settle(f"additions.scripts.start=['{script}']")
    name = "start/00-mount-data.sh"
    seen = Progress(UP.container, {name: "ok"})
    assert scripts.plan(settle(), Progress(CONTAINER, {})) == []
    assert scripts.plan(settings, seen) == []
    assert whys(scripts.plan(settings, replace(seen, state={name: "running"}))) == [f"wait for your scripts {name}"]
    again = scripts.plan(settings, replace(seen, state={name: "failed 3"}))[0]
    assert isinstance(again, Run)
    assert again.argv == ("docker", "exec", "cuda_container_chatbot", "gpudock-scripts", "run")
    with pytest.raises(Blocked):
        scripts.plan(settings, Progress(CONTAINER, {}))
    assert scripts.skip(settle(), seen) == ""


def test_users_get_their_own_keys_without_a_restart(settle: Settle) -> None:
    """Their files are written and taken up by the running container; the compose file knows nothing of them."""
    settings = settle(f"ssh.users={{alice: {{keys: ['{KEY}'], uid: 1501}}, bob: {{keys: ['{KEY}'], sudo: true}}}}")
    assert accounts.files(settings, "ops") == {
        "users": "alice 1501 no\nbob auto yes\n",
        "keys/alice": f"{KEY}\n",
        "keys/bob": f"{KEY}\n",
    }
    keys = ssh.public_keys(settings)
    assert whys(ssh.plan_start(settings, Ssh(UP, keys))) == [
        "write the SSH file users", "write the SSH file keys/alice", "write the SSH file keys/bob",
        "start ssh and wait until it listens",
    ]  # fmt: skip
    there = Ssh(UP, keys, accounts.files(settings, "ops"))
    assert ssh.plan_start(settings, there) == []
    assert whys(ssh.plan_start(settings, replace(there, services=replace(UP, users=False)))) == [
        "start ssh and wait until it listens"
    ]
    assert compose.configuration(settings, DEBIAN) == compose.configuration(settle(), DEBIAN)


def test_a_user_that_is_gone_from_the_settings_loses_the_key(settle: Settle) -> None:
    """The list and the key are taken away, and the container takes that up."""
    there = Ssh(UP, ssh.public_keys(settle()), {"users": "alice auto no\n", "keys/alice": f"{KEY}\n"})
    assert whys(ssh.plan_start(settle(), there)) == [
        "take the SSH file keys/alice, users away",
        "start ssh and wait until it listens",
    ]


@pytest.mark.parametrize("name", ["root", "ops"])
def test_the_containers_own_user_is_nobody_elses(settle: Settle, name: str) -> None:
    """A second account of that name cannot be."""
    with pytest.raises(Refused, match=name):
        accounts.files(settle(f"ssh.users={{{name}: {{keys: ['{KEY}']}}}}"), "ops")


def test_only_the_hash_of_the_ssh_password_leaves_this_machine(settle: Settle) -> None:
    """A crypt hash in a file of mode 0600, never shown; the same password again changes nothing; off takes it away."""
    settings = settle("ssh.passwords=true")
    write = accounts.plan_password(settings, "/x", None, lambda: "geheim")[0]
    assert isinstance(write, Write)
    assert write.text.startswith("$2b$")
    assert (write.mode, write.secret) == (0o600, True)
    assert "geheim" not in write.text + str(write.describe()) + repr(write)
    assert accounts.plan_password(settings, "/x", write.text, lambda: "geheim") == []
    assert accounts.plan_password(settings, "/x", write.text, lambda: None) == []
    assert accounts.plan_password(settings, "/x", write.text, lambda: "other")
    assert whys(accounts.plan_password(settle(), "/x", write.text, lambda: None)) == [
        "take the hash of the SSH password away"
    ]


def test_passwords_without_a_password_are_refused(settle: Settle) -> None:
    """The settings allow them and there is none: the ways to give one are named. One that is too long is refused."""
    with pytest.raises(Refused, match="GPUDOCK_SSH_PASSWORD"):
        accounts.plan_password(settle("ssh.passwords=true"), "/x", None, lambda: None)
    with pytest.raises(UsageError, match="72 bytes"):
        accounts.plan_password(settle("ssh.passwords=true"), "/x", None, lambda: "x" * 73)


def test_variables_volumes_ports_and_language_are_the_operators(settle: Settle) -> None:
    """Each in its place of the compose file; a volume with a name is declared, so that Compose makes it."""
    overrides = ("stack.environment={MY_VALUE: a}", "stack.ports=['80:8080', 9000]", "stack.locale=zh_CN.UTF-8",
                 "stack.volumes=['scratch:/scratch', '/data:/data:ro']")  # fmt: skip
    loaded = document(settle(*overrides))
    service = loaded["services"]["cuda_container_chatbot"]
    assert service["ports"][2:] == ["127.0.0.1:80:8080", "127.0.0.1:9000:9000"]
    assert {"scratch:/scratch", "/data:/data:ro"} <= set(service["volumes"])
    assert "scratch" in loaded["volumes"]
    assert "/data" not in loaded["volumes"]
    assert service["environment"]["GPUDOCK_VARIABLES"] == "MY_VALUE"
    assert service["environment"]["LANG"] == "zh_CN.UTF-8"


def test_packages_of_the_operators_own_are_read_from_each_kind_of_file(settle: Settle, tmp_path: Path) -> None:
    """requirements.txt, uv.lock with its pyproject.toml, environment.yml; another file is exit code 2."""
    texts = {"reqs.txt": "six\n", "uv.lock": "lock", "pyproject.toml": "project", "x.json": "{}",
             "env.yaml": "dependencies: [python=3.11, pip, {pip: [six, attrs]}]", "conda.yml": "dependencies: [ffmpeg, {pip: [six]}]",
             "more.txt": "-r other.txt"}  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for name, expected in [
        ("reqs.txt", {"pip/requirements.txt": "six\n"}),
        ("uv.lock", {"pip/uv.lock": "lock", "pip/pyproject.toml": "project"}),
        ("env.yaml", {"pip/requirements.txt": "six\nattrs\n"}),
    ]:
        assert additions.context(settle(f"additions.pip_file={tmp_path / name}")) == expected
    for name, said in [
        ("x.json", "should be requirements.txt"), ("conda.yml", "ffmpeg: packages of conda"), ("more.txt", "another file"),
    ]:  # fmt: skip
        with pytest.raises(UsageError, match=said):
            additions.context(settle(f"additions.pip_file={tmp_path / name}"))


def test_an_environment_of_conda_takes_packages_of_conda_forge(settle: Settle, tmp_path: Path) -> None:
    """By conda what is conda's, by uv what is PyPI's; a channel with terms of its own is refused."""
    (tmp_path / "e.yml").write_text("{channels: [conda-forge], dependencies: [python, ffmpeg>=7, {pip: [six]}]}")
    wanted = additions.context(settle("image.env=conda", f"additions.pip_file={tmp_path / 'e.yml'}"))
    assert wanted == {"pip/conda.txt": "ffmpeg>=7\n", "pip/requirements.txt": "six\n"}
    (tmp_path / "e.yml").write_text("{channels: [defaults], dependencies: [ffmpeg]}")
    with pytest.raises(UsageError, match="defaults: only conda-forge"):
        additions.context(settle("image.env=conda", f"additions.pip_file={tmp_path / 'e.yml'}"))


def test_what_goes_into_the_image_is_part_of_its_hash_and_sent_with_the_context(settle: Settle, script: Path) -> None:
    """Packages, requirements and build scripts; a script's change alone builds anew."""
    settings = settle("additions.apt=[ffmpeg]", "additions.pip=[six]", f"additions.scripts.build=['{script}']")
    current = replace(IMAGE, inputs=fingerprint(settings, DEBIAN))
    assert image.plan(settings, current) == []
    script.write_text("echo other\n")
    written = [action for action in image.plan(settings, current) if isinstance(action, Write)]
    sent = {action.path: action.text for action in written}
    modes = {action.path: action.mode for action in written}
    folder = "/var/lib/gpudock/build/context/additions"
    assert sent[f"{folder}/apt/packages"] == "ffmpeg\n"
    assert sent[f"{folder}/pip/list.txt"] == "six\n"
    assert sent[f"{folder}/scripts/00-mount-data.sh"] == "echo other\n"
    assert modes[f"{folder}/scripts/00-mount-data.sh"] == 0o755  # one that begins with #! is run by itself


def test_a_file_that_is_no_text_is_told(settle: Settle, tmp_path: Path) -> None:
    """A certificate in binary, keys and a password in another encoding: with the setting's or the file's name."""
    file = tmp_path / "binary"
    file.write_bytes(b"0\x82\x03\xff")
    uses: Sequence[tuple[str, Callable[[Any], object]]] = (
        ("network.ca_bundle={}", lambda settings: trust.digest(settings, DEBIAN)),
        ("ssh.authorized_keys=[{}]", ssh.public_keys),
        ("jupyter.password_file={}", jupyter.given),
    )
    for setting, use in uses:
        with pytest.raises(UsageError, match=f"{file}: .*no text in UTF-8"):
            use(settle(setting.format(file)))
