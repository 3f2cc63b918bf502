"""One adapter over this machine and over SSH: ask (read), do (change), write, push, all as root.

The only place that touches Invoke's Context and Fabric's Connection; everything above it is the same for both.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from threading import Event, Thread

import invoke

from gpudock import channel, root
from gpudock.credentials import sudo_password
from gpudock.errors import CannotTell, SudoRefused, Unreachable, UsageError
from gpudock.failures import ended
from gpudock.tree import packed

Line = Callable[[str], None]

# While a change runs its shell holds a lock, which outlives a connection that breaks; what it starts does not, or a
# daemon would hold it for ever.
HELD = "exec 8>>{mark} && flock -s 8 || exit; ( exec 8>&-; {script} ); exit $?"

# The size is checked because a connection that dies ends the input just as a whole file does.
WRITE = """set -e; path=$1; [ ! -L "$path" ] || path=$(readlink -m "$path")
mkdir -p "$(dirname "$path")"; umask 077; new=$(mktemp "$path.XXXXXX"); trap 'rm -f "$new"' EXIT
cat >"$new"; [ "$(wc -c <"$new")" -eq "$2" ] || { echo "$path: only a part arrived"; exit 1; }
chmod "$3" "$new"; chown "$4" "$new"; sync "$new"; mv -f "$new" "$path"; trap - EXIT"""

PUSH = """set -e; mkdir -p "$(dirname "$1")"; new=$(mktemp -d "$1.XXXXXX"); trap 'rm -rf "$new"' EXIT
tar -x -C "$new" --no-same-owner; chmod 0755 "$new"; rm -rf "$1"; mv "$new" "$1"; trap - EXIT"""


@dataclass(frozen=True)
class Completed:
    """What a command came to: its exit code, and what it printed, both streams in the order they came.

    Where a signal ended it, the last line of `output` says so. `begun` is false where it never ran, as sudo refused:
    `output` is then what was said instead. `raw` is the output as the bytes that came.
    """

    code: int
    output: str
    raw: bytes = field(default=b"", repr=False, compare=False)
    begun: bool = True


class Host:
    """A machine to look at and to change, this one or one over SSH.

    `silence` is the longest time in seconds that a command may print nothing.
    """

    def __init__(self, context: invoke.Context, name: str, silence: float | None = None) -> None:
        self.context = context
        self.name = name
        self.silence = silence
        self.password: str | None = None
        self.opened = False  # whether it is known how to become root
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
        if not done.begun and self.password is None and "sudo" in done.output:
            self._learn_password(done.output)
            done = self._as_root(script)
        self.opened = done.begun
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
        """Put a file in place whole or not at all, with its mode and owner; its folder is made where missing.

        A link stays a link: the file that it leads to is replaced.
        """
        return self.do(["sh", "-c", WRITE, "sh", path, str(len(data)), f"{mode:04o}", owner], data=data)

    def push(self, tree: Path, path: str) -> Completed:
        """Replace the folder `path` by a copy of `tree`, sent as one stream."""
        return self.do(["sh", "-c", PUSH, "sh", path], data=packed(tree))

    def socket(self, argv: Sequence[str]) -> socket:
        """Start `argv` as root and return a two-way stream that is its standard input and output."""
        if not self.opened:
            self.ask("true")
        script = f"{root.ENVIRONMENT}exec {shlex.join(argv)}"
        try:
            stream = channel.open_socket(self.context, self._wrap(script))
            stream.sendall(self._password())
            root.await_begin(stream)
            stream.sendall(script.encode())
        except OSError as error:
            raise self._lost(str(error)) from None
        return stream

    def interact(self, argv: Sequence[str]) -> int:
        """Hand the operator's terminal to `argv`, run as root; return its exit code. Raises UsageError without one."""
        if not sys.stdin.isatty():  # a pipe's end does not reach what runs on a terminal: it would wait forever
            raise UsageError("This works at a terminal only. For a command in the container there is ssh.")
        self.ask("true")
        script = f"{root.ENVIRONMENT}exec {shlex.join(argv)}"
        command = root.interactive(script, asked=self.password is not None)
        done = self.context.run(command, pty=True, warn=True)
        return 1 if done is None else int(done.exited)  # a Result that failed is false

    def _as_root(self, script: str, data: bytes | Iterable[bytes] = b"", on_line: Line | None = None) -> Completed:
        script, begun = root.ENVIRONMENT + script, Event()
        return self._run(self._wrap(script), self._input(script, data, begun), begun, on_line)

    def _wrap(self, script: str) -> str:
        return root.wrapped(script, asked=self.password is not None)

    def _password(self) -> bytes:
        """What sudo reads where it asks for a password."""
        return b"" if self.password is None else f"{self.password}\n".encode()

    def _input(self, script: str, data: bytes | Iterable[bytes], begun: Event) -> Iterator[bytes]:
        if password := self._password():
            yield password
            if not begun.wait(root.PATIENCE):
                return  # it asks once more: the password is no longer the right one
        yield script.encode()
        yield from channel.chunks(data)

    def _learn_password(self, output: str) -> None:
        """Take the sudo password and try it once with nothing behind it, so that no data is read as a guess."""
        given = sudo_password(self.context, self.name)
        if given is None or not re.search("password|authentication", output):
            raise SudoRefused(
                f"{self.name}: cannot become root: {output.strip()}. Let this user use sudo, or give its password "
                "with --prompt-for-sudo-password or in GPUDOCK_SUDO_PASSWORD."
            )
        self.password = given
        done = self._run(self._wrap(""), [self._password()], Event())
        if done.code != 0:
            self.password = None
            raise SudoRefused(f"{self.name}: sudo did not take the password: {done.output.strip()}")

    def _run(self, command: str, data: Iterable[bytes], begun: Event, on_line: Line | None = None) -> Completed:
        try:
            running = channel.open_channel(self.context, command, self.silence)
        except OSError as error:
            raise self._lost(str(error)) from None
        feeder = Thread(target=_feed, args=(running, data), daemon=True)
        feeder.start()
        try:
            raw = _collect(running, begun, on_line)
        except TimeoutError:
            running.stop()
            raise Unreachable(f"{self.name}: no sign of life for {self.silence:g} s; gave up waiting.") from None
        finally:
            has_begun = begun.is_set()
            begun.set()  # nobody waits for it any more
        feeder.join(timeout=5)
        code = running.wait()
        if code == -1:
            raise self._lost("it ended in the middle")
        return Completed(code, f"{raw.decode(errors='replace')}{ended(code)}", raw, has_begun)

    def _lost(self, said: str) -> Unreachable:
        return Unreachable(
            f"{self.name}: the connection is gone: {said}. The host, its sshd or the network went away; what the host "
            "was at may still be going on there. The same command with --wait finishes the rest."
        )


def _feed(running: channel.Channel, data: Iterable[bytes]) -> None:
    with suppress(OSError):  # the command ended without reading all: its exit code tells
        for piece in data:
            running.send(piece)
    with suppress(OSError):
        running.finish_input()


def _collect(running: channel.Channel, begun: Event, on_line: Line | None) -> bytes:
    """Gather the output, or all that is said before it has `begun`. Progress bars end lines by a carriage return."""
    whole, rest = bytearray(), b""
    while piece := running.receive():
        whole += piece
        if not begun.is_set():
            _, mark, piece = bytes(whole).partition(root.MARK)
            if not mark:
                continue
            whole = bytearray(piece)
            begun.set()
        if on_line:
            *lines, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                if line.strip():
                    on_line(line.decode(errors="replace").rstrip())
    if on_line and rest.strip():
        on_line(rest.decode(errors="replace").rstrip())
    return bytes(whole)
