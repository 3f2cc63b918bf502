"""`inv image.lock`: the packages' hash locks made anew, and proof that each can be installed wherever it is for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import invoke

from gpudock.config import load, load_families
from gpudock.errors import ActionFailed
from gpudock.failures import next_move
from gpudock.steps.cuda import minor
from gpudock.steps.inputs import CONTEXT

REQUIREMENTS = CONTEXT / "requirements"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ARCHITECTURES = ("x86_64", "aarch64")
GROUPS = ("notebook", "app", "llm", "langchain-experimental")
PACKAGE = re.compile(r"^([a-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)


@invoke.task(
    name="lock",
    help={"upgrade": "Take the newest versions; without it those that still fit are kept."},
    auto_shortflags=False,
)
def lock(context: invoke.Context, upgrade: bool = False) -> None:
    """Make the packages' locks anew, then check each Python, architecture and CUDA against them."""
    uv = _uv()
    before = versions()
    print(f"making the locks in {REQUIREMENTS} (minutes)", flush=True)
    _run("make the locks", ["sh", str(REQUIREMENTS / "lock"), *(["--upgrade"] if upgrade else [])], uv)
    after = versions()
    for name in sorted(set(before) | set(after)):
        if before.get(name) != after.get(name):
            print(f"  {name}  {before.get(name, '-')} → {after.get(name, '-')}")
    for python, architecture, torch in combinations():
        with TemporaryDirectory() as nowhere:
            argv = [uv, *installable(python, architecture, torch), "--target", nowhere]
            _run(f"resolve Python {python} on {architecture} with {torch}", argv, uv)
        print(f"  installs: Python {python}, {architecture}, {torch}", flush=True)


def combinations() -> Iterator[tuple[str, str, str]]:
    """Each Python, architecture and torch that an image can be built of."""
    for python in PYTHONS:
        for architecture in ARCHITECTURES:
            for family in load_families().values():
                if minor(python) <= minor(family.python):
                    yield python, architecture, family.torch


def installable(python: str, architecture: str, torch: str) -> list[str]:
    """Return uv's arguments that try the locks for one of the combinations and install nothing."""
    files = [word for name in (*GROUPS, torch) for word in ("-r", str(REQUIREMENTS / f"{name}.txt"))]
    target = ["--python-version", python, "--python-platform", f"{architecture}-manylinux_2_28"]
    return ["pip", "install", "--dry-run", "--no-config", "--require-hashes", "--only-binary", ":all:", *target, *files]


def versions() -> dict[str, str]:
    """What the locks hold: each package of each lock with its versions."""
    found: dict[str, str] = {}
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        each: dict[str, list[str]] = {}
        for name, version in PACKAGE.findall(path.read_text()):
            each.setdefault(f"{path.stem}: {name}", []).append(version)
        found.update({name: ", ".join(dict.fromkeys(values)) for name, values in each.items()})
    return found


def _uv() -> str:
    """The uv of this environment, put there by its own lock where it is missing."""
    own = Path(sys.prefix) / "bin" / "uv"
    if not own.exists():
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
        pip = [sys.executable, "-m", "pip", "install", *options, "-r", str(REQUIREMENTS / "uv.txt")]
        _run("install uv", pip, shutil.which("uv") or "uv")
    return str(own)


def _run(doing: str, argv: list[str], uv: str) -> None:
    mirror = load().settings.mirrors.pypi
    environment: Mapping[str, str] = {**os.environ, "UV": uv, **({"UV_DEFAULT_INDEX": mirror} if mirror else {})}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stdout + done.stderr
        raise ActionFailed(doing, output=said, next_move=next_move(said))
