"""`inv test`: the project's own checks and tests, with the tools of requirements/dev.txt."""

from __future__ import annotations

import filecmp
import json
import shutil
import sys
import time
from pathlib import Path

import invoke

from gpudock.config import ROOT, SCHEMAS
from gpudock.config import schema as make_schema

LOCK = ROOT / "requirements" / "dev.txt"
STAMP = Path(sys.prefix) / "dev-lock"

# Each suite may be run by itself: `inv test --suite unit`.
SUITES = {
    "lint": ("ruff check .", "ruff format --check .", "mypy"),
    "unit": ("pytest -q tests/unit tests/golden",),
    "hosts": ("pytest -q -n 3 --dist loadfile tests/hosts",),  # they wait more than they compute
    "e2e": ("pytest -q tests/e2e",),
}


@invoke.task(help={"suite": f"Only one of {', '.join(SUITES)}; all without it."}, auto_shortflags=False)
def test(context: invoke.Context, suite: str = "") -> None:
    """Check and test gpudock itself: lint, types, unit, golden, test hosts, end to end."""
    if suite and suite not in SUITES:
        raise invoke.Exit(f"--suite {suite}: there are {', '.join(SUITES)}.", code=2)
    _install_tools(context)
    failed = []
    for name in [suite] if suite else SUITES:
        for command in SUITES[name]:
            started = time.monotonic()
            print(f"\n=== {name}: {command}", flush=True)
            done = context.run(f'"{sys.executable}" -m {command}', warn=True, in_stream=False)
            print(f"=== {name}: {time.monotonic() - started:.0f} s", flush=True)
            if done is None or done.exited:
                failed.append(command)
    if failed:
        raise invoke.Exit(f"\nfailed: {'; '.join(failed)}", code=1)


def _install_tools(context: invoke.Context) -> None:
    """Put the development tools beside gpudock, once for each lock."""
    if STAMP.is_file() and filecmp.cmp(LOCK, STAMP, shallow=False):
        return
    print(f"installing {LOCK.relative_to(ROOT)} into {sys.prefix}", flush=True)
    options = f'--quiet --require-hashes --only-binary :all: -r "{LOCK}"'
    if shutil.which("uv"):
        context.run(f'uv pip install --python "{sys.executable}" {options}', in_stream=False)
    else:
        context.run(f'"{sys.executable}" -m pip install --disable-pip-version-check {options}', in_stream=False)
    shutil.copy(LOCK, STAMP)


@invoke.task(auto_shortflags=False)
def schema(context: invoke.Context) -> None:
    """Write the JSON Schemas in config/ anew from the settings' types, for editors."""
    for name, kind in SCHEMAS.items():
        (ROOT / "config" / name).write_text(json.dumps(make_schema(kind), indent=2) + "\n")
