"""Whom a known_hosts file names, and which key it has for him: https://man.openbsd.org/sshd#SSH_KNOWN_HOSTS_FILE_FORMAT.

paramiko's own reading compares each line with all lines before it, for each host anew, and knows no patterns.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Lock

import fabric
import paramiko

_writing = Lock()


class AcceptNew(paramiko.MissingHostKeyPolicy):
    """OpenSSH's accept-new: record an unknown host's key on first sight. A changed one never gets here."""

    def __init__(self, file: Path, name: str) -> None:
        self.file, self.name = file, name

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Append the key: the file's other lines, comments and markers stay as they are.

        A file that cannot be written is no reason to stay outside, as for ssh.
        """
        with _writing, contextlib.suppress(OSError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            former = self.file.read_bytes() if self.file.is_file() else b""
            with self.file.open("a") as file:
                file.write("\n" if former and not former.endswith(b"\n") else "")
                file.write(f"{self.name} {key.get_name()} {key.get_base64()}\n")


class Refusing(paramiko.MissingHostKeyPolicy):
    """Refuse keys that are marked @revoked, and leave any other one to another policy."""

    def __init__(self, revoked: set[bytes], other: paramiko.MissingHostKeyPolicy) -> None:
        self.revoked, self.other = revoked, other

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise BadHostKeyException for a revoked key, which is then also the one expected."""
        if key.asbytes() in self.revoked:
            raise paramiko.BadHostKeyException(hostname, key, key)
        self.other.missing_host_key(client, hostname, key)


def trust(connection: fabric.Connection) -> None:
    """Have a connection check the host key as ssh_config says."""
    options, known, name = connection.ssh_config, connection.client.get_host_keys(), name_of(connection)
    own = shlex.split(options.get("userknownhostsfile", "~/.ssh/known_hosts"))
    shared = shlex.split(options.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts"))
    files = [Path(file).expanduser() for file in own if file != "none"]
    asked = _with_port(connection.host, connection.port)  # the name by which paramiko looks
    there = [file for file in (*map(Path, shared), *files) if file.is_file()]
    revoked = {key.asbytes() for file in there for key in keys(file, name, mark="@revoked")}
    for key in (key for file in there for key in keys(file, name) if key.asbytes() not in revoked):
        if key.get_name() not in (known.lookup(asked) or {}):  # as for ssh the first of a kind counts
            known.add(asked, key.get_name(), key)
    checking = options.get("stricthostkeychecking", "accept-new").lower()
    policy: paramiko.MissingHostKeyPolicy = AcceptNew(files[0], name) if files else paramiko.AutoAddPolicy()
    if checking in ("yes", "no", "off"):
        policy = paramiko.RejectPolicy() if checking == "yes" else paramiko.AutoAddPolicy()
    connection.client.set_missing_host_key_policy(Refusing(revoked, policy))


def name_of(connection: fabric.Connection) -> str:
    """The name by which known_hosts has a host: `gpu01`, `[gpu01]:2222`, or its HostKeyAlias; in lower case."""
    alias: str = connection.ssh_config.get("hostkeyalias", "")
    return alias.lower() or _with_port(connection.host.lower(), connection.port)


def keys(file: Path, name: str, mark: str = "") -> Iterator[paramiko.PKey]:
    """The keys that a known_hosts file has for a name, on lines with this mark or with none; no key is no error."""
    state = file.stat()
    for line in _lines(file, state.st_mtime_ns, state.st_size):  # a file system's clock may stand still for 4 ms
        given, *rest = line.split(maxsplit=1) if line.startswith("@") else ("", line)
        if given == mark and rest and _is_of(name, rest[0].split(maxsplit=1)[0].split(",")):
            with contextlib.suppress(paramiko.SSHException, paramiko.hostkeys.InvalidHostKey, ValueError):
                if entry := paramiko.hostkeys.HostKeyEntry.from_line(rest[0]):
                    yield entry.key


@cache
def _lines(file: Path, changed: int, size: int) -> tuple[str, ...]:
    return tuple(line for line in file.read_text(errors="replace").splitlines() if line.strip())


def _is_of(name: str, given: list[str]) -> bool:
    """Whether a line's names mean this one; one behind a `!` excludes it."""
    excluded = (item[1:] for item in given if item.startswith("!"))
    return any(_names(item, name) for item in given) and not any(_names(item, name) for item in excluded)


def _names(given: str, name: str) -> bool:
    """Whether a word of known_hosts means a name: itself, a pattern of it, or hashed, as Debian's ssh writes it."""
    if given.startswith("|1|"):
        return paramiko.HostKeys.hash_host(name, given) == given
    if "*" in given or "?" in given:
        return bool(re.fullmatch(re.escape(given.lower()).replace(r"\*", ".*").replace(r"\?", "."), name))
    return given.lower() == name


def _with_port(host: str, port: int) -> str:
    return host if port == 22 else f"[{host}]:{port}"
