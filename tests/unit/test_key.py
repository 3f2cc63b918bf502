"""NVIDIA's key is trusted by its fingerprint alone, and nothing beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gpudock.steps.toolkit.key import dearmor, fingerprints

Keys = Callable[[str], tuple[bytes, bytes, str]]


@pytest.fixture
def make(tmp_path: Path) -> Keys:
    """Return a function that makes a key with a subkey by gpg: armoured, binary, and gpg's word for its fingerprint."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not here")

    def key(name: str) -> tuple[bytes, bytes, str]:
        home = tmp_path / name
        home.mkdir(mode=0o700)

        def gpg(*words: str) -> bytes:
            argv = ["gpg", "--batch", "--passphrase", "", *words]
            return subprocess.run(
                argv, env={**os.environ, "GNUPGHOME": str(home)}, capture_output=True, check=True
            ).stdout

        gpg("--quick-generate-key", f"{name} <{name}@example.com>", "default", "default", "never")
        listing = gpg("--list-keys", "--with-colons").decode().splitlines()
        fingerprint = next(line.split(":")[9] for line in listing if line.startswith("fpr"))
        subprocess.run(["gpgconf", "--kill", "all"], env={**os.environ, "GNUPGHOME": str(home)}, check=False)
        return gpg("--export", "--armor"), gpg("--export"), fingerprint

    return key


def test_fingerprints_are_those_of_gpg(make: Keys) -> None:
    """Of the primary key and not of its subkey, armoured or not."""
    armoured, binary, fingerprint = make("one")
    assert dearmor(armoured) == binary
    assert dearmor(binary) == binary
    assert fingerprints(binary) == (fingerprint,)


def test_a_second_key_is_seen(make: Keys) -> None:
    """A key that a mirror appends shows, in one block or in two, so that the file is not the one expected."""
    first, second = make("one"), make("two")
    for served in (first[0] + second[0], first[1] + second[1]):
        assert fingerprints(dearmor(served)) == (first[2], second[2])


@pytest.mark.parametrize("served", [b"", b"<html>captive portal</html>", b"\x99\x01", b"\xc6", b"\x9b\x00\x00"])
def test_what_is_no_key_has_no_fingerprint(served: bytes) -> None:
    """A page of a captive portal, or a piece of a key, is none."""
    assert fingerprints(dearmor(served)) == ()
