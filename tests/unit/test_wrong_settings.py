"""What wrong settings get: the place, the key, and what would be right, in words that are no programmer's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpudock.checks import ZONES
from gpudock.config import load, load_inventory
from gpudock.errors import SettingsError
from tests.unit.test_config import fails, root

__all__ = ["root"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("jupyter.port=x", "--set jupyter.port: should be a whole number, not text. (it is 'x')"),
        ("jupyter.port=70000", "should be a TCP port, 1 to 65535."),
        ("stack.wait=0", "at least 1"),
        ("jupyter.port=8022", "used twice; ssh.port has it too"),
        ("stack.ports=[8888]", "used twice; jupyter.port has it too"),
        ("stack.name=''", "stack.name"),
        ("gpu.use=perhaps", "gpu.use"),
        ("mirror=cm", "There are: auto, cn, none."),
        ("network.ca_bundle=/nonexistent", "there is no file /nonexistent"),
        ("nonsense", "should be section.key=value"),
        ("stack=5", "should be a section"),
        ("stack.ports=7860", "should be a list, not a whole number; put it in brackets"),
        ("stack.ports=['a:b']", "should be a TCP port, 1 to 65535, or host port:container port"),
        ("stack.ports=['99999:80']", "99999 is no port"),
        ("stack.name=Chat.Bot", "should be a name of small letters"),
        ("stack.volumes=['data/models:/opt/ai']", "should be /folder:/target or volume:/target"),
        ("stack.bind_address=localhost", "should be an IP address"),
        ("stack.environment={A: true}", "not true or false; put it in quotes"),
        ('stack.environment={A: "a\\nb"}', "stack.environment.A: should be a text of one line"),
        ("stack.environment={1A: x}", "stack.environment.1A: the name should be the name of an environment variable"),
        ("stack.timezone=Asia/Peking", "there is no time zone Asia/Peking"),
        ("image.python=2.7", "should be one of 3.10, 3.11"),
        ("image.groups=[notebok]", "there is no notebok in docker/requirements. Did you mean notebook?"),
        ("image.groups=[auto, llm]", "auto stands alone"),
        ("image.groups=[]", "should not be empty"),
        ("stack.volumes={}", "should be a list, not a section"),
        ("stack.volumes=['/data:/']", "should be /folder:/target or volume:/target"),
        ("stack.timezone=" + "x" * 300, "there is no time zone"),
        ("mirror=[cn]", "--set mirror: should be text, not a list"),
        ("mirror=", "--set mirror: should be text, not nothing"),
        ("profile={a: b}", "--set profile: should be text, not a section"),
        ("mirrors.pypi=pypi.tuna.tsinghua.edu.cn/simple", "mirrors.pypi: should be an address such as https://"),
        ("fleet.connect_timeout=99999999999999999999", "at most 604800, a week"),
        ("jupyter.password_file=/" + "x" * 300, "there is no file /xxx"),
        ("ssh.users={bob: {keys: [a]}, alice: {}}", "--set ssh.users: ssh.users.alice: lacks keys"),
        ("ssh.users={Alice: {keys: [a]}}", "ssh.users.Alice: the name should be an account: small letters"),
        ("ssh.users={alice: {keys: [/nonexistent]}}", "ssh.users.alice.keys: there is no file /nonexistent"),
        ("ssh.authorized_keys=[auto, /nonexistent]", "there is no file /nonexistent"),
        ("network.https_proxy=proxy:3128", "should be an address such as http://proxy:3128"),
        ("network.through=me", "should be operator, or operator:7890 for a proxy program"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(root: Path, override: str, said: str) -> None:
    """Type, range, doubled port, empty name, missing file: each is told apart, before anything is touched."""
    if "timezone" in override and not ZONES.is_dir():
        pytest.skip("this machine has no time zones to compare with")
    assert said in fails(root, override)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu: {}\njupytr:\n  # ours\n  port: 8889\n", "config/local.yml:2: jupytr: there is no such setting. Did you"),
        ("ssh:\n  users:\n    alice:\n      uid: 1501\n", "config/local.yml:3: ssh.users.alice: lacks keys."),
        (
            "ssh:\n  users:\n    bob: {keys: [default.yml]}\n    alice:\n      key: [a]\n",
            "config/local.yml:5: ssh.users.alice.key: there is no such setting. Did you mean keys?",
        ),
        ("ssh:\n  port: 8888\n", "config/local.yml:2: ssh.port: port 8888 is used twice; jupyter.port has it too"),
    ],
)
def test_the_line_is_the_one_to_mend(root: Path, text: str, said: str) -> None:
    """A section's own line, not that of its first key; of two settings that clash the operator's, not a default's."""
    (root / "config/local.yml").write_text(text)
    assert said in fails(root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hosts:\n  gpu01: {}\n  gpu02: {adress: a}\n", "config/hosts.yml:3: hosts.gpu02.adress: there is no such"),
        ("hosts:\n  gpu01:\n    port: 222222\n", "config/hosts.yml:3: hosts.gpu01.port: should be a TCP port"),
        ("groups:\n  a: {hosts: [x]}\n  b: {hosts: x}\n", "config/hosts.yml:3: groups.b.hosts: should be a list"),
        ("groups:\n  a: {hosts: ['@b']}\n", "config/hosts.yml:2: groups.a.hosts: should be a host's name, no group's"),
        ("groups:\n  a: {host: [x]}\n", "config/hosts.yml:2: groups.a.host: there is no such setting. Did you"),
    ],
)
def test_the_inventory_names_the_host_to_mend(root: Path, text: str, said: str) -> None:
    """A misspelt key of one of many hosts is told with its line and the host's name."""
    (root / "config/hosts.yml").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_inventory(root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ours: {pipy: x}\n", "config/mirrors.local.yml:1: ours.pipy: there is no such setting"),
        ("ours: {pypi: []}\n", "ours.pypi: should not be empty"),
        ("ours: {pypi: pypi.example}\n", "mirrors.pypi: should be an address such as https://"),
    ],
)
def test_a_wrong_preset_is_told_before_it_is_used(root: Path, text: str, said: str) -> None:
    """A layer that nobody knows, one without an address, and what is none."""
    (root / "config/mirrors.local.yml").write_text(text)
    assert said in fails(root, "mirror=ours")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stack: {wait: 1\n", "is no YAML"),
        ("a\n", "should hold section"),
        ("stack:\n\twait: 1\n", "config/local.yml:2: is no YAML: a tab stands at the line's beginning"),
        ("- stack\n", "should hold section"),
        ("stack:\n  wait: 1\n  wait: 2\n", "config/local.yml:3: wait stands here again; its first place is line 2"),
    ],
)
def test_broken_yaml_names_its_line(root: Path, text: str, said: str) -> None:
    """YAML that does not parse, or says a thing twice, is refused with the line."""
    (root / "config/local.yml").write_text(text)
    assert said in fails(root)


