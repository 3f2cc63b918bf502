"""One operator at a time changes a host, and each change leaves a line in the host's audit log.

Both are the work of one root shell on the host, over the connection that is open already, for as long as there is
something to apply. It holds a kernel lock and reads what is begun and ended from its standard input: when that
ends, or is silent for LIFE, because the operator is done, was killed or has lost the network, the shell ends and the
lock with it. What had begun by then is recorded as interrupted. Its tool may go on, as nobody can tell whether to end
an apt in the middle is better: the shell that runs it holds a lock of its own (`Host.mark`), and until that is free
the next operator is told what still runs.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Mapping, Sequence
from threading import Event, Thread
from typing import Any

from gpudock.actions import Action
from gpudock.errors import CannotTell, Locked, Refused
from gpudock.host import Host
from gpudock.redaction import clean
from gpudock.settings import HostFolder

BEAT = 20.0  # seconds between two signs of life of a holder
LIFE = 90  # seconds without one after which the host takes the lock back
ANSWER = 30.0  # seconds the host has for saying whether the lock is ours

# The lock itself is the kernel's; `holder` beside it only tells who it is, and is believed only while the lock is
# held. It is waited for a second, so that the holder has written its name by then. sudo hides SSH_CLIENT, but root
# may read it from the process above.
KEEPER = """exec 2>&1; mkdir -p "$1"; exec 9>>"$1/lock" || exit
stamp() { date -u +%Y-%m-%dT%H:%M:%SZ; }
command -v flock >/dev/null || { echo "flock of util-linux is not installed"; exit 1; }
flock -w 1 9 || { echo "busy $(stamp)"; cat "$1/holder"; exit; }
left() { for file in /proc/[0-9]*/fd/8; do
  pid=${file#/proc/}; pid=${pid%%/*}; [ "$pid" != $$ ] && [ "$file" -ef "$1/running" ] || continue
  for child in $(cat "/proc/$pid/task/$pid/children"); do
    read -r name <"/proc/$child/comm" && echo "$name ($child)"
  done
done 2>/dev/null; }
exec 8>>"$1/running"; flock -n 8 || { echo "left $(stamp)"; cat "$1/holder"; left "$1"; exit; }; exec 8>&-
above() { tr '\\0' '\\n' </proc/$PPID/environ | sed -n 's/^SSH_CLIENT=//p'; }
from=${SSH_CLIENT:-$(above 2>/dev/null)}; from=${from%% *}
since=$(stamp); pending=
record() { mkdir -p "$(dirname "$2")"; printf '{"when":"%s","from":"%s",%s\\n' "$(stamp)" "$from" "$1" >>"$2"; }
trap '[ -z "$pending" ] || record "$pending" "$2"' EXIT; trap 'exit 1' HUP INT TERM
echo held
while said=$(exec 9>&-; timeout "$3" sh -c 'IFS= read -r line && printf %s "$line"'); do
  case $said in
    hold*) printf '{"since":"%s","from":"%s",%s\\n' "$since" "$from" "${said#hold }" >"$1/holder" ;;
    begin*) pending=${said#begin }; printf '{"since":"%s","from":"%s",%s\\n' "$since" "$from" "$pending" >"$1/holder" ;;
    end*) record "${said#end }" "$2"; pending= ;;
  esac
done"""


class Lock:
    """A held lock. `task` is what its holder runs; actions are recorded as they begin and end."""

    def __init__(self, host: Host, stream: socket.socket, paths: HostFolder, task: str) -> None:
        self.host, self.stream = host, stream
        host.mark = f"{paths.lock}/running"
        self.common = {"who": operator(), "task": task}
        self.step = ""
        self._released = Event()
        self._say("hold", {})
        Thread(target=self._beat, daemon=True).start()

    @classmethod
    def take(cls, host: Host, paths: HostFolder, task: str) -> Lock:
        """Take the host's lock. Raises Locked, which names the holder, and CannotTell where the host cannot lock."""
        stream = host.socket(("sh", "-c", KEEPER, "sh", paths.lock, paths.audit, str(LIFE)))
        stream.settimeout(ANSWER)
        said = _receive(stream, until=b"held\n")
        if said == "held\n":
            return cls(host, stream, paths, task)
        stream.close()
        if said.startswith(("busy ", "left ")):
            raise Locked(host.name, *_holder(said))
        raise CannotTell(f"{host.name}: cannot take the host's lock: {said.strip() or 'its shell said nothing'}")

    def begin(self, step: str, action: Action) -> None:
        """Record what is begun, as interrupted until its end is told.

        Raises Refused where the host has taken the lock back, and Unreachable where it is gone.
        """
        if self._say("begin", entry(step, action, "interrupted")):
            return
        self.host.ask("true")
        raise Refused(
            f"{self.host.name}: stopped before it would {action.why}, as the host has taken its lock back: this "
            f"program stood still for {LIFE} s (Ctrl-Z, a laptop asleep), or the shell that held it was killed. Others "
            "may have changed the host since: run the same command again, which does the rest."
        )

    def end(self, step: str, action: Action, result: str, seconds: float) -> None:
        """Record how an action ended: `done` or `failed`."""
        self._say("end", {**entry(step, action, result), "seconds": round(seconds, 1)})

    def release(self) -> str:
        """Give the lock back and return what could not be recorded, empty where all was."""
        self._released.set()
        self.host.mark = ""
        try:
            self.stream.shutdown(socket.SHUT_WR)
            return _receive(self.stream).strip()
        except OSError:
            return ""  # the connection is gone, and the lock with it
        finally:
            self.stream.close()

    def _say(self, word: str, more: Mapping[str, Any]) -> bool:
        """Tell the host, and return whether it still listens."""
        text = json.dumps({**self.common, **more}, ensure_ascii=False)
        try:
            self.stream.sendall(f"{word} {text[1:]}\n".encode())
        except OSError:
            return False
        return True

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            try:
                self.stream.sendall(b"\n")
            except OSError:
                return


def entry(step: str, action: Action, result: str) -> dict[str, str]:
    """An action as the audit log has it: why, what was run or which file was written, the result; no secrets."""
    told = action.describe()
    what = " ".join(told["argv"]) if "argv" in told else str(told.get("path", ""))
    return {"step": step, "why": clean(action.why), "action": clean(what)[:300], "result": result}


def operator() -> str:
    """Who runs gpudock and on which machine, `anna@laptop`; under sudo the user who called it."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _receive(stream: socket.socket, until: bytes = b"") -> str:
    """Read to the end of the stream, or to the text `until`."""
    said = b""
    while not (until and said.endswith(until)):
        try:
            piece = stream.recv(4096)
        except TimeoutError:
            break
        if not piece:
            break
        said += piece
    return said.decode(errors="replace")


def _holder(said: str) -> tuple[str, Mapping[str, str], Sequence[str] | None]:
    """The host's time now, what the lock's last holder says of itself, and what it left running; None if it is here."""
    first, *lines = said.splitlines()
    word, _, now = first.partition(" ")
    try:
        holder: dict[str, str] = json.loads(lines[0])
    except (ValueError, IndexError):
        holder = {}
    return now, holder, lines[1:] if word == "left" else None
