"""image.lock: which combinations the locks are tried for, and that build and lock agree on what a list says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpudock.command import Job
from gpudock.config import ROOT, load
from gpudock.errors import ActionFailed, UsageError
from gpudock.json_report import JsonReport
from gpudock.options import Options
from gpudock.steps import lock

REQUIREMENTS = ROOT / "docker/requirements"


def test_every_combination_that_can_be_built_is_tried() -> None:
    """Five Pythons, two architectures, three CUDAs, but for the torch that has no wheels for Python 3.14."""
    tried = list(lock.combinations())
    assert len(tried) == len(set(tried)) == 5 * 2 * 3 - 2
    assert ("3.14", "x86_64", "torch-12.6") not in tried
    assert "--require-hashes" in lock.installable(*tried[0])


def test_what_is_built_from_source_is_in_the_lock() -> None:
    """A name after `from source:` that the lock does not have would be looked for in vain."""
    named = 0
    for path in REQUIREMENTS.glob("*.in"):
        for name in re.findall(r"^# from source: (.*)$", path.read_text(), re.MULTILINE):
            assert re.search(rf"^{name}==", path.with_suffix(".txt").read_text(), re.MULTILINE), (path.name, name)
            named += 1
    assert named > 5


def test_the_build_takes_wheels_first_and_sources_last(tmp_path: Path) -> None:
    """docker/build/packages parts a lock in two by its list's comments, and hands every package to one of the two."""
    script = "set -- documented after\n" + (ROOT / "docker/build/packages").read_text()
    said = tmp_path / "said"
    uv = (
        f'uv() {{ echo "$*" >>{said}; for word; do case $word in {tmp_path}/w*) cat "$word" >>{said};; esac; done; }}\n'
    )
    script = script.replace(". /build/sources\n", uv).replace("/requirements/", f"{REQUIREMENTS}/")
    script = script.replace("mktemp -d", f"mkdir {tmp_path}/w && echo {tmp_path}/w")
    environment = {"ENVIRONMENT": "chatbot", "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", "-c", script], env=environment, check=True)
    wheels, sources = said.read_text().split("--no-build-isolation")
    both = [re.findall(r"^([a-z0-9][\w.-]*)==", part, re.MULTILINE) for part in (wheels, sources)]
    assert both[1] == ["ffmpy", "transformers-stream-generator"]
    assert "--only-binary :all:" in wheels
    assert len(both[0]) + 2 == len(
        re.findall(r"^[a-z0-9]\S*==", (REQUIREMENTS / "documented.txt").read_text(), re.MULTILINE)
    )


# Takes the place of uv: every lock gets another tqdm, and whether the locks can be installed is up to the test.
UV = """#!/bin/sh
if [ "$2" = install ]; then echo "no wheel of tqdm"; exit $INSTALLS; fi
while [ $# -gt 0 ]; do [ "$1" != --output-file ] || lock=$2; shift; done
sed -i "s/^tqdm==[0-9.]*/tqdm==99.0/" "$lock"
"""


@pytest.fixture
def relock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that runs image.lock on a copy of the locks; it returns the lock of the notebooks."""
    folder = tmp_path / "requirements"
    shutil.copytree(REQUIREMENTS, folder)
    uv = tmp_path / "uv"
    uv.write_text(UV)
    uv.chmod(0o755)
    monkeypatch.setattr(lock, "REQUIREMENTS", folder)
    monkeypatch.setattr(lock, "_uv", lambda settings: str(uv))

    def run(*, installs: int = 0, dry_run: bool = False, local: bool = True) -> Path:
        monkeypatch.setenv("INSTALLS", str(installs))
        loaded = load(environ={})
        host: Any = SimpleNamespace(name="localhost", is_local=local)
        options = Options(json=True, dry_run=dry_run)
        lock.lock.perform(Job("image.lock", loaded.settings, loaded.origins, host, JsonReport(), options))
        return folder / "notebook.txt"

    return run


def test_a_lock_is_told_before_it_is_written(relock: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    """`--dry-run` makes and tries the locks and writes none; without it they are written, and told to machines too."""
    assert "tqdm==99.0" not in relock(dry_run=True).read_text()
    planned = json.loads(capsys.readouterr().out)
    assert planned["status"] == "planned"
    assert "tqdm==99.0" in relock().read_text()
    changed = json.loads(capsys.readouterr().out)
    assert changed["status"] == "changed"
    assert changed["facts"] == planned["facts"]
    change = next(row for row in changed["facts"]["packages"] if row["lock"] == "notebook")
    assert (change["package"], change["after"]) == ("tqdm", "99.0")
    assert len(changed["facts"]["installs"]) == len(list(lock.combinations()))
    assert [Path(action["path"]).name for action in changed["actions"]].count("notebook.txt") == 1
    relock()
    assert json.loads(capsys.readouterr().out)["status"] == "ok"


def test_locks_that_cannot_be_installed_are_not_written(relock: Callable[..., Path]) -> None:
    """The former ones stay, and the error names the combination; on a server there is nothing to lock."""
    with pytest.raises(ActionFailed, match=r"resolve Python 3.10 on x86_64[\s\S]*no wheel of tqdm"):
        relock(installs=1)
    assert "tqdm==99.0" not in (lock.REQUIREMENTS / "notebook.txt").read_text()
    with pytest.raises(UsageError, match=r"inv image\.lock"):
        relock(local=False)
