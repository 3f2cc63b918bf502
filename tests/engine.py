"""The machine's own Docker engine, in which test hosts run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

PREFIX = "gpudock-test"


def docker(*arguments: str, check: bool = True, data: str | None = None) -> str:
    """Run the Docker client that fits the engine and return what it prints."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(
        [client(), *arguments], input=data, capture_output=True, text=True, env=environment, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"docker {shlex.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout + ("" if check else done.stderr)


def client() -> str:
    """The engine's own client: another one earlier on PATH may be unable to build."""
    return next((path for path in ("/usr/bin/docker", shutil.which("docker") or "") if Path(path).exists()), "docker")


def reachable() -> str:
    """Why no engine can be used, or an empty text where one can."""
    try:
        docker("info")
    except (RuntimeError, OSError) as error:
        return f"no Docker engine answers ({str(error).strip().splitlines()[-1]}): run ./inv engine.install"
    return ""