def test_a_file_that_cannot_be_read(root: Path) -> None:
    """One that an editor saved in another encoding is told with its line; one that may not be read, with the reason."""
    (root / "config/local.yml").write_bytes("stack:\n  name: x\n# 中文\n".encode("gbk"))
    assert "config/local.yml:3: is not in UTF-8" in fails(root)
    (root / "config/local.yml").unlink()
    (root / "config/local.yml").symlink_to("/proc/self/mem")
    assert "config/local.yml: cannot be read: Input/output error" in fails(root)
    (root / "config/local.yml").unlink()
    (root / "config/local.yml").symlink_to("/nonexistent")
    assert "config/local.yml: cannot be read: No such file or directory" in fails(root)
    (root / "config/local.yml").unlink()
    (root / "config/local.yml").mkdir()
    assert "config/local.yml: cannot be read: Is a directory" in fails(root)


def test_an_underscore_too_few_is_told(root: Path) -> None:
    """GPUDOCK_JUPYTER_PORT would change nothing and say nothing; what has no section needs but one underscore."""
    said = "the environment's GPUDOCK_JUPYTER_PORT: should be GPUDOCK_JUPYTER__PORT, with two underscores."
    assert fails(root, environ={"GPUDOCK_JUPYTER_PORT": "8889"}) == said
    others = {"GPUDOCK_JUPYTER_PASSWORD": "x", "GPUDOCK_STATE": "/x", "GPUDOCK_MIRROR": "cn"}
    loaded = load(environ=others, root=root)
    assert (loaded.settings.mirror, loaded.origins["mirror"]) == ("cn", "the environment's GPUDOCK_MIRROR")


def test_a_wrong_address_is_not_shown_with_its_password(root: Path) -> None:
    """It may be in an address that is not in the form of one."""
    assert "geheim" not in fails(root, "network.https_proxy=me:geheim@proxy:3128")


def test_there_is_one_way_out(root: Path) -> None:
    """A proxy and the operator's network exclude each other; the one to mend is named with its line."""
    (root / "config/local.yml").write_text("network:\n  through: operator\n")
    said = fails(root, "network.https_proxy=http://proxy:3128")
    assert "config/local.yml:2: network.through: there is a proxy too" in said


def test_what_is_left_empty_says_nothing(root: Path) -> None:
    """A section whose lines are all comments, and a host without settings of its own, are no errors."""
    (root / "config/local.yml").write_text("jupyter:\n#  port: 9999\nstack:\n  wait: 7\n")
    (root / "config/hosts.yml").write_text("hosts:\n  gpu01:\n  gpu02: {user: root}\ngroups:\n")
    settings = load(environ={}, root=root, host="gpu01").settings
    assert (settings.jupyter.port, settings.stack.wait) == (8888, 7)
    assert load_inventory(root).expand("all") == ["gpu01", "gpu02"]
