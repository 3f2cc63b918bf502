"""What a known_hosts file says of a host's keys, as OpenSSH reads it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import fabric
import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gpudock import known_hosts
from gpudock.ssh_config import Config


def public() -> str:
    """A host key as known_hosts has it."""
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.mark.parametrize("name", ["gpu01", "[gpu01]:2222"])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_hosts_keys_are_found_by_each_form_of_its_name(tmp_path: Path, name: str, hashed: bool) -> None:
    """Plain, one of several, hashed, with a port; in the file's order, others' and broken lines left out."""
    first, second, revoked = public(), public(), public()
    written = paramiko.HostKeys.hash_host(name) if hashed else f"alias,{name},192.0.2.1"
    lines = [
        "# a comment", "", f"gpu02 {public()}", f"@revoked {written} {revoked}", "@revoked", f"{name} ssh-ed25519 brok=n",
        f"{written} {first} written by hand", f"{name} {second}", f"{name}.example {public()}", "alone",
    ]  # fmt: skip
    file = tmp_path / "known_hosts"
    file.write_text("\n".join(lines))
    found = [f"ssh-ed25519 {b64encode(key.asbytes()).decode()}" for key in known_hosts.keys(file, name)]
    assert found == [first, second]
    (key,) = known_hosts.keys(file, name, mark="@revoked")
    assert f"ssh-ed25519 {b64encode(key.asbytes()).decode()}" == revoked


def test_a_key_that_was_added_is_seen(tmp_path: Path) -> None:
    """The file is read anew when it has changed, as another host's first connection changes it."""
    file = tmp_path / "known_hosts"
    file.write_text(f"gpu01 {public()}\n")
    assert list(known_hosts.keys(file, "gpu02")) == []
    file.write_text(f"gpu01 {public()}\ngpu02 {public()}\n")
    assert len(list(known_hosts.keys(file, "gpu02"))) == 1


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("*.lab,gpu01.*", True),
        ("gpu0?.lab", True),
        ("GPU01.Lab", True),
        ("*.lab,!gpu01.*", False),
        ("gpu01.lab.*", False),
    ],
)
def test_patterns_and_capitals(tmp_path: Path, given: str, named: bool) -> None:
    """As sshd(8) has them: one behind a ! excludes the host."""
    (tmp_path / "known_hosts").write_text(f"{given} {public()}\n")
    assert bool(list(known_hosts.keys(tmp_path / "known_hosts", "gpu01.lab"))) == named


def trusting(folder: Path, option: str = "") -> fabric.Connection:
    """A connection to gpu01, which is GPU01.lab at another port, that knows of `known_hosts` in this folder."""
    host = f"Host gpu01\n  HostName GPU01.lab\n  Port 2222\n  {option}\n"
    (folder / "config").write_text(f"{host}Host *\n  UserKnownHostsFile {folder}/known_hosts {folder}/more\n")
    connection = fabric.Connection("gpu01", config=Config(runtime_ssh_path=str(folder / "config")))
    known_hosts.trust(connection)
    return connection


@pytest.mark.parametrize(("option", "name"), [("", "[gpu01.lab]:2222"), ("HostKeyAlias rack7", "rack7")])
def test_a_new_key_is_added_under_the_name_that_ssh_looks_for(tmp_path: Path, option: str, name: str) -> None:
    """Whatever letters -H had, and behind a last line without an end; there it is found the next time."""
    (tmp_path / "known_hosts").write_text("gpu02 mine")
    client, key = trusting(tmp_path, option).client, paramiko.ECDSAKey.generate()
    client._policy.missing_host_key(client, "[GPU01.lab]:2222", key)
    added = f"{name} ecdsa-sha2-nistp256 {key.get_base64()}"
    assert (tmp_path / "known_hosts").read_text().splitlines() == ["gpu02 mine", added]
    assert trusting(tmp_path, option).client.get_host_keys().lookup("[GPU01.lab]:2222")


def test_a_key_that_cannot_be_kept_is_no_reason_to_stay_outside(tmp_path: Path) -> None:
    """On a read-only home, and where ssh_config wants no file."""
    (tmp_path / "known_hosts").symlink_to("/proc/none/here")
    client = trusting(tmp_path).client
    client._policy.missing_host_key(client, "[GPU01.lab]:2222", paramiko.ECDSAKey.generate())
    policy = trusting(tmp_path, "UserKnownHostsFile none").client._policy
    assert isinstance(policy.other, paramiko.AutoAddPolicy)
