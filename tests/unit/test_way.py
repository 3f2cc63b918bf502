"""The ssh commands that people are told to type: with the way that inventory, -H and -S name."""

from __future__ import annotations

import fabric
import invoke
import pytest

from gpudock import way
from gpudock.inventory import Entry, Inventory
from gpudock.steps import compose, jupyter, ssh
from gpudock.way import Way
from tests.conftest import Settle

KNOWN = Inventory({"gpu02": Entry(address="192.0.2.12", user="ops", port=2222), "gpu03": Entry(user="ops")}, {})


@pytest.mark.parametrize(
    ("name", "destination", "address", "known"),
    [
        ("gpu01", "gpu01", "gpu01", "gpu01"),
        ("tom@gpu01", "tom@gpu01", "gpu01", "gpu01"),
        ("tom@gpu01:2222", "ssh://tom@gpu01:2222", "gpu01", "gpu01-2222"),
        ("tom@corp.example@gpu01:2222", "ssh://tom%40corp.example@gpu01:2222", "gpu01", "gpu01-2222"),
        ("[2001:db8::1]:2222", "'ssh://[2001:db8::1]:2222'", "2001:db8::1", "2001:db8::1-2222"),
        ("gpu02", "ssh://ops@192.0.2.12:2222", "192.0.2.12", "gpu02"),
        ("gpu03", "ops@gpu03", "gpu03", "gpu03"),
    ],
)
def test_a_host_is_named_as_ssh_understands(
    name: str, destination: str, address: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the inventory and -H say of user, address and port is in the command; no two hosts are called the same."""
    monkeypatch.setattr(way, "load_inventory", lambda: KNOWN)
    assert Way.to(name, invoke.Config()) == Way(destination, address, name=known)


def test_the_file_of_dash_s_is_handed_on(settle: Settle) -> None:
    """`fab -S FILE` means `ssh -F FILE`, also for a file with a space in its name."""
    found = Way.to("gpu01", fabric.Config(runtime_ssh_path="/tmp/my config", lazy=True))
    assert jupyter.tunnel(settle(), found) == "ssh -F '/tmp/my config' -N -L 8888:127.0.0.1:8888 gpu01"


@pytest.mark.parametrize(
    ("address", "login", "tunnel"),
    [
        ("127.0.0.1", "-J gpu01 -p 8022 -o HostKeyAlias=gpu01-chat ops@127.0.0.1", "-L 8888:127.0.0.1:8888 gpu01"),
        ("::1", "-J gpu01 -p 8022 -o HostKeyAlias=gpu01-chat ops@::1", "-L 8888:[::1]:8888 gpu01"),
        ("192.0.2.9", "-J gpu01 -p 8022 -o HostKeyAlias=gpu01-chat ops@192.0.2.9", ""),
        ("0.0.0.0", "-p 8022 ops@gpu01", "-L 8888:127.0.0.1:8888 gpu01"),
    ],
)
def test_commands_go_where_the_ports_are(settle: Settle, address: str, login: str, tunnel: str) -> None:
    """A port answers at the address it is published at, and on loopback each container's key has its own name."""
    settings = settle(f"stack.bind_address={address}", "stack.name=chat")
    far = Way("gpu01", "gpu01", name="gpu01")
    assert ssh.command(settings, far, "ops").endswith(f" {login}")
    assert jupyter.tunnel(settings, far).removeprefix("ssh -N ") == tunnel
    assert ssh.command(settings, Way(), "ops").endswith(f"ops@{compose.near(settings)}")


def test_the_entry_for_ssh_config_says_the_same(settle: Settle) -> None:
    """Editors such as VS Code take a host from ~/.ssh/config alone."""
    text = ssh.entry(settle("stack.name=chat"), Way("ops@gpu01", "gpu01", name="gpu01"), "ops")
    assert text.startswith(
        "Host gpu01-chat\n  HostName 127.0.0.1\n  Port 8022\n  User ops\n  ProxyJump ops@gpu01\n  HostKeyAlias gpu01-chat\n"
    )
    assert jupyter.url(settle("stack.bind_address=::1")) == "http://[::1]:8888/lab"
