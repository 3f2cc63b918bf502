"""Questions to the Docker engine's API: all that a run asks, in one process and over one connection.

A start of the docker client costs the host 16 ms of processor time, one that looks at its plugins 70; curl costs 6, and
a request more half a one. So all requests go to one curl, and where there is none, or nobody listens at the usual
socket, to one `docker system dial-stdio`, which says in Docker's words why no daemon answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping

from gpudock.answers import Answer, Answers, Argv

NAME = "the engine"
GET = "GET"
KINDS: tuple[str, ...] = (GET,)
SOCKET = "/var/run/docker.sock"

# Both print the responses as they come, headers and all. A pipe that its reader may write to has no end: Docker drops
# what a client asks that has closed its side. curl ends with 7 where it cannot connect, 2 where it is too old.
ASK = f"""socket={SOCKET}; requests=; set -f
if [ -S $socket ] && command -v curl >/dev/null; then
  for path; do requests="$requests http://docker$path"; done
  curl -sS --no-buffer --globoff --include --raw --unix-socket $socket $requests 2>/dev/null; code=$?
  case $code in 2|7) requests= ;; *) exit $code ;; esac
fi
command -v docker >/dev/null || {{ echo "docker: not found" >&2; exit 127; }}
mkfifo requests && exec 3<>requests || exit 1
while [ $# -gt 0 ]; do
  last=; [ $# -gt 1 ] || last='Connection: close\\r\\n'
  printf "GET %s HTTP/1.1\\r\\nHost: docker\\r\\n$last\\r\\n" "$1" >&3; shift
done
docker system dial-stdio <&3 2>/dev/null || {{ docker version >/dev/null; exit 1; }}"""


def asked(questions: Collection[Argv]) -> tuple[str, ...]:
    """The words that ASK takes for these questions: each path once."""
    return tuple(dict.fromkeys(path for _, path in questions))


def divide(questions: Mapping[str, Argv], whole: Answer) -> Answers:
    """Divide what the engine said among the questions; one it did not come to has its client's code and words."""
    said = dict(zip(asked(questions.values()), read(whole.raw), strict=False))
    answers = {}
    for name, argv in questions.items():
        status, body = said.get(argv[1], (0, ""))
        if not status:
            answers[name] = Answer(argv, whole.code or 1, "", whole.err)
        elif status < 300:
            answers[name] = Answer(argv, 0, body, "")
        else:
            answers[name] = Answer(argv, 1, "", message(body))
    return answers


def read(said: bytes) -> Iterator[tuple[int, str]]:
    """Yield status and body of each whole response, up to one that was cut off (RFC 9112)."""
    while said.startswith(b"HTTP/"):
        head, _, rest = said.partition(b"\r\n\r\n")
        if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
            size = int(length[1])
            body, said = (rest[:size], rest[size:]) if len(rest) >= size else (None, b"")
        else:
            body, said = _chunks(rest)
        if body is None:
            return
        yield int(head.split(b" ", 2)[1]), body.decode(errors="replace")


def _chunks(rest: bytes) -> tuple[bytes | None, bytes]:
    """Join a chunked body and return it, None where it was cut off, with what follows."""
    body = b""
    while b"\r\n" in rest:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line, 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            return body, rest
    return None, b""


def message(body: str) -> str:
    """What the engine says of a request that it refuses."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body
