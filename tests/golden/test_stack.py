"""The container's plans: started once, left to whom it belongs, never ended with somebody's work in it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gpudock.actions import Run
from gpudock.errors import Refused
from gpudock.steps import compose, stack
from tests.conftest import Settle
from tests.golden.test_plans import CONTAINER, DEBIAN, whys


def test_the_stack_is_started_once(settle: Settle) -> None:
    """A running, healthy container of this file and image is left alone; another image starts it anew."""
    settings = settle()
    assert whys(stack.plan(settings, CONTAINER)) == [
        "write the compose file, with GPUs by runtime", "make the folders it mounts", "start cuda_container_chatbot", "wait until it is healthy",
    ]  # fmt: skip
    current = replace(
        CONTAINER, compose=compose.render(settings, DEBIAN), id="1", image_id="sha256:1", status="running",
        health="healthy", configuration=compose.configuration(settings, DEBIAN), ours=True,
    )  # fmt: skip
    assert stack.plan(settings, current) == []
    assert whys(stack.plan(settings, replace(current, health="starting"))) == ["wait until it is healthy"]
    again = whys(stack.plan(settings, replace(current, image_id="sha256:0")))
    assert (again[0], "anew" in again[2]) == ("look whether somebody's work runs in it", True)
    with pytest.raises(Refused, match="docker unpause"):  # Docker would not start it
        stack.plan(settings, replace(current, status="paused"))
    stopped = whys(stack.plan(settings, replace(current, status="exited")))
    assert stopped[-2] == "start cuda_container_chatbot again"  # nothing of it has changed


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_volume_may_be_a_file(settle: Settle, tmp_path: Path, shell: str) -> None:
    """A licence, a .gitconfig, a socket: what is there is mounted as it is, and a folder that is not there is made."""
    (tmp_path / "licence").write_text("mine")
    settings = settle(
        f"stack.volumes=['{tmp_path}/licence:/licence:ro', '{tmp_path}/new data:/data']", f"host.state={tmp_path}"
    )
    (made,) = (action for action in stack.plan(settings, CONTAINER) if action.why == "make the folders it mounts")
    assert isinstance(made, Run)
    subprocess.run([shell, *made.argv[1:]], check=True)
    assert ((tmp_path / "licence").read_text(), (tmp_path / "new data").is_dir()) == ("mine", True)


def test_a_foreign_container_of_the_name_is_left_alone(settle: Settle) -> None:
    """Nothing that compose did not start for this stack is replaced, stopped or removed."""
    foreign = replace(CONTAINER, id="1", status="running", ours=False)
    with pytest.raises(Refused, match="is not gpudock's"):
        stack.plan(settle(), foreign)
    assert stack.down(settle(), foreign, volumes=True) == []


def test_work_in_a_paused_container_is_looked_for_too(settle: Settle) -> None:
    """Whether by `docker pause` or while `docker commit` is at work: taken down it would be lost as from a running one."""
    for status, alive in (("running", True), ("paused", True), ("exited", False), ("created", False)):
        planned = whys(stack.down(settle(), replace(CONTAINER, id="1", status=status, ours=True)))
        assert ("look whether somebody's work runs in it" in planned) is alive
