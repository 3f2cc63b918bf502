"""Read-only questions to a host: any number of them in one remote shell, answered side by side."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Collection, Mapping
from typing import Protocol

from gpudock import engine_api, host_files
from gpudock.answers import TIMED_OUT, Answer, Answers, Argv
from gpudock.engine_api import GET
from gpudock.errors import CannotTell
from gpudock.host import Host
from gpudock.host_files import FILE, FILES

SHELL = ("sh", "-c")
AFTER = "after the engine"
Questions = Mapping[str, Argv]


class Joined(Protocol):
    """Questions of some kinds that one command answers, which costs the host far less than a command for each."""

    NAME: str
    KINDS: tuple[str, ...]
    ASK: str  # the shell text, which takes the words of `asked`

    def asked(self, questions: Collection[Argv]) -> tuple[str, ...]:
        """The command's words for these questions."""

    def divide(self, questions: Questions, whole: Answer) -> Answers:
        """Divide what the command said among the questions."""


JOINED: tuple[Joined, ...] = (engine_api, host_files)  # begun in this order, before all others

TIME_LIMIT = 30  # seconds; a Docker daemon that hangs must not hang us

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


def shell(script: str, *arguments: str) -> Argv:
    """A question that needs a shell: `script` sees `arguments` as $1, $2, …"""
    return (*SHELL, script, "sh", *arguments)


def file(path: str) -> Argv:
    """The question for a file's text; read the answer with `Answer.file`.

    The kernel's own files have no size that tar would go by.
    """
    return ("cat", "--", path) if path.startswith(("/proc/", "/sys/")) else (FILE, path)


def files(*paths: str) -> Argv:
    """The question for the files at some paths, and in those that are folders; read `Answer.files`.

    None need be there. Hidden files, and folders in the folders, are left out.
    """
    return (FILES, *paths)


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
    groups = [(kind, {name: argv for name, argv in questions.items() if argv[0] in kind.KINDS}) for kind in JOINED]
    asked = {kind.NAME: shell(kind.ASK, *kind.asked(own.values())) for kind, own in groups if own}
    joined = {name for _, own in groups for name in own}
    answers = _put(host, {**asked, **{name: argv for name, argv in questions.items() if name not in joined}})
    for kind, own in groups:
        if own:
            answers |= kind.divide(own, answers.pop(kind.NAME))
    return answers


def _put(host: Host, asked: Questions) -> dict[str, Answer]:
    boundary = f"--{secrets.token_hex(8)}"
    parts = host.ask(script(asked, boundary)).split(boundary.encode())
    if len(parts) != 2 * len(asked) + 1:
        raise CannotTell(
            f"{host.name}: the host's shell did not answer as expected: {parts[0][:300].decode(errors='replace')!r}"
        )
    answers = {}
    codes = dict(zip(in_order(asked), parts.pop().split(), strict=True))
    for (name, argv), out, err in zip(asked.items(), parts[0::2], parts[1::2], strict=True):
        text, errors = out.decode(errors="replace"), err.decode(errors="replace")
        answers[name] = Answer(argv, int(codes[name]), text, errors, out)
    return answers


def in_order(questions: Questions) -> list[str]:
    """The questions' names as they are begun: those that wait for the engine come last."""
    return sorted(questions, key=lambda name: questions[name][0] == AFTER)


def script(questions: Questions, boundary: str) -> str:
    """Write the shell text that runs each question, and prints output and errors of each, then all exit codes."""
    files = {name: index for index, name in enumerate(questions)}
    asking: list[str] = []
    following = FOLLOWING.format(file=files.get(engine_api.NAME, "none"))
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
    return f"exec {shlex.join(argv)}"
