"""`inv image.lock`: the packages' hash locks made anew, and proof that each can be installed wherever it is for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gpudock.actions import Write
from gpudock.command import Job, command
from gpudock.config import load_families
from gpudock.errors import ActionFailed, UsageError
from gpudock.failures import next_move
from gpudock.settings import Settings
from gpudock.step import Outcome, Status
from gpudock.steps.cuda import minor
from gpudock.steps.inputs import CONTEXT

REQUIREMENTS = CONTEXT / "requirements"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ARCHITECTURES = ("x86_64", "aarch64")
GROUPS = ("notebook", "app", "llm", "langchain-experimental")
PACKAGE = re.compile(r"^([a-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Locks:
    """What the locks came to: each package whose version changed, as lock, name, former and new version."""

    packages: list[dict[str, str]]
    installs: list[str]


@dataclass(frozen=True)
class Relock(Write):
    """A lock made anew; what of it is worth a look is in the packages' versions, and not in thousands of hashes."""

    def diff(self) -> str:
        """None: the versions are told beside it."""
        return ""


@command(name="lock", options={"upgrade": "Take the newest versions; without it those that still fit are kept."})
def lock(job: Job, upgrade: bool = False) -> None:
    """Make the packages' locks anew, then check each Python, architecture and CUDA against them."""
    if not job.host.is_local:
        raise UsageError("image.lock works on the files of this machine, whatever host: run it by `./inv image.lock`.")
    started = time.monotonic()
    uv, mirror = _uv(job.settings), job.settings.mirrors.pypi
    with TemporaryDirectory() as folder:
        made = Path(folder) / "requirements"
        shutil.copytree(REQUIREMENTS, made)
        _tell(job, f"making the locks of {REQUIREMENTS} (minutes)")
        _run("make the locks", ["sh", str(made / "lock"), *(["--upgrade"] if upgrade else [])], uv, mirror)
        packages = list(changes(versions(REQUIREMENTS), versions(made)))
        for row in packages:
            _tell(job, f"  {row['lock']}: {row['package']}  {row['before']} → {row['after']}")
        installs = _tried(job, made, uv, mirror)
        actions = tuple(_files(made))
        if not job.options.dry_run:
            for action in actions:
                Path(action.path).write_text(action.text)
    status: Status = "ok" if not actions else "planned" if job.options.dry_run else "changed"
    facts = Locks(packages, installs)
    job.report.outcome(Outcome(job.host.name, "image.lock", status, actions, time.monotonic() - started, facts=facts))


def _tell(job: Job, text: str) -> None:
    """Show people how it goes; machines get all of it at the end."""
    if not job.options.json:
        job.report.write(text)


def _tried(job: Job, folder: Path, uv: str, mirror: str) -> list[str]:
    """Try the locks of a folder for all that an image can be built of. Raises ActionFailed."""
    installs = []
    for python, architecture, torch in combinations():
        with TemporaryDirectory() as nowhere:
            argv = [uv, *installable(python, architecture, torch, folder), "--target", nowhere]
            _run(f"resolve Python {python} on {architecture} with {torch}", argv, uv, mirror)
        installs.append(f"Python {python}, {architecture}, {torch}")
        _tell(job, f"  installs: {installs[-1]}")
    return installs


def _files(made: Path) -> Iterator[Relock]:
    """The locks that differ from those that were made anew."""
    for path in sorted(made.glob("*.txt")):
        own = REQUIREMENTS / path.name
        before, after = own.read_text() if own.exists() else None, path.read_text()
        if before != after:
            yield Relock(f"write the lock {path.name}", str(own), after, before=before)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield each package of each lock whose version is another one."""
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            lock, _, package = name.partition(": ")
            yield {"lock": lock, "package": package, "before": before.get(name, "-"), "after": after.get(name, "-")}


def combinations() -> Iterator[tuple[str, str, str]]:
    """Each Python, architecture and torch that an image can be built of."""
    for python in PYTHONS:
        for architecture in ARCHITECTURES:
            for family in load_families().values():
                if minor(python) <= minor(family.python):
                    yield python, architecture, family.torch


def installable(python: str, architecture: str, torch: str, folder: Path = REQUIREMENTS) -> list[str]:
    """Return uv's arguments that try the locks for one of the combinations and install nothing."""
    files = [word for name in (*GROUPS, torch) for word in ("-r", str(folder / f"{name}.txt"))]
    target = ["--python-version", python, "--python-platform", f"{architecture}-manylinux_2_28"]
    return ["pip", "install", "--dry-run", "--no-config", "--require-hashes", "--only-binary", ":all:", *target, *files]


def versions(folder: Path = REQUIREMENTS) -> dict[str, str]:
    """What the locks hold: each package of each lock with its versions."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.txt")):
        each: dict[str, list[str]] = {}
        for name, version in PACKAGE.findall(path.read_text()):
            each.setdefault(f"{path.stem}: {name}", []).append(version)
        found.update({name: ", ".join(dict.fromkeys(values)) for name, values in each.items()})
    return found


def _uv(settings: Settings) -> str:
    """The uv of this environment, put there by its own lock where it is missing."""
    own = Path(sys.prefix) / "bin" / "uv"
    if not own.exists():
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
        pip = [sys.executable, "-m", "pip", "install", *options, "-r", str(REQUIREMENTS / "uv.txt")]
        _run("install uv", pip, shutil.which("uv") or "uv", settings.mirrors.pypi)
    return str(own)


def _run(doing: str, argv: list[str], uv: str, mirror: str) -> None:
    index = {"UV_DEFAULT_INDEX": mirror, "PIP_INDEX_URL": mirror} if mirror else {}
    done = subprocess.run(argv, env={**os.environ, "UV": uv, **index}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stdout + done.stderr
        raise ActionFailed(doing, output=said, next_move=next_move(said))
