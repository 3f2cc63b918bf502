"""One adapter over this machine and over SSH: ask (read), do (change), write, push, all as root.

The only place that touches Invoke's Context and Fabric's Connection; everything above it is the same for both.
"""

from __future__ import annotations

import io
import re
import shlex
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from socket import socket
from threading import Thread

import invoke

from gpudock import channel
from gpudock.credentials import sudo_password
from gpudock.errors import CannotTell, SudoRefused, Unreachable
from gpudock.failures import ended

Line = Callable[[str], None]

YEAR = 365 * 24 * 3600  # seconds

# sudo's secure_path and a login shell's differ, and daemons' tools live in the sbin folders. The engine meant is
# always the machine's own, whatever DOCKER_HOST says in the operator's shell.
ENVIRONMENT = "unset DOCKER_HOST DOCKER_CONTEXT; export LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; "

# The script itself comes on standard input, so that neither `ps` nor sudo's log ever shows what is in it.
SCRIPT = 'eval "$(head -c {size})"'
AS_ROOT = '[ "$(id -u)" = 0 ] && { eval "$1"; exit; }; exec sudo -n -- sh -c "$1"'
AS_ROOT_ASKED = "exec sudo -S -k -p '' -- sh -c \"$1\""

# While a change runs its shell holds a lock, which outlives a connection that breaks; what it starts does not, or a
# daemon would hold it for ever.
HELD = "exec 8>>{mark} && flock -s 8 || exit; ( exec 8>&-; {script} ); exit $?"

# The size is checked because a connection that dies ends the input just as a whole file does.
WRITE = """set -e; umask 022; mkdir -p "$(dirname "$1")"; umask 077; new=$(mktemp "$1.XXXXXX"); trap 'rm -f "$new"' EXIT
cat >"$new"; [ "$(wc -c <"$new")" -eq "$2" ] || { echo "$1: only a part arrived"; exit 1; }
chmod "$3" "$new"; chown "$4" "$new"; sync "$new"; mv -f "$new" "$1"; trap - EXIT"""

PUSH = """set -e; mkdir -p "$(dirname "$1")"; new=$(mktemp -d "$1.XXXXXX"); trap 'rm -rf "$new"' EXIT
tar -x -C "$new" --no-same-owner; chmod 0755 "$new"; rm -rf "$1"; mv "$new" "$1"; trap - EXIT"""


@dataclass(frozen=True)
class Completed:
    """What a command came to: its exit code, and what it printed, both streams in the order they came.

    Where it was killed, `output` ends with that. `raw` is what it printed before it was made text.
    """

    code: int
    output: str
    raw: bytes = field(default=b"", repr=False, compare=False)


