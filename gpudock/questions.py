"""Read-only questions to a host: any number of them in one remote shell, answered side by side."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpudock import engine_api
from gpudock.errors import CannotTell
from gpudock.host import Host

SHELL = ("sh", "-c")
CAT = ("cat", "--")
GET, AFTER = "GET", "after the engine"
ENGINE = "the engine"  # all that is asked of it, as one question
Argv = tuple[str, ...]
Questions = Mapping[str, Argv]

ABSENT = "No such file or directory"
TIME_LIMIT = 30  # seconds; a Docker daemon that hangs must not hang us
TIMED_OUT = 124  # the exit code of an answer that came to this limit, as timeout(1) has it

# One small file an answer, on a file system that a full disk does not touch; one `cat` brings them all. One watch ends
# what is late: timeout(1) and a shell for each question would be a third of what all of them cost the host. The watch
# and its clock end by KILL: a shell just forked still has its parent's traps, and bash would tidy up by them.
FRAME = """folder=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT; cd "$folder" && mkfifo clock || exit 1; pids= codes=
below() {{ cat "/proc/$1/task/$1/children"; }}
end() {{ children=$(below "$1"); kill "$1"; for child in $children; do end "$child"; done; }}
sleep {limit} >clock 2>/dev/null </dev/null & clock=$!
(read -r end <clock; : >late; read -r self rest </proc/self/stat
for question in $(below $$); do [ "$question" = "$self" ] || {{ : >"late.$question"; end "$question"; }}; done
) >/dev/null 2>&1 </dev/null & watch=$!
{asking}
for pid in $pids; do wait "$pid"; code=$?; [ ! -e "late.$pid" ] || code={late}; codes="$codes $code"; done 2>/dev/null
{{ kill -9 $clock $watch; wait $clock $watch; }} 2>/dev/null; trap '' PIPE
printf '%s' '{boundary}' >boundary; cat {files}; echo $codes"""
ASKING = """( {body}
) >{file}.o 2>{file}.e </dev/null & pids="$pids $!\""""
# What the engine is asked is begun first.
FOLLOWING = """engine=$folder/{file}.o; first=${{pids# }}; wait "${{first%% *}}" 2>/dev/null"""


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
        if ABSENT in self.err:
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
    return (*CAT, path)


def engine(path: str) -> Argv:
    """The question for what the Docker engine's API has at `path`, such as `/info`; an error where it refuses."""
    return (GET, path)


def after_engine(script: str, *arguments: str) -> Argv:
    """A question like `shell`, asked when the engine has answered: what it said is in the file `$engine`."""
    return (AFTER, script, "sh", *arguments)


def ask(host: Host, questions: Questions) -> Answers:
    """Put all questions to the host in one round trip. Raises what `Host.ask` raises."""
    if not questions:
        return {}
    paths = {name: argv[1] for name, argv in questions.items() if argv[0] == GET}
    asked = {name: argv for name, argv in questions.items() if name not in paths}
    if paths:
        asked = {ENGINE: shell(engine_api.ASK, *dict.fromkeys(paths.values())), **asked}
    boundary = f"--{secrets.token_hex(8)}"
    parts = host.ask(script(asked, boundary)).split(boundary.encode())
    if len(parts) != 2 * len(asked) + 1:
        raise CannotTell(
            f"{host.name}: the host's shell did not answer as expected: {parts[0][:300].decode(errors='replace')!r}"
        )
    answers = {}
    codes = dict(zip(in_order(asked), parts.pop().split(), strict=True))
    for (name, argv), out, err in zip(asked.items(), parts[0::2], parts[1::2], strict=True):
        answers[name] = Answer(argv, int(codes[name]), out.decode(errors="replace"), err.decode(errors="replace"))
    return {**answers, **_of_engine(paths, answers.pop(ENGINE), parts[0])} if paths else answers


def _of_engine(paths: Mapping[str, str], whole: Answer, raw: bytes) -> Answers:
    """Divide what the engine said among the questions; one it did not come to has its client's code and words."""
    said = dict(zip(dict.fromkeys(paths.values()), engine_api.read(raw), strict=False))
    answers = {}
    for name, path in paths.items():
        if path not in said:
            answers[name] = Answer((GET, path), whole.code or 1, "", whole.err)
        elif said[path][0] < 300:
            answers[name] = Answer((GET, path), 0, said[path][1], "")
        else:
            answers[name] = Answer((GET, path), 1, "", engine_api.message(said[path][1]))
    return answers


def in_order(questions: Questions) -> list[str]:
    """The questions' names as they are begun: those that wait for the engine come last."""
    return sorted(questions, key=lambda name: questions[name][0] == AFTER)


def script(questions: Questions, boundary: str) -> str:
    """Write the shell text that runs each question, and prints output and errors of each, then all exit codes."""
    files = {name: index for index, name in enumerate(questions)}
    asking: list[str] = []
    following = FOLLOWING.format(file=files.get(ENGINE, "none"))
    for name in in_order(questions):
        if questions[name][0] == AFTER and following not in asking:
            asking.append(following)
        asking.append(ASKING.format(body=_body(questions[name]), file=files[name]))
    names = " ".join(f"{file}.o boundary {file}.e boundary" for file in files.values())
    return FRAME.format(asking="\n".join(asking), files=names, limit=TIME_LIMIT, late=TIMED_OUT, boundary=boundary)


def _body(argv: Argv) -> str:
    """A question as the frame's own shell runs it: one made by `shell` needs no shell of its own."""
    if argv[0] == AFTER:
        return f"[ ! -e late ] || exit {TIMED_OUT}; set -- {shlex.join(argv[3:])}\n{argv[1]}"
    if argv[:2] == SHELL:
        return f"set -- {shlex.join(argv[4:])}\n{argv[2]}"
    if argv[:2] == CAT:
        return f"[ -e {shlex.quote(argv[2])} ] || {{ echo {ABSENT} >&2; exit 1; }}; exec {shlex.join(argv)}"
    return f"exec {shlex.join(argv)}"
