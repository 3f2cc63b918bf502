"""How a script becomes root's on a host: by sudo where one is not root already, with or without a password."""

from __future__ import annotations

import shlex
from socket import socket

# sudo's secure_path and a login shell's differ, and daemons' tools live in the sbin folders. The engine meant is
# always the machine's own, whatever DOCKER_HOST says, or the context that `docker context use` has chosen. A hardened
# host's umask of 077 would hide apt's keys from apt and the container's folder from its user; what is secret has a mode
# of its own. Where sh is bash it takes options from an exported SHELLOPTS, and errexit would end a question half-way.
ENVIRONMENT = (
    "set +efu; umask 022; unset DOCKER_HOST; "
    "export DOCKER_CONTEXT=default LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; "
)

# The script itself comes on standard input, so that neither `ps` nor sudo's log ever shows what is in it. What was
# printed before it begins is none of its: a .bashrc's greeting, sudo's lecture or "unable to resolve host". To a sudo
# that asks for the password only that is sent until then, as sudo-rs (0.2.5) reads on into what follows.
BEGUN = "gpudock begins here"
MARK = f"{BEGUN}\n".encode()
SCRIPT = f'echo {BEGUN}; eval "$(head -c {{size}})"'
PLAIN = '[ "$(id -u)" = 0 ] && { eval "$1"; exit; }; export LC_ALL=C; exec sudo -n -- sh -c "$1"'
ASKED = "export LC_ALL=C; exec sudo -S -k -p '' -- sh -c \"$1\""
ON_A_TERMINAL = 'exec sudo -- sh -c "$1"'
PATIENCE = 60  # seconds that sudo and PAM have for a password


def wrapped(script: str, *, asked: bool) -> str:
    """The command that reads this script from its standard input and runs it; `asked` where sudo wants a password."""
    return shlex.join(["sh", "-c", ASKED if asked else PLAIN, "sh", SCRIPT.format(size=len(script.encode()))])


def interactive(script: str, *, asked: bool) -> str:
    """The command that runs a script on the operator's terminal, where sudo may ask by itself."""
    return shlex.join(["sh", "-c", ON_A_TERMINAL if asked else PLAIN, "sh", script])


def await_begin(stream: socket) -> None:
    """Read up to the script's beginning, byte by byte, as what follows is the program's. Raises OSError."""
    said = b""
    stream.settimeout(PATIENCE)
    while not said.endswith(MARK):
        if not (piece := stream.recv(1)):
            raise ConnectionError(said.decode(errors="replace").strip() or "it did not begin")
        said += piece
    stream.settimeout(None)
