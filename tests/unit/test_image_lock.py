"""image.lock: which combinations the locks are tried for, and that build and lock agree on what a list says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from gpudock.config import ROOT
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
