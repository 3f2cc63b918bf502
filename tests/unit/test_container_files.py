"""The files of the image and the stack, as far as they can be judged without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import yaml

from gpudock.config import ROOT, load_families
from gpudock.settings import Family
from gpudock.steps.inputs import LAYERS

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


def read_by(name: str) -> set[str]:
    """The scripts of docker/build that a script reads: itself, what it sources and what it runs, and what these do."""
    text = (ROOT / "docker/build" / name).read_text()
    return {name}.union(*map(read_by, re.findall(r"^ *(?:\.|\{ sh) /build/([\w-]+)", text, re.MULTILINE)))


def test_each_step_of_the_build_mounts_what_it_reads_and_no_more() -> None:
    """A script finds what it sources, and a changed list of packages builds none of the layers before its own anew."""
    runs = re.findall(r"^RUN ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE)
    names = [re.findall(r"sh /build/([\w-]+)", run)[0] for run in runs]
    for name, run in zip(names, runs, strict=True):
        for read in read_by(name):
            mounts = (f"source=build/{read},target=/build/{read}", "source=build,target=/build")
            assert any(mount in run for mount in mounts), (name, read)
    before = runs[: names.index("groups")]
    assert set(names[: len(before)]) == {"system", "environment-uv", "environment-conda"}
    assert not [run for run in before if "source=requirements," in run or "source=build," in run]
    assert read_by("groups") == {"groups", "fetch", "tree", "sources"}


def test_secrets_are_mounted_before_there_is_much_to_read() -> None:
    """What makes a large layer mounts none: BuildKit of Docker 25 to 27.2 reads all files that are there otherwise."""
    runs = re.findall(r"^FROM (\S+) AS (\S+)\n(?:[^F\n].*\n|\n)*?RUN ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE)
    mounting = {stage: base for base, stage, run in runs if "type=secret" in run}
    assert mounting["fetch"] == mounting["fetch-your-pip"] == "environment"
    assert not mounting.keys() & {*LAYERS, "your-pip"}


def test_a_groups_layer_knows_its_own_tree_and_nothing_else() -> None:
    """The groups are fetched and come in the order of LAYERS, NVIDIA's libraries first; each is made of its tree's name alone."""
    fetched = re.search(r"sh /build/groups (.*)", DOCKERFILE)
    assert fetched
    groups = {"cuda": "torch", "cudnn": "torch", **{group: group for group in LAYERS}}
    assert fetched[1].split() == [f'{layer}="${group.upper()}_LOCK"' for layer, group in groups.items()]
    installed = re.findall(
        r"^FROM \S+ AS (\w+)\nRUN ([^$]*?),from=fetch,source=/fetched/(\w+),target=/fetched \\\n +sh /build/install (\w+)$",
        DOCKERFILE,
        re.MULTILINE,
    )
    assert [(stage, tree, name) for stage, _, tree, name in installed] == [(layer, layer, layer) for layer in groups]
    assert not [mounts for _, mounts, _, _ in installed if "requirements" in mounts]
    additions = (ROOT / "docker/build/additions").read_text()
    assert all(f"${{{name}:-}}" in additions for name in [*(f"{g.upper()}_LOCK" for g in LAYERS), "OTHER_LOCKS"])


@pytest.mark.parametrize("torch", sorted(family.torch for family in load_families().values()))
def test_the_layers_of_torch_have_each_of_its_packages_once(torch: str) -> None:
    """cuda, cudnn and torch together are torch's lock, each has something, and no other group's list loses a package."""
    program = re.search(r"awk [^']*'(.*?)'", (ROOT / "docker/build/fetch").read_text(), re.DOTALL)
    assert program

    def listed(layer: str, lock: str) -> list[str]:
        argv = ["awk", "-v", "before=/dev/null", "-v", f"layer={layer}", program[1], str(REQUIREMENTS / f"{lock}.txt")]
        return re.findall(r"^\S+==\S+", subprocess.check_output(argv, text=True), re.MULTILINE)

    layers = [listed(layer, torch) for layer in ("cuda", "cudnn", "torch")]
    assert all(layers)
    assert sorted(chain(*layers)) == sorted(listed("app", torch))
    assert len(listed("app", torch)) > 20


def test_what_has_nothing_to_do_is_no_step() -> None:
    """Each group and each kind of addition is a stage that is passed by where its argument is empty."""
    for name in ("cuda", "cudnn", *LAYERS, "other", "your-apt", "your-conda", "your-pip", "your-scripts"):
        argument = name.removeprefix("your-").upper()
        assert re.search(rf"^ARG {argument}=\$\{{\w+:\+{name}\}}$", DOCKERFILE, re.MULTILINE), name
        passed = re.search(rf"^FROM \$\{{{argument}:-([\w-]+)\}} AS ", DOCKERFILE, re.MULTILINE)
        assert passed, name
        assert f"FROM {passed[1]} AS {name}\n" in DOCKERFILE


@pytest.mark.parametrize("group", sorted(path.stem for path in REQUIREMENTS.glob("*.in")))
def test_every_group_is_locked_with_hashes(group: str) -> None:
    """Each name of a group is in its lock, each package of the lock has hashes, and no lock names a host."""
    lock = (REQUIREMENTS / f"{group}.txt").read_text()
    names = [
        line for line in (REQUIREMENTS / f"{group}.in").read_text().split("\n") if line and not line.startswith("#")
    ]
    for name in names:
        assert re.search(rf"^{re.split('[=<>]', name)[0].replace('_', '-')}==", lock, re.MULTILINE | re.IGNORECASE), (
            name
        )
    pinned = re.findall(r"^[a-z0-9]\S*==", lock, re.MULTILINE)
    assert len(re.findall(r"^[a-z0-9]\S*==[^\n]*\\\n\s+--hash=sha256:", lock, re.MULTILINE)) == len(pinned)
    assert "://" not in lock


def versions(lock: Path) -> dict[str, set[str]]:
    """The versions of each package in a lock; it can have several, for different Pythons."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("torch", sorted(family.torch for family in load_families().values()))
