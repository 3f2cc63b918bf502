"""gpudock's own key pair: one for all hosts of a run, and a clear word where it cannot be kept."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gpudock import own_key
from gpudock.config import own
from gpudock.steps import ssh
from gpudock.way import Way
from tests.conftest import Settle

ASK = "from gpudock import own_key; print(own_key.public_key(), end='')"


def ask(state: Path) -> subprocess.Popen[str]:
    """Begin a program that wants the key."""
    environ = {**os.environ, "GPUDOCK_STATE": str(state)}
    return subprocess.Popen([sys.executable, "-c", ASK], env=environ, stdout=subprocess.PIPE, stderr=-1, text=True)


def test_all_who_ask_at_once_get_the_same_key(tmp_path: Path) -> None:
    """Two runs at once in a new checkout do not lock each other out of the hosts, and the private half fits."""
    answers = {running.communicate()[0] for running in [ask(tmp_path / "new" / "state") for _ in range(6)]}
    assert len(answers) == 1
    private = tmp_path / "new" / "state" / "id_ed25519"
    derived = f"""from cryptography.hazmat.primitives import serialization as s
key = s.load_ssh_private_key(open({str(private)!r}, "rb").read(), None).public_key()
print(key.public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH).decode())"""
    made = subprocess.run([sys.executable, "-c", derived], capture_output=True, check=True, text=True).stdout
    assert answers.pop() == f"{made.strip()} gpudock\n"
    assert oct(private.stat().st_mode)[-3:] == "600"


def test_keys_of_ones_own_stand_beside_the_named(
    settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` is ~/.ssh, alone or beside files; a key that is in both comes once."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id.pub").write_text("ssh-ed25519 AAAA me\n")
    (tmp_path / "team").write_text("# ours\nssh-ed25519 AAAAB you\nssh-ed25519 AAAA me\n")
    keys = ssh.public_keys(settle(f"ssh.authorized_keys=[auto, {tmp_path}/team]"))
    assert keys == "ssh-ed25519 AAAA me\nssh-ed25519 AAAAB you\n"


def test_the_way_in_can_be_pasted_from_a_folder_with_a_space(
    settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key's path stays one word for the shell."""
    monkeypatch.setattr(own_key, "PRIVATE", tmp_path / "my key")
    monkeypatch.setattr(ssh, "uses_own_key", lambda settings: True)
    words = shlex.split(ssh.command(settle(), Way(), "root"))
    assert words == ["ssh", "-i", str(tmp_path / "my key"), "-p", "8022", "root@127.0.0.1"]


def test_where_it_is_kept(tmp_path: Path) -> None:
    """In the checkout, or where GPUDOCK_STATE says."""
    assert own({}, tmp_path) == tmp_path / ".gpudock"
    assert own({"GPUDOCK_STATE": "~/state"}, tmp_path) == Path("~/state").expanduser()


def test_where_it_cannot_be_kept_the_way_out_is_named(tmp_path: Path) -> None:
    """A state folder that is a file: what to set instead."""
    (tmp_path / "file").touch()
    _, err = ask(tmp_path / "file").communicate()
    assert f"cannot keep a key pair in {tmp_path / 'file'}: " in err
    assert "GPUDOCK_STATE" in err
