"""Fixtures for all tests: settings, test hosts made on demand, a clone of this checkout, programs run as users do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gpudock.config import ROOT, load
from gpudock.settings import Settings
from tests import fleet, testbed
from tests.engine import reachable
from tests.fleet import Fleet
from tests.hosts import nvidia
from tests.testbed import TestHost

Settle = Callable[..., Settings]
Hosts = Callable[..., TestHost]
Targets = Mapping[str, tuple[TestHost, str]]

# The same cases everywhere, as fast as the machine is: what Hypothesis does by itself where CI is set.
settings.register_profile(
    "anywhere", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("anywhere")


@dataclass(frozen=True)
class Completed:
    """What a program came to."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Fab:
    """`fab` on test hosts: fab({"gpu01": (host, "ops")}, "setup")."""

    folder: Path

    def start(self, targets: Targets, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Begin it, and do not wait for its end."""
        config = self.folder / f"config-{len(list(self.folder.glob('config-*')))}"
        testbed.ssh_config(config, [(name, *target) for name, target in targets.items()])
        return begun([str(ROOT / "fab"), "-S", str(config), "-H", ",".join(targets), *words], environ)

    def __call__(
        self, targets: Targets, *words: str, environ: Mapping[str, str] | None = None, timeout: float = 900
    ) -> Completed:
        """Run it to its end."""
        return _completed(self.start(targets, *words, environ=environ), timeout)


def pytest_unconfigure() -> None:
    """Leave nothing of this process's state behind."""
    shutil.rmtree(os.environ["GPUDOCK_STATE"], ignore_errors=True)


@pytest.fixture
def settle() -> Settle:
    """Return a function that makes settings of the defaults and `section.key=value` overrides alone."""

    def make(*overrides: str) -> Settings:
        return load(overrides, environ={}, root=_clean_root()).settings

    return make


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key pair that opens every test host; the public half lies beside it."""
    return testbed.make_key(tmp_path_factory.mktemp("key") / "id_ed25519")


@pytest.fixture(scope="session")
def engine() -> None:
    """Need a Docker engine: skip with the reason without one, and fail in CI, where nothing is skipped."""
    if reason := reachable():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    testbed.remove_stale()


@pytest.fixture(scope="module")
def hosts(engine: None, key: Path) -> Iterator[Hosts]:
    """Return a function that starts a test host of a kind; they are removed after the module."""
    started: list[TestHost] = []

    def start(kind: str = "trixie-docker", *options: str) -> TestHost:
        started.append(testbed.start(kind, key, *options))
        return started[-1]

    yield start
    testbed.remove(started)


@pytest.fixture(scope="module")
def machines(engine: None, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Start three machines with an sshd for a module."""
    with fleet.light(3, key, tmp_path_factory.mktemp("three")) as started:
        yield started


@pytest.fixture
def three(machines: Fleet) -> Fleet:
    """Have the three machines without marks, and with nobody at work."""
    machines.clear()
    machines.connect_as("root")
    return machines


@pytest.fixture(scope="session")
def repository(engine: None, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[nvidia.Repository]:
    """Serve the stand-in for NVIDIA's package repository."""
    served = nvidia.serve(tmp_path_factory.mktemp("nvidia"), key)
    yield served
    served.end()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what git knows of this checkout, changes included, to a folder with a space in its name."""
    place = tmp_path_factory.mktemp("clone") / "a clone"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    for name in files.stdout.decode().split("\0"):
        source = ROOT / name
        if name and (source.is_file() or source.is_symlink()):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place / name, follow_symlinks=False)
    return place


@pytest.fixture
def fab(tmp_path: Path) -> Fab:
    """Run `fab` on test hosts."""
    return Fab(tmp_path)


def program(
    argv: list[str], *, cwd: Path = ROOT, environ: Mapping[str, str] | None = None, timeout: float = 900
) -> Completed:
    """Run a program as a CI job would, to its end."""
    return _completed(begun(argv, environ, cwd), timeout)


def begun(argv: list[str], environ: Mapping[str, str] | None = None, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Begin a program as a CI job would: no terminal, no standard input; in a process group of its own."""
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, "GPUDOCK_IMAGE__GROUPS": "[notebook]", **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _completed(running: subprocess.Popen[str], timeout: float) -> Completed:
    try:
        out, err = running.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        raise
    return Completed(running.returncode, out, err)


@cache
def _clean_root() -> Path:
    """A root without a local.yml: the operator's own settings must not decide a test."""
    place = Path(os.environ["GPUDOCK_STATE"]) / "root"
    shutil.copytree(ROOT / "config", place / "config", ignore=shutil.ignore_patterns("local.yml"))
    return place
