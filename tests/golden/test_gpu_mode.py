"""How the container gets its GPUs, by Docker's and Compose's versions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpudock.errors import Refused, UsageError
from gpudock.steps import gpu_mode
from gpudock.steps.toolkit import Toolkit, configure, restart
from tests.conftest import Settle
from tests.golden.toolkit_facts import ENGINE, INSTALLED, whys, with_daemon

V1, V2 = ("/usr/bin/docker-compose",), ("/usr/bin/docker", "compose")
FLAG = "--add-runtime=kata=/usr/bin/kata"
OLD_TOOLKIT = ("toolkit.version=1.17.8", "toolkit.allow_vulnerable=true")


@pytest.mark.parametrize(
    ("docker", "cdi", "compose", "flagged", "cgroups", "overrides", "mode"),
    [
        ("20.10.24", False, V1, False, "cgroupfs", (), "runtime"),
        ("26.1.5", False, V2, False, "systemd", (), "runtime"),
        ("28.2.0", True, V2, False, "systemd", (), "runtime"),
        ("29.7.0", True, V2, False, "systemd", (), "runtime"),
        ("29.7.0", True, V2, True, "systemd", (), "cdi"),
        ("28.1.1", True, V2, True, "systemd", (), "runtime"),  # CDI switched on: not known since when
        ("29.7.0", False, V2, True, "systemd", (), "runtime"),  # switched off by its owner
        ("29.7.0", True, V1, True, "systemd", (), "runtime"),
        ("29.7.0", True, V2, False, "systemd", OLD_TOOLKIT, "cdi"),
        ("29.7.0", True, V2, False, "cgroupfs", OLD_TOOLKIT, "runtime"),
        ("26.1.5", False, V2, False, "systemd", OLD_TOOLKIT, "runtime"),
        ("29.7.0", True, V2, True, "systemd", ("gpu.mode=gpus",), "gpus"),
    ],
)  # fmt: skip
def test_the_mode_follows_from_docker_and_compose(
    settle: Settle, docker: str, cdi: bool, compose: tuple[str, ...], flagged: bool, cgroups: str,
    overrides: tuple[str, ...], mode: str,
) -> None:  # fmt: skip
    """The runtime, unless it is known not to do here and CDI is on since Docker's start; what is set counts."""
    engine = replace(ENGINE, version=docker, cdi=cdi, compose=compose, flagged=flagged, cgroups=cgroups)
    choice = gpu_mode.choose(settle(*overrides), engine)
    assert choice.mode == mode
    assert choice.why


def test_no_gpus_are_no_mode(settle: Settle) -> None:
    """Nor is there anything to refuse: gpu.mode may be one that this Docker cannot do."""
    bare = replace(ENGINE, machine=replace(ENGINE.machine, driver=""), version="20.10.24")
    assert gpu_mode.of(settle("gpu.mode=cdi"), bare).mode == ""
    with pytest.raises(UsageError, match=r"26\.1"):
        gpu_mode.of(settle("gpu.mode=cdi"), replace(bare, machine=ENGINE.machine))


NEW = replace(ENGINE, version="29.7.0", cdi=True)


def new(text: str | None = '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}') -> Toolkit:
    """A toolkit that came after a Docker which has CDI on since its start."""
    return with_daemon(text, engine=replace(NEW, runtimes={"nvidia": {}}), outdated=True)


def test_cdi_needs_no_restart_where_docker_has_it_on(settle: Settle) -> None:
    """Docker reads a specification that comes after its start; for `gpus` it looks for NVIDIA's hooks at its start."""
    assert restart.plan(settle("gpu.mode=cdi"), new()) == []
    older = replace(new(), engine=replace(NEW, version="28.1.1", runtimes={"nvidia": {}}, running=0))
    assert whys(restart.plan(settle("gpu.mode=cdi"), older)) == ["restart Docker: it is older than the toolkit"]
    with pytest.raises(Refused, match="would stop db, web"):
        restart.plan(settle("gpu.mode=gpus"), new())


@pytest.mark.parametrize(
    ("version", "cdi", "made"), [("29.2.0", True, True), ("29.1.5", True, False), ("29.2.0", False, False)]
)
def test_gpus_go_by_the_specification_from_docker_29_2_on(settle: Settle, version: str, cdi: bool, made: bool) -> None:
    """There Docker tries CDI before the hook, so the specification has to be there, and of this driver."""
    facts = replace(new(), engine=replace(NEW, version=version, cdi=cdi))
    plan = whys(configure.plan(settle("gpu.mode=gpus"), facts))
    assert ("generate the CDI specification" in plan) is made


def test_runtimes_by_flags_are_no_hindrance_where_cdi_is_on(settle: Settle) -> None:
    """No runtime is written to daemon.json, with which dockerd would not start, nor waited for."""
    flagged = replace(INSTALLED.daemon, flags=(FLAG,))
    facts = replace(INSTALLED, engine=replace(NEW, flagged=True), daemon=flagged, outdated=True)
    assert whys(configure.plan(settle(), facts)) == ["generate the CDI specification"]
    assert restart.plan(settle(), facts) == []
    with pytest.raises(Refused, match="--add-runtime"):
        configure.plan(settle("gpu.mode=runtime"), facts)
