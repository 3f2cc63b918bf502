"""A copy of the checkout whose lock names one tiny package, on a machine that holds a Python and little else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from gpudock.config import ROOT
from tests.waiting import ended

COMMANDS = (
    "basename cat chmod cksum cmp cp cut dirname env grep head id mkdir readlink rm rmdir sed sh sleep tail touch"
)
PROGRAM = """import json, os, sys
def main():
    print(json.dumps({"version": "VERSION", "argv": sys.argv, "cwd": os.getcwd(), "prefix": sys.prefix,
                      "utf8": os.environ.get("PYTHONUTF8")}))
"""
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def wheel(folder: Path, version: str) -> str:
    """Make an invoke that says how it was called; return its line for the lock."""
    path = folder / f"invoke-{version}-py3-none-any.whl"
    about = f"invoke-{version}.dist-info"
    files = {
        "invoke.py": PROGRAM.replace("VERSION", version),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: invoke\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"]))
    return f"invoke=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass
class Project:
    """A copy of the checkout, and a PATH that holds what a plain machine has and a Python."""

    root: Path
    bin: Path
    wheels: Path
    environment: dict[str, str] = field(default_factory=dict)

    def lock(self, version: str) -> None:
        """Have the lock name a version."""
        (self.root / "requirements/run.txt").write_text(wheel(self.wheels, version))

    def stub(self, name: str, script: str) -> Path:
        """Put a program on PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def start(self, *arguments: str, program: str = "inv", cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start `inv` or `fab`, in a process group of its own."""
        command = [program if "/" in program else str(self.root / program), *arguments]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=cwd or self.root,
            start_new_session=True,
        )

    def run(self, *arguments: str, program: str = "inv", cwd: Path | None = None) -> Ran:
        """Run `inv` or `fab` to its end."""
        return finish(self.start(*arguments, program=program, cwd=cwd))


@dataclass(frozen=True)
class Called:
    """How the real program was called: its version, words, folder, and environment."""

    version: str
    argv: list[str]
    cwd: str
    prefix: str
    utf8: str


@dataclass(frozen=True)
class Ran:
    """What came of a run."""

    code: int
    out: str
    err: str

    @property
    def called(self) -> Called:
        """What the real program says of how it was called."""
        assert self.code == 0, self.err
        return Called(**json.loads(self.out))


def finish(process: subprocess.Popen[str]) -> Ran:
    """Wait for a run."""
    return Ran(*ended(process))


def make(place: Path) -> Project:
    """Make the checkout, with a space in its path, and the machine, which has uv."""
    project = Project(place / "a checkout", place / "bin", place / "wheels")
    for folder in (project.root / "requirements", project.bin, project.wheels):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "inv", project.root / "inv")
    (project.root / "__main__.py").write_text("import invoke\ninvoke.main()\n")
    (project.root / "fab").symlink_to("inv")
    for name in COMMANDS.split():
        (project.bin / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    (project.bin / "python3").symlink_to(sys.executable)
    assert UV, "uv comes with requirements/dev.txt"
    (project.bin / "uv").symlink_to(UV)
    offline = {"UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(place / "cache"), "PIP_NO_INDEX": "1"}
    found = {"UV_FIND_LINKS": str(project.wheels), "PIP_FIND_LINKS": str(project.wheels)}
    quick = {"UV_HTTP_RETRIES": "0", "PIP_RETRIES": "1"}
    plain = {"PATH": str(project.bin), "HOME": str(place), "PIP_CONFIG_FILE": os.devnull}
    project.environment.update(plain | offline | found | quick)
    project.lock("1.0")
    return project


def refusal(ran: Ran) -> str:
    """The one line that a run ended with, before which nothing was printed but what it was doing."""
    assert (ran.code, ran.out) == (2, ""), ran
    lines = [line for line in ran.err.splitlines() if not line.startswith("gpudock: making ")]
    assert len(lines) == 1, ran.err
    return lines[0]


def pretend_version(project: Project, name: str, version: str) -> Path:
    """Put a Python on PATH that is this one in all but its version."""
    code = f"import sys; sys.version_info = {version}; exec(sys.argv[1])"
    return project.stub(name, f'exec "{sys.executable}" -c "{code}" "$2"')
