"""The shape of the code, as ARCHITECTURE.md has it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpudock.config import ROOT

PACKAGE = ROOT / "gpudock"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Lower layers know nothing of higher ones.
LAYERS = [
    {"start", "relay"},
    {"errors", "tree", "forms", "agent", "known_hosts", "root"},
    {"answers", "network", "settings", "inventory", "layers", "failures", "credentials", "channel", "options"},
    {"engine_api", "host_files", "forward", "typed", "files"},
    {"checks"},
    {"redaction", "config", "host", "logs", "rollout"},
    {"docker_api", "questions", "actions", "measure", "own_key", "through", "way"},
    {"mirrors"},
    {"lock", "step"},
    {"converge"},
    {"report"},
    {"live", "json_report", "command"},
    {"calls"},
    {"runner"},
    {"connection", "ssh_config"},
    {"fleet", "program", "hints"},
    {"inside", "steps", "development"},
]
LAZY = {("command", "runner")}  # a task called directly runs itself


def imports(path: Path) -> Iterator[str]:
    """The names of gpudock's own modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gpudock"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [name.name for name in node.names if name.name[0] != "_"]


def layer(name: str) -> int:
    """How high a module is."""
    return next(index for index, names in enumerate(LAYERS) if name in names)


def test_imports_point_one_way() -> None:
    """Tasks → steps → converge → host, config → errors, and never back."""
    for path in MODULES:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        wrong = [name for name in imports(path) if layer(name) > layer(own) and (own, name) not in LAZY]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_files_and_functions_are_small() -> None:
    """No file passes 250 lines, no function 40; tests and benchmarks are no exception."""
    for path in (*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")):
        text = path.read_text()
        assert len(text.splitlines()) <= 250, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 40, f"{path}:{node.name}"


def test_only_one_module_knows_the_docker_sdk() -> None:
    """docker_api.py alone imports the SDK, and nobody imports it at the top of a module."""
    for path in MODULES:
        top = [line for line in path.read_text().splitlines() if re.match(r"(import|from) docker\b", line)]
        assert not top or path.name == "docker_api.py", path
        assert not re.search(r"^from gpudock(\.| import )docker_api", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize("words", [["--list"], ["config"]])
def test_inv_does_not_pay_for_what_it_does_not_use(words: list[str]) -> None:
    """Listing tasks and showing settings import neither Fabric nor the Docker SDK nor rich."""
    script = (
        "import sys; from gpudock.program import main\n"
        f"sys.argv = ['.', 'inv', *{words!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(set(sys.modules) & {'fabric', 'paramiko', 'docker', 'rich', 'requests', 'argon2'}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_every_task_explains_itself() -> None:
    """Each task's first docstring line is its help, and each option has one."""
    sys.path.insert(0, str(ROOT))
    from tasks import ns

    for name in ns.task_names:
        task = ns[name]
        assert task.__doc__, name
        for argument in task.get_arguments():
            assert argument.help, f"{name} --{argument.name}"


def test_nothing_names_the_registries_hosts() -> None:
    """Tools find package registries by their own defaults; no file of ours names one."""
    names = "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "deb" + r"\.debian\.org", "registry" + r"\.npmjs"])
    done = subprocess.run(
        ["git", "grep", "-nIE", names, "--", "."], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(ROOT.parent)},
    )  # fmt: skip
    assert done.stdout == ""
