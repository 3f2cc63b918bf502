"""ssh_config as ssh reads it: files that include others, words of ssh that paramiko and Fabric do not know."""

from __future__ import annotations

from pathlib import Path

import fabric
import pytest

from gpudock import fleet
from gpudock.errors import UsageError
from gpudock.ssh_config import Config


def connection(folder: Path, text: str, name: str = "gpu01", kind: type[fabric.Config] = Config) -> fabric.Connection:
    """The connection to a host as an ssh_config of this text has it."""
    (folder / "config").write_text(text)
    return fleet.connection(name, kind(runtime_ssh_path=str(folder / "config")))


@pytest.mark.parametrize("kind", [Config, fabric.Config])
def test_included_files_are_read_in_their_place(tmp_path: Path, kind: type[fabric.Config]) -> None:
    """By pattern, in each other, before and within a block, which then goes on; a file that is not there is none.

    So it is with our program, and with a plain `fab` whose configuration is Fabric's own.
    """
    (tmp_path / "a.conf").write_text(f"Include {tmp_path}/deeper\nHost gpu01\n  User a\n  Port 1\n")
    (tmp_path / "b.conf").write_text("Host gpu0*\n  User b\n  HostName 192.0.2.1\n")
    (tmp_path / "deeper").write_text(f"Include {tmp_path}/deeper\nHost gpu01\n  Port 2222\n")
    (tmp_path / "options").write_text("ConnectTimeout 7\n")
    text = (
        f"Include {tmp_path}/*.conf {tmp_path}/absent\nIdentityFile {tmp_path}/config\n"
        f"Host gpu01\n  Include {tmp_path}/options\n  ForwardAgent yes\nHost gpu02\n  Port 3\n"
    )
    found = connection(tmp_path, text, kind=kind)
    assert (found.user, found.host, found.port) == ("a", "192.0.2.1", 2222)
    assert found.ssh_config["connecttimeout"] == "7"
    assert (found.forward_agent, found.connect_kwargs["key_filename"]) == (True, [f"{tmp_path}/config"])
    other = connection(tmp_path, text, "gpu02", kind)
    assert (other.user, other.port, "connecttimeout" in other.ssh_config) == ("b", 3, False)


def test_words_of_ssh_that_fabric_does_not_know(tmp_path: Path) -> None:
    """No bastion of the name `none`, no key file that is not there, an agent by its socket, a Match by a tag."""
    (tmp_path / "key").touch()
    text = (
        f"Match tagged far\n  User tagged\nHost gpu01\n  ProxyJump none\n  ForwardAgent $SSH_AUTH_SOCK\n"
        f"Host *\n  ProxyJump gateway\n  IdentityFile {tmp_path}/absent\n  IdentityFile {tmp_path}/key\n  User me\n"
    )
    found = connection(tmp_path, text)
    assert (found.user, found.gateway, found.forward_agent) == ("me", None, True)
    assert found.connect_kwargs["key_filename"] == [f"{tmp_path}/key"]
    assert connection(tmp_path, text, "gpu02").gateway.host == "gateway"


@pytest.mark.parametrize("text", ["nonsense\n", "Match user\n", "Match host 'x\n"])
def test_a_file_that_is_wrong_is_told(tmp_path: Path, text: str) -> None:
    """With its name, as wrong usage; so is one that -S names and that is not there."""
    with pytest.raises(UsageError, match="config: cannot be read"):
        connection(tmp_path, text)
    with pytest.raises(UsageError, match="there is no such ssh_config"):
        Config(runtime_ssh_path=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("name", "user", "host", "port"),
    [
        ("ops@gpu01:2222", "ops", "gpu01", 2222),
        ("ops@[2001:db8::1]:2222", "ops", "2001:db8::1", 2222),
        ("[fe80::1%eth0]", "me", "fe80::1%eth0", 22),
        ("2001:db8::1", "me", "2001:db8::1", 22),
    ],
)
def test_names_of_hosts(tmp_path: Path, name: str, user: str, host: str, port: int) -> None:
    """With user and port, and addresses of both kinds."""
    found = connection(tmp_path, "Host *\n  User me\n", name)
    assert (found.user, found.host, found.port) == (user, host, port)


@pytest.mark.parametrize("name", ["ops@", "gpu01:ssh"])
def test_what_is_no_name_is_told(tmp_path: Path, name: str) -> None:
    """In words, before anything is opened."""
    with pytest.raises(UsageError, match=f"-H {name}: should be host, user@host"):
        connection(tmp_path, "", name)


def test_what_a_task_sets_for_one_host_stays_there(tmp_path: Path) -> None:
    """Each connection has a configuration of its own, over one reading of the files."""
    (tmp_path / "config").write_text("Host *\n  User me\n")
    config = Config(runtime_ssh_path=str(tmp_path / "config"))
    first, second = fleet.connection("gpu01", config), fleet.connection("gpu02", config)
    first.config.run.echo = True
    assert not second.config.run.echo
    assert first.config.base_ssh_config is second.config.base_ssh_config
