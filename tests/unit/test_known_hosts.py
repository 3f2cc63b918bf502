"""What a known_hosts file says of a host's keys, as OpenSSH reads it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gpudock.connection import known_keys


def public() -> str:
    """A host key as known_hosts has it."""
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.mark.parametrize("name", ["gpu01", "[gpu01]:2222"])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_hosts_keys_are_found_by_each_form_of_its_name(tmp_path: Path, name: str, hashed: bool) -> None:
    """Plain, one of several, hashed, with a port; in the file's order, others' and broken lines left out."""
    first, second = public(), public()
    written = paramiko.HostKeys.hash_host(name) if hashed else f"alias,{name},192.0.2.1"
    lines = [
        "# a comment", "", f"gpu02 {public()}", f"@revoked {name} {public()}", f"{name} ssh-ed25519 brok=n",
        f"{written} {first} written by hand", f"{name} {second}", f"{name}.example {public()}", "alone",
    ]  # fmt: skip
    file = tmp_path / "known_hosts"
    file.write_text("\n".join(lines))
    found = [f"ssh-ed25519 {b64encode(key.asbytes()).decode()}" for key in known_keys(file, name)]
    assert found == [first, second]


def test_a_key_that_was_added_is_seen(tmp_path: Path) -> None:
    """The file is read anew when it has changed, as another host's first connection changes it."""
    file = tmp_path / "known_hosts"
    file.write_text(f"gpu01 {public()}\n")
    assert list(known_keys(file, "gpu02")) == []
    file.write_text(f"gpu01 {public()}\ngpu02 {public()}\n")
    assert len(list(known_keys(file, "gpu02"))) == 1