class Host:
    """A machine to look at and to change, this one or one over SSH.

    `silence` is the longest time in seconds that a command may print nothing.
    """

    def __init__(self, context: invoke.Context, name: str, silence: float | None = None) -> None:
        self.context = context
        self.name = name
        self.silence = silence
        self.password: str | None = None
        self.mark = ""  # a file that each change locks for its time: see lock.py

    @property
    def is_local(self) -> bool:
        """Whether this is the operator's own machine."""
        return not channel.is_remote(self.context)

    def ask(self, script: str) -> bytes:
        """Return what a read-only POSIX sh script prints, run as root.

        Raises SudoRefused, Unreachable, and CannotTell where the script itself fails.
        """
        done = self._as_root(script)
        if done.code != 0 and self.password is None and "sudo" in done.output[:400]:
            self._learn_password(done.output)
            done = self._as_root(script)
        if done.code != 0:
            raise CannotTell(f"{self.name}: cannot look at this host: {done.output.strip()[-500:]}")
        return done.raw

    def do(
        self,
        argv: Sequence[str],
        *,
        data: bytes | Iterable[bytes] = b"",
        environment: Mapping[str, str] | None = None,
        on_line: Line | None = None,
    ) -> Completed:
        """Run `argv` as root with `data` on its standard input; `on_line` gets each line as it is printed.

        Secrets belong in `data`: arguments and environment can be read by every user of the host.
        """
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in (environment or {}).items())
        script = f"{exports}exec {shlex.join(argv)}"
        if self.mark:
            script = HELD.format(mark=shlex.quote(self.mark), script=script)
        return self._as_root(script, data, on_line)

    def write(self, path: str, data: bytes, *, mode: int = 0o644, owner: str = "root:root") -> Completed:
        """Put a file in place whole or not at all, with its mode and owner; its folder is made where missing."""
        return self.do(["sh", "-c", WRITE, "sh", path, str(len(data)), f"{mode:04o}", owner], data=data)

    def push(self, tree: Path, path: str) -> Completed:
        """Replace the folder `path` by a copy of `tree`, sent as one stream."""
        return self.do(["sh", "-c", PUSH, "sh", path], data=_archive(tree))

    def socket(self, argv: Sequence[str]) -> socket:
        """Start `argv` as root and return a two-way stream that is its standard input and output."""
        self.ask("true")
        script = f"{ENVIRONMENT}exec {shlex.join(argv)}"
        try:
            stream = channel.open_socket(self.context, self._wrap(script))
            stream.sendall(self._head(script))
        except OSError as error:
            raise self._lost(str(error)) from None
        return stream

    def interact(self, argv: Sequence[str]) -> int:
        """Hand the operator's terminal to `argv`, run as root, and return its exit code."""
        self.ask("true")
        wrapper = AS_ROOT if self.password is None else 'exec sudo -- sh -c "$1"'
        command = shlex.join(["sh", "-c", wrapper, "sh", f"{ENVIRONMENT}exec {shlex.join(argv)}"])
        done = self.context.run(command, pty=True, warn=True)
        return 1 if done is None else int(done.exited)  # a Result that failed is false

    def _as_root(self, script: str, data: bytes | Iterable[bytes] = b"", on_line: Line | None = None) -> Completed:
        script = ENVIRONMENT + script
        pieces = chain([self._head(script)], channel.chunks(data))
        return self._run(self._wrap(script), pieces, on_line)

    def _wrap(self, script: str) -> str:
        wrapper = AS_ROOT if self.password is None else AS_ROOT_ASKED
        return shlex.join(["sh", "-c", wrapper, "sh", SCRIPT.format(size=len(script.encode()))])

    def _head(self, script: str) -> bytes:
        """What goes before a command's own input: the password where sudo asks for one, then the script."""
        return (f"{self.password}\n" if self.password is not None else "").encode() + script.encode()

    def _learn_password(self, output: str) -> None:
        """Take the sudo password and try it once with nothing behind it, so that no data is read as a guess."""
        given = sudo_password(self.context, self.name)
        if given is None or not re.search("password|authentication", output):
            raise SudoRefused(
                f"{self.name}: cannot become root: {output.strip()}. Let this user use sudo, or give its password "
                "with --prompt-for-sudo-password or in GPUDOCK_SUDO_PASSWORD."
            )
        self.password = given
        done = self._as_root("true")
        if done.code != 0:
            self.password = None
            raise SudoRefused(f"{self.name}: sudo did not take the password: {done.output.strip()}")

    def _run(self, command: str, data: Iterable[bytes], on_line: Line | None) -> Completed:
        try:
            running = channel.open_channel(self.context, command, self.silence)
        except OSError as error:
            raise self._lost(str(error)) from None
        feeder = Thread(target=_feed, args=(running, data), daemon=True)
        feeder.start()
        try:
            raw = _collect(running, on_line)
        except TimeoutError:
            running.stop()
            raise Unreachable(f"{self.name}: no sign of life for {self.silence:g} s; gave up waiting.") from None
        except KeyboardInterrupt:
            running.stop()
            raise
        feeder.join(timeout=5)
        code = running.wait()
        if code == -1:
            raise self._lost("it ended in the middle")
        return Completed(code, f"{raw.decode(errors='replace')}{ended(code)}", raw)

    def _lost(self, said: str) -> Unreachable:
        return Unreachable(
            f"{self.name}: the connection is gone: {said}. The host, its sshd or the network went away; what the host "
            "was at may still be going on there. The same command with --wait finishes the rest."
        )


def _feed(running: channel.Channel, data: Iterable[bytes]) -> None:
    try:
        for piece in data:
            running.send(piece)
        running.finish_input()
    except OSError:
        return  # the command ended without reading all: its exit code tells


def _collect(running: channel.Channel, on_line: Line | None) -> bytes:
    """Gather the output; a carriage return ends a line too, since progress bars use it."""
    whole = bytearray()
    rest = b""
    while piece := running.receive():
        whole += piece
        if on_line:
            *lines, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                if line.strip():
                    on_line(line.decode(errors="replace").rstrip())
    if on_line and rest.strip():
        on_line(rest.decode(errors="replace").rstrip())
    return bytes(whole)


def _archive(tree: Path) -> bytes:
    """Pack a tree so that the same files give the same bytes, owned by root.

    A file's time, in 1970, follows from its content: BuildKit takes a file of the same size and time for the
    one it knows (https://github.com/moby/buildkit/issues/2592), and a build would go on with the former text.
    """

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if "__pycache__" in entry.name:
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = zlib.crc32((tree / entry.name).read_bytes()) % YEAR if entry.isfile() else 0
        return entry

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(tree, arcname=".", filter=anonymous)
    return packed.getvalue()
