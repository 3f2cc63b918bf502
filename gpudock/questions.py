"""Read-only questions to a host: any number of them in one remote shell, answered side by side."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpudock.errors import CannotTell
from gpudock.host import Host

SHELL = ("sh", "-c")
Argv = tuple[str, ...]
Questions = Mapping[str, Argv]

TIME_LIMIT = 30  # seconds; a Docker daemon that hangs must not hang us
TIMED_OUT = 124  # the exit code of an answer that came to this limit, as timeout(1) has it

# One small file an answer, on a file system that a full disk does not touch; one `cat` brings them all. One watch ends
# what is late: timeout(1) and a shell for each question would be a third of what all of them cost the host.
FRAME = """folder=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT; cd "$folder" || exit 1
below() {{ cat "/proc/$1/task/$1/children"; }}
end() {{ children=$(below "$1"); kill "$1"; for child in $children; do end "$child"; done; }}
{asking}
(sleep {limit}; : >late
for question in $pids; do
  children=$(below "$question") || kill "$question"; for child in $children; do end "$child"; done
done) >/dev/null 2>&1 </dev/null & watch=$!
wait $pids; end $watch 2>/dev/null; cat {files}"""
ASKING = """{{ ( {body}
) >{out} 2>{err} </dev/null; code=$?; [ ! -e late ] || code={late}
printf '%s' '{boundary}' >>{out}; printf '\\n%s%s' $code '{boundary}' >>{err}; }} 2>/dev/null & pids="$pids $!\""""


@dataclass(frozen=True)
class Answer:
    """What a question's command came to."""

    argv: Argv
    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether the command ended well."""
        return self.code == 0

    @property
    def not_found(self) -> bool:
        """Whether the command itself is not on this host."""
        return self.code in (126, 127)

    @property
    def timed_out(self) -> bool:
        """Whether it came to a time limit, ours or one of its own by timeout(1)."""
        return self.code == TIMED_OUT

    def file(self) -> str | None:
        """The text of a file asked for with `cat`; None where there is none.

        Raises CannotTell where it is there and cannot be read, which is not the same.
        """
        if self.ok:
            return self.out
        if "No such file or directory" in self.err:
            return None
        raise CannotTell(f"{shlex.join(self.argv)}: {self.err.strip() or f'exit code {self.code}'}")

    def json(self) -> Any:
        """The output parsed as JSON. Raises CannotTell where it is none."""
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise CannotTell(f"{shlex.join(self.argv)} did not print JSON ({error}): {self.out[:200]!r}") from None


Answers = Mapping[str, Answer]


def shell(script: str, *arguments: str) -> Argv:
    """A question that needs a shell: `script` sees `arguments` as $1, $2, …"""
    return (*SHELL, script, "sh", *arguments)


def file(path: str) -> Argv:
    """The question for a file's text; read the answer with `Answer.file`."""
    return ("cat", "--", path)


# A start of the docker client costs the host 20 to 80 ms of processor time, as it looks at all its plugins; curl 9.
ENGINE = """curl -sf --max-time 25 --unix-socket /var/run/docker.sock "http://docker$1" 2>/dev/null && exit
shift; exec "$@"
"""


def engine(path: str, *argv: str) -> Argv:
    """The question for what the engine's API has at `path`, such as `/info`; failing that, for what `argv` prints."""
    return shell(ENGINE, path, *argv)


def ask(host: Host, questions: Questions) -> Answers:
    """Put all questions to the host in one round trip. Raises what `Host.ask` raises."""
    if not questions:
        return {}
    boundary = f"--{secrets.token_hex(8)}"
    parts = host.ask(script(questions, boundary)).split(boundary)
    if len(parts) != 2 * len(questions) + 1:
        raise CannotTell(f"{host.name}: the host's shell did not answer as expected: {parts[0][:300]!r}")
    answers = {}
    for (name, argv), out, tail in zip(questions.items(), parts[0::2], parts[1::2], strict=False):
        err, _, code = tail.rpartition("\n")
        answers[name] = Answer(argv, int(code), out, err)
    return answers


def script(questions: Questions, boundary: str) -> str:
    """Write the shell text that runs each question and frames its output, errors and exit code."""
    asking, files = [], []
    for index, argv in enumerate(questions.values()):
        out, err = f"{index}.o", f"{index}.e"
        files += [out, err]
        asking.append(ASKING.format(body=_body(argv), out=out, err=err, late=TIMED_OUT, boundary=boundary))
    return FRAME.format(asking="\n".join(asking), files=" ".join(files), limit=TIME_LIMIT)


def _body(argv: Argv) -> str:
    """A question as the frame's own shell runs it: one made by `shell` needs no shell of its own."""
    if argv[:2] == SHELL:
        return f"set -- {shlex.join(argv[4:])}\n{argv[2]}"
    return f"exec {shlex.join(argv)}"
