"""Questions for files of a host: all that a run asks, in one archive by one tar, each with its mode.

A `cat` or a `base64` for each would cost the host 0.8 ms of processor time apiece, and a `stat` as much again. Owners
come as numbers: each of their names would be looked up in a database.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Mapping
from contextlib import suppress

from gpudock.answers import ABSENT, Answer, Answers, Argv, HostFile

NAME = "the files"
FILE, FILES = "file", "files"  # one path's text; the files at some paths, and in those that are folders
KINDS: tuple[str, ...] = (FILE, FILES)

# Links are followed, and a file that is asked for twice comes twice. Nothing comes of a folder in a folder, or in the
# place of a file: it may be a link to the whole disk. What cannot be read is left out and complained of by its path.
ASK = """command -v tar >/dev/null || { echo "install tar on this host" >&2; exit 127; }
within=; for path; do shift
  case $path in --within) within=yes ;; *) set -- "$@" "$path"; [ -z "$within" ] || set -- "$@" "$path"/* ;; esac
done
exec tar -c -b 1 -P --numeric-owner --dereference --hard-dereference --no-recursion "$@\""""
FAILED = 2  # tar's worst exit code: something could not be read
NOT_THERE = (ABSENT, "Not a directory")
WITHIN = "--within"  # what follows it comes with the files that are in it


def asked(questions: Collection[Argv]) -> tuple[str, ...]:
    """The words that ASK takes for these questions."""
    single = dict.fromkeys(path for kind, *paths in questions if kind == FILE for path in paths)
    whole = dict.fromkeys(path for kind, *paths in questions if kind == FILES for path in paths)
    return (*single, WITHIN, *whole)


def divide(questions: Mapping[str, Argv], whole: Answer) -> Answers:
    """Divide the archive among the questions. A file that is not there is an answer that says so."""
    files, folders = read(whole.raw)
    said = [(line.removeprefix("tar: ").partition(": ")[0], line) for line in whole.err.splitlines()]
    answers = {}
    for name, argv in questions.items():
        found = {path: file for path, file in files.items() if _is_of(path, argv)}
        complaints = [line for path, line in said if _is_of(path, argv)]
        wrong = [line for line in complaints if not line.endswith(NOT_THERE)]
        if argv[0] == FILES:
            code, error = (int(bool(wrong)), "\n".join(wrong)) if whole.code <= FAILED else (whole.code, whole.err)
            answers[name] = Answer(argv, code, "", error, files=found)
        elif file := found.get(argv[1]):
            answers[name] = Answer(argv, 0, file.text, "", file.content, found)
        else:
            error = "\n".join(wrong) or (ABSENT if complaints else whole.err)
            answers[name] = Answer(argv, whole.code or 1, "", "Is a directory" if argv[1] in folders else error)
    return answers


def _is_of(path: str, argv: Argv) -> bool:
    return path in argv[1:] or (argv[0] == FILES and path.rpartition("/")[0] in argv[1:])


def read(packed: bytes) -> tuple[Mapping[str, HostFile], Collection[str]]:
    """The files in an archive by their paths, and its folders; one that was cut off has what came whole."""
    files: dict[str, HostFile] = {}
    folders: list[str] = []
    with suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
        for entry in archive:
            if entry.isdir():
                folders.append(entry.name)
            elif content := archive.extractfile(entry):
                files[entry.name] = HostFile(content.read(), f"{entry.mode:o}")
    return files, folders