def test_groups_agree_with_each_other(torch: str) -> None:
    """Whatever CUDA: a package that is in two locks has the same versions in both, or they could not be installed."""
    seen: dict[str, set[str]] = {}
    for group in ("notebook", "app", torch, "llm", "langchain-experimental"):
        for name, here in versions(REQUIREMENTS / f"{group}.txt").items():
            assert seen.setdefault(name, here) == here, f"{name} in {group}"


@pytest.mark.parametrize("family", load_families().values(), ids=load_families())
def test_torch_is_of_the_bases_cuda(family: Family) -> None:
    """One torch for all Pythons, built for the CUDA that the base has; torchaudio is not imported beside another."""
    lock = versions(REQUIREMENTS / f"{family.torch}.txt")
    assert len(lock["torch"]) == len(lock["torchaudio"]) == 1
    runtime = {version for name in lock if name.startswith("nvidia-cuda-runtime") for version in lock[name]}
    wanted = re.search(r":(\d+\.\d+)\.", family.base)
    assert wanted
    assert {version.rpartition(".")[0] for version in runtime} == {wanted[1]}


def test_only_torch_brings_cuda() -> None:
    """What is built on torch leaves torch and CUDA to the one lock that fits the driver."""
    for group in ("notebook", "app", "llm", "langchain-experimental"):
        found = versions(REQUIREMENTS / f"{group}.txt")
        assert not [name for name in found if re.match(r"torch|triton|nvidia-|cuda-", name)], group


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


def test_scripts_have_unix_lines_also_in_a_clone_made_by_gits_of_windows(tmp_path: Path) -> None:
    """Git for Windows ends lines by CR LF (core.autocrlf) unless told otherwise, and WSL's sh could run none of them."""
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    (tmp_path / "inv").write_bytes((ROOT / "inv").read_bytes())
    git = [
        "git",
        "-C",
        str(tmp_path),
        "-c",
        "core.autocrlf=true",
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
    ]
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["commit", "-q", "-m", "x"],
        ["rm", "-q", "inv"],
        ["checkout", "HEAD", "inv"],
    ):
        subprocess.run([*git, *words], check=True, capture_output=True)
    assert (tmp_path / "inv").read_bytes() == (ROOT / "inv").read_bytes()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shell_scripts_are_sound(script: Path) -> None:
    """Every script parses, and shellcheck, where it is installed, finds nothing."""
    subprocess.run(["sh", "-n", str(script)], check=True)
    if checker := shutil.which("shellcheck"):
        done = subprocess.run(
            [checker, "-s", "sh", "-S", "warning", str(script)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
