"""image.check: what is in the image, from the outside (layers, history, environment) and from within."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpudock.answers import Answers
from gpudock.command import Job, command
from gpudock.config import load_families
from gpudock.errors import ProblemsFound
from gpudock.questions import Questions, ask
from gpudock.questions import shell as question
from gpudock.report import columns
from gpudock.settings import Settings
from gpudock.step import Blocked
from gpudock.steps import cuda, engine, image, within
from gpudock.steps.image import Image
from gpudock.steps.inputs import CONTEXT, locks
from gpudock.steps.machine import Machine

Row = tuple[str, str, str]  # what was looked at; ok, wrong or note; what was found

HISTORY = """docker history --no-trunc --human=false --format '{{.Size}} {{.CreatedBy}}' "$1" """
VARIABLES = """docker image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$1" """
CREDENTIAL = re.compile(
    r"://[^/:@\s]+:[^@/\s]+@|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{30,}|gh[ps]_[A-Za-z0-9]{30,})"
    r"|(?i:\b\w*(password|passwd|token|secret|api_?key)=(?!/run/secrets)[^\s\"'$]{4,})"
)
MEGABYTE = 1_000_000
SMALL = MEGABYTE  # bytes; layers below this are summed up


def questions(settings: Settings) -> Questions:
    """What the engine knows of the image."""
    name = settings.image.name
    return {"history": question(HISTORY, name), "variables": question(VARIABLES, name)}


def layers(answers: Answers) -> list[Row]:
    """The size of each layer, the largest first."""
    pairs = [line.partition(" ") for line in answers["history"].out.splitlines()]
    sizes = sorted(((int(size), by) for size, _, by in pairs if size.isdigit()), reverse=True)
    rows = [("layer", "ok", f"{size / MEGABYTE:8.1f} MB  {_made_by(by)}") for size, by in sizes if size >= SMALL]
    rest = [size for size, _ in sizes if size < SMALL]
    total = sum(size for size, _ in sizes)
    return [
        *rows,
        ("layer", "ok", f"{sum(rest) / MEGABYTE:8.1f} MB  {len(rest)} small ones"),
        ("size", "ok", f"{total / MEGABYTE:8.1f} MB  in all"),
    ]


def _made_by(command: str) -> str:
    """The instruction that made a layer, without BuildKit's ornaments."""
    plain = re.sub(r"--mount=\S+|/bin/sh -c|# buildkit|#\(nop\)|\|\d+( \w+=\S*)*", "", command)
    return " ".join(plain.split())[:60] or "the base"


def credentials(answers: Answers) -> list[Row]:
    """Passwords, tokens and keys in the image's history and environment; only the place is told."""
    rows: list[Row] = []
    for name, where in (("history", "docker history"), ("variables", "the image's environment")):
        for line in answers[name].out.splitlines():
            if CREDENTIAL.search(line):
                shown = re.split(r"[=:]", line.partition(" ")[2] if name == "history" else line)[0][:40]
                rows.append(("secrets", "wrong", f"{where} holds a credential: {shown}…"))
    return rows or [("secrets", "ok", "none in history and environment")]


def packages(settings: Settings, machine: Machine) -> list[str]:
    """The top-level packages of the chosen groups and of the operator's own list."""
    lists = [CONTEXT / f"requirements/{name}.in" for name in locks(settings, machine)]
    lines = [line for path in lists for line in path.read_text().splitlines()]
    names = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in (*lines, *settings.additions.pip))
    return sorted({found[0] for found in names if found})


def torch_row(found: dict[str, str], driver: str, base: str) -> Row:
    """Whether the installed torch's CUDA fits the driver and the base; `base` is the CUDA of the base, or empty."""
    if not found:
        return ("torch", "note", "not in this image")
    built = found["cuda"]
    said = f"{found['version']}, CUDA {built or 'none'}"
    if not driver:
        return ("torch", "ok", f"{said}; no driver here")
    if not built:
        return ("torch", "wrong", f"{said}: made for the CPU, and this host has a GPU (driver {driver})")
    oldest = min(family.driver for family in load_families().values() if _major(family.require) == _major(built))
    fits = cuda.major(driver) >= oldest
    same = not base or _major(base) == _major(built)
    why = "" if fits and same else f": needs driver {oldest}" if not fits else f": the base has CUDA {base}"
    return ("torch", "ok" if fits and same else "wrong", f"{said}; driver {driver}{why}")


def _major(version: str) -> str:
    """CUDA's major version: 13 of `cuda>=13.0` and of 13.0.3."""
    return version.removeprefix("cuda>=").split(".")[0]


def base_cuda(answers: Answers) -> str:
    """The CUDA version that NVIDIA's base image says it has; empty for other bases."""
    found = re.search(r"^CUDA_VERSION=(\S+)", answers["variables"].out, re.MULTILINE)
    return found[1] if found else ""


@command(name="check")
def check(job: Job) -> None:
    """Look into the built image: imports, CUDA, services, size by layer, leftovers; code 4 where something is wrong."""
    facts: Image = job.facts(image.BUILD)
    engine.need(facts.engine)
    if not facts.id:
        raise Blocked("image.build", f"There is no image {job.settings.image.name} on this host.")
    answers = ask(job.host, questions(job.settings))
    found = within.run(job.host, facts.engine, job.settings.image.name, "check", packages(job.settings, facts.machine))
    rows: Sequence[Row] = [
        *(tuple(row) for row in found["rows"]),
        torch_row(found["torch"], facts.machine.driver, base_cuda(answers)),
        *credentials(answers),
        *layers(answers),
    ]
    wrong = [row for row in rows if row[1] == "wrong"]
    job.say(columns(rows), rows=[dict(zip(("what", "status", "found"), row, strict=True)) for row in rows])
    if wrong:
        raise ProblemsFound(f"{len(wrong)} of {len(rows)} checks of {job.settings.image.name} found something wrong.")
