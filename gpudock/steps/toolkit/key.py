"""NVIDIA's signing key: fetched on the host, checked on this machine, and only then trusted.

The fingerprints are computed here (RFC 4880 §12.2), so the host needs neither curl nor gnupg. Every primary key
in the file must be the one expected: a mirror that adds a key of its own would otherwise be trusted too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from gpudock.actions import Action
from gpudock.errors import ActionFailed, CannotTell
from gpudock.failures import next_move
from gpudock.host import Host, Line
from gpudock.steps import login

PUBLIC_KEY = 6  # the packet's tag

# $2 and $3 are a mirror's login, as curl and as apt read it. This text comes on standard input and `printf` is the
# shell's own, so that they stand in no process's arguments.
FETCH = """file=$(mktemp -u); auth=$(mktemp); trap 'rm -f "$file" "$auth"' EXIT
if command -v curl >/dev/null; then
  printf '%s\\n' "$2" | curl -K - -fsSL --retry 2 --connect-timeout 10 --max-time 60 -o "$file" "$1" 2>&1
else
  printf '%s\\n' "$3" >"$auth"
  /usr/lib/apt/apt-helper -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \\
    -o Dir::Etc::netrc="$auth" download-file "$1" "$file" 2>&1
fi || { echo; echo "Failed to fetch $1"; exit 0; }
echo; echo fetched; base64 -w0 "$file\""""


@dataclass(frozen=True)
class FetchKey(Action):
    """Fetch the key from the first address that serves the right one, and put it in place as `path`.

    apt wants it in binary, rpm as it is served: `armored`.
    """

    path: str
    fingerprint: str
    addresses: tuple[str, ...] = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    armored: bool = False

    def describe(self) -> dict[str, Any]:
        """The action as data; addresses can hold a password."""
        return {"why": self.why, "path": self.path}

    def apply(self, host: Host, on_line: Line) -> None:
        """Raise ActionFailed where no address serves it, or only another one."""
        said = []
        exports = "".join(f"export {name}={quote(value)}; " for name, value in self.environment.items())
        for private in self.addresses:
            address = login.public(private)
            words = (address, login.curl_entry(private), login.apt_entry(private) or "")
            output = host.ask(f"{exports}set -- {' '.join(map(quote, words))}; {FETCH}").decode(errors="replace")
            said.append(output.partition("\nfetched\n")[0].strip())
            served = _decode(output.partition("\nfetched\n")[2])
            key = dearmor(served)
            if key and fingerprints(key) == (self.fingerprint,):
                self._check(host.write(self.path, served if self.armored else key))
                return
            if key:
                said.append(f"the key at {address} is not the one expected ({self.fingerprint})")
        text = "\n".join(said)
        raise ActionFailed(self.why, output=text, next_move=next_move(text))


def fingerprints(key: bytes) -> tuple[str, ...]:
    """The fingerprints of all primary keys (version 4) in a keyring, in hexadecimal; empty for what is none."""
    try:
        return tuple(
            hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper()
            for tag, body in _packets(key)
            if tag == PUBLIC_KEY
        )
    except (IndexError, CannotTell):
        return ()


def dearmor(text: bytes) -> bytes:
    """The bytes in an ASCII-armoured key; what is not armoured comes back as it is, what is broken as nothing."""
    blocks = re.findall(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)\n-----END", text, re.DOTALL)
    try:
        return b"".join(_block(block) for block in blocks) if blocks else text
    except binascii.Error:
        return b""


def _block(block: bytes) -> bytes:
    body = block.replace(b"\r", b"").partition(b"\n\n")[2]
    return base64.b64decode(b"".join(line for line in body.splitlines() if not line.startswith(b"=")))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and bodies, of the old and the new packet format (RFC 4880 §4.2)."""
    place = 0
    while place < len(data):
        head = data[place]
        if not head & 0x80:
            raise CannotTell("This is no OpenPGP key.")
        tag, start, length = _new_format(data, place) if head & 0x40 else _old_format(data, place)
        if start + length > len(data):
            raise CannotTell("The key ends in the middle.")
        yield tag, data[start : start + length]
        place = start + length


def _old_format(data: bytes, place: int) -> tuple[int, int, int]:
    size = 1 << (data[place] & 3)
    if size == 8:
        raise CannotTell("A packet of indeterminate length is no part of a key.")
    start = place + 1 + size
    return data[place] >> 2 & 0xF, start, int.from_bytes(data[place + 1 : start], "big")


def _new_format(data: bytes, place: int) -> tuple[int, int, int]:
    first, tag = data[place + 1], data[place] & 0x3F
    if first < 192:
        return tag, place + 2, first
    if first < 224:
        return tag, place + 3, ((first - 192) << 8) + data[place + 2] + 192
    if first == 255:
        return tag, place + 6, int.from_bytes(data[place + 2 : place + 6], "big")
    raise CannotTell("A packet of partial lengths is no part of a key.")
