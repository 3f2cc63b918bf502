"""gpudock's own key pair on the operator's machine: made on first use, where the operator has no key."""

from __future__ import annotations

import fcntl

from gpudock.config import OWN
from gpudock.errors import UsageError

PRIVATE = OWN / "id_ed25519"
PUBLIC = PRIVATE.with_suffix(".pub")


def public_key() -> str:
    """Return the public key, making the pair on first use. Hosts side by side and other runs get the same one.

    Raises UsageError where it cannot be kept.
    """
    try:
        if not PUBLIC.is_file():
            PRIVATE.parent.mkdir(parents=True, exist_ok=True)
            with PRIVATE.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not PUBLIC.is_file():
                    _make()
        return PUBLIC.read_text()
    except OSError as error:
        advice = "name a folder for it in GPUDOCK_STATE, or your own keys in ssh.authorized_keys"
        raise UsageError(f"cannot keep a key pair in {PRIVATE.parent}: {error.strerror}; {advice}.") from None


def _make() -> None:
    from cryptography.hazmat.primitives import serialization  # 40 ms, and used once
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    PRIVATE.touch(mode=0o600)
    PRIVATE.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, plain))
    openssh = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    whole = PUBLIC.with_suffix(".new")
    whole.write_bytes(key.public_key().public_bytes(*openssh) + b" gpudock\n")
    whole.replace(PUBLIC)
