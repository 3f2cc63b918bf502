"""The files of the image and the stack, as far as they can be judged without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gpudock.config import ROOT

DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
REQUIREMENTS = ROOT / "docker/requirements"
SCRIPTS = [
    ROOT / "inv",
    ROOT / "docker/bootstrap-base",
    *sorted((ROOT / "docker/build").iterdir()),
    *sorted((ROOT / "docker/rootfs/usr/local").rglob("gpudock-*")),
    *sorted((ROOT / "docker/rootfs/usr/local").rglob("run")),
]


def test_the_dockerfile_builds_on_docker_20_10() -> None:
    """No heredoc, no frontend from Docker Hub, nothing newer than the built-in BuildKit of 20.10."""
    assert "<<" not in DOCKERFILE
    assert not re.search(r"^#\s*syntax=", DOCKERFILE, re.MULTILINE)
    assert "--link" not in DOCKERFILE
    assert "--network" not in DOCKERFILE


@pytest.mark.parametrize("group", sorted(path.stem for path in REQUIREMENTS.glob("*.in")))
def test_every_group_is_locked_with_hashes(group: str) -> None:
    """Each name of a group is in its lock, each package of the lock has hashes, and no lock names a host."""
    lock = (REQUIREMENTS / f"{group}.txt").read_text()
    names = [
        line for line in (REQUIREMENTS / f"{group}.in").read_text().split("\n") if line and not line.startswith("#")
    ]
    for name in names:
        assert re.search(rf"^{name.replace('_', '-')}==", lock, re.MULTILINE | re.IGNORECASE), name
    pinned = re.findall(r"^[a-z0-9]\S*==", lock, re.MULTILINE)
    assert len(re.findall(r"^[a-z0-9]\S*==[^\n]*\\\n\s+--hash=sha256:", lock, re.MULTILINE)) == len(pinned)
    assert "://" not in lock


def test_groups_agree_with_each_other() -> None:
    """A package that is in two locks has the same versions in both, or they could not be installed together."""
    seen: dict[str, set[str]] = {}
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        here: dict[str, set[str]] = {}
        for name, version in re.findall(r"^([a-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)", path.read_text(), re.MULTILINE):
            here.setdefault(name, set()).add(version)
        for name, versions in here.items():
            assert seen.setdefault(name, versions) == versions, f"{name} in {path.name}"


def test_the_documented_packages_are_all_there() -> None:
    """Every sound name of the document's list is in one of the groups."""
    names = {line.strip().lower() for path in REQUIREMENTS.glob("*.in") for line in path.read_text().splitlines()}
    for name in ("torch", "torchvision", "torchaudio", "gradio", "openai", "langchain", "sentence-transformers", "pymilvus",
                 "accelerate", "dashscope", "einops", "optimum", "tiktoken", "sse_starlette", "tavily-python", "pinecone",
                 "langchain_experimental", "fastapi", "uvicorn", "mdtex2html", "mysql-connector-python"):  # fmt: skip
        assert name in names


def test_compose_files_publish_on_loopback_only() -> None:
    """By hand too, nothing is published to the network, and nothing is privileged."""
    for path in (ROOT / "compose").glob("*.yml"):
        service = yaml.safe_load(path.read_text())["services"]["cuda_container_chatbot"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "privileged" not in service


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shell_scripts_are_sound(script: Path) -> None:
    """Every script parses, and shellcheck, where it is installed, finds nothing."""
    subprocess.run(["sh", "-n", str(script)], check=True)
    if checker := shutil.which("shellcheck"):
        done = subprocess.run(
            [checker, "-s", "sh", "-S", "warning", str(script)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
