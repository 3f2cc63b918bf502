"""What the container needs of the host: its ports and its name, free of others and of what a start has left."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gpudock.answers import Answer
from gpudock.errors import Refused
from gpudock.steps import astray, compose, ports, stack
from tests.conftest import Settle
from tests.golden.test_plans import CONTAINER, ENGINE, IMAGE, whys

PYTHON = 'LISTEN 0 5 0.0.0.0:8888 0.0.0.0:* users:(("python3",pid=71,fd=3))'
PROXY = 'LISTEN 0 4096 127.0.0.1:8888 0.0.0.0:* users:(("docker-proxy",pid=7,fd=7))'


@pytest.mark.parametrize(
    ("others", "listeners", "said"),
    [
        (("web 127.0.0.1:8888->80/tcp",), (), "the container web"),
        ((), (PYTHON,), "the process python3 (pid=71)"),
        ((), ("LISTEN 0 5 [::]:8888 [::]:*",), "another process"),
        ((), ("LISTEN 0 0 *:8888 *:*",), "another process"),
    ],
)
def test_a_taken_port_names_its_holder(
    settle: Settle, others: tuple[str, ...], listeners: tuple[str, ...], said: str
) -> None:
    """By container name, or by process and id; before there is an image, and before there is an engine."""
    taken = replace(CONTAINER, others=others, listeners=listeners)
    bare = replace(taken, image=replace(IMAGE, id="", engine=replace(ENGINE, installed=False, version="")))
    for container in (taken, bare):
        with pytest.raises(Refused, match="Port 8888 is taken by") as caught:
            stack.needs(settle(), container)
        assert said in str(caught.value)
    with pytest.raises(Refused, match="Port 8888 is taken by"):
        stack.plan(settle(), taken)


@pytest.mark.parametrize(
    ("wanted", "held", "free"),
    [
        ("127.0.0.1", "10.0.0.5", True),
        ("127.0.0.1", "127.0.0.1%lo", False),
        ("127.0.0.1", "[::1]", True),
        ("::1", "[::1]", False),
        ("0.0.0.0", "10.0.0.5", False),
        ("10.0.0.5", "0.0.0.0", False),
        ("10.0.0.5", "*", False),
    ],
)
def test_a_port_of_another_address_is_free(wanted: str, held: str, free: bool) -> None:
    """Two addresses of a host have a port each; who listens on all of them has it everywhere."""
    process = f'LISTEN 0 5 {held}:8888 0.0.0.0:* users:(("python3",pid=71,fd=3))'
    assert (ports.holder_of(8888, (), (), (process,), wanted) == "") is free
    container = f"web 10.0.0.7:1->80/tcp {held.strip('[]').partition('%')[0]}:8888->80/tcp"
    assert (ports.holder_of(8888, (), (container,), (), wanted) == "") is free


def test_a_stack_that_was_called_otherwise_is_told_as_that(settle: Settle) -> None:
    """After a change of stack.name the former container holds the ports, and only its own name takes it down."""
    port = {"IP": "127.0.0.1", "PublicPort": 8888, "PrivatePort": 8888, "Type": "tcp"}
    old = {"Names": ["/old"], "Ports": [port], "Labels": {compose.CONFIGURATION: "1"}}
    rows = [{"State": "running", **row} for row in (old, {"Names": ["/web"], "Labels": {}, "Ports": []})]
    answers = {"ports.containers": Answer(("curl",), 0, json.dumps(rows), "")}
    held = replace(CONTAINER, others=ports.containers(answers), stacks=ports.stacks(answers))
    assert held.stacks == ("old",)
    with pytest.raises(Refused, match=r"`stack\.down --set stack\.name=old` stops it, or choose another port"):
        stack.needs(settle(), held)


def test_a_daemon_that_is_down_holds_nothing(settle: Settle) -> None:
    """Its proxies may outlive it for a while, and say nothing about who will have the port."""
    down = replace(ENGINE, version="")
    stack.needs(settle(), replace(CONTAINER, image=replace(IMAGE, engine=down), listeners=(PROXY,)))


def test_its_own_port_is_not_taken() -> None:
    """A container that is started anew holds its own ports, also where no ss names Docker's proxy."""
    own, other = ("me",), "other 127.0.0.1:9->9/tcp"
    assert (
        ports.holder_of(
            8888, own, ("me 127.0.0.1:8888->8888/tcp",), ("LISTEN 0 5 127.0.0.1:8888 0.0.0.0:*",), "127.0.0.1"
        )
        == ""
    )
    assert ports.holder_of(8888, own, ("me ", other), (PROXY,), "127.0.0.1") == ""
    assert ports.holder_of(8888, own, ("me ", other), ("LISTEN 0 0 *:8888 *:*",), "127.0.0.1") == ""
    assert ports.holder_of(8888, own, (other,), (PROXY,), "127.0.0.1") == "the process docker-proxy (pid=7)"


def test_what_a_start_that_broke_off_left_goes_first(settle: Settle) -> None:
    """A container of the stack under another name holds no port against it, and is removed unless somebody works in it."""
    left = replace(CONTAINER, astray=("1f_me",), others=("1f_me 127.0.0.1:8888->8888/tcp",), listeners=(PROXY,))
    planned = whys(stack.plan(settle(), left))
    removed = planned.index("remove 1f_me, left by a start that broke off")
    assert planned[removed - 1] == "look whether somebody's work runs in it"
    assert planned[removed + 2].startswith("start ")
    assert whys(stack.down(settle(), left))[-1] == planned[removed]


def test_an_image_without_a_name_goes_with_its_container(settle: Settle) -> None:
    """The last thing of a start, and of the way down; one that has a name, or another container's, is not touched."""
    ran = replace(CONTAINER, id="1", image_id="sha256:0", ours=True, unnamed=("sha256:0", "sha256:9"))
    assert whys(stack.plan(settle(), ran))[-1] == "remove the image it ran before"
    assert whys(stack.down(settle(), ran)) == ["take cuda_container_chatbot down", "remove the image it ran before"]
    named = replace(ran, unnamed=("sha256:9",))
    assert "remove the image it ran before" not in whys([*stack.plan(settle(), named), *stack.down(settle(), named)])


def test_somebody_elses_project_of_that_name_is_left_alone(settle: Settle) -> None:
    """Compose goes by the project's name alone: their containers would be taken for leftovers of ours."""
    labels = {astray.PROJECT: "chat", astray.SERVICE: "chat"}
    rows: list[dict[str, Any]] = [
        {"Names": ["/chat-web-1"], "Labels": {**labels, astray.SERVICE: "web"}},
        {"Names": ["/chat-chat-1"], "Labels": labels},
        {"Names": ["/0123_chat"], "Labels": {**labels, compose.CONFIGURATION: "1"}},
        {"Names": ["/chat"], "Labels": {**labels, compose.CONFIGURATION: "1"}},
    ]
    rows.append({"Names": ["/other-web-1"], "Labels": {**labels, astray.PROJECT: "other"}})
    rows.append({"Names": None, "Labels": labels})  # Docker is removing it
    rows.append({"Names": ["/by-hand"], "Labels": {}})
    settings, answers = settle("stack.name=chat"), {"ports.containers": Answer(("GET",), 0, json.dumps(rows), "")}
    assert astray.read(settings, answers) == ("0123_chat",)
    theirs = replace(CONTAINER, id="", ours=False, foreign=astray.foreign(settings, answers))
    with pytest.raises(Refused, match=r"project named chat is here already .* chat-web-1, chat-chat-1"):
        stack.needs(settings, theirs)
    with pytest.raises(Refused, match="chat-web-1"):
        stack.down(settings, replace(theirs, volumes=("chat_data",)), volumes=True)
    stack.needs(settings, replace(theirs, ours=True))  # who came later is no reason to leave ours as it is
    for plan in (stack.plan(settings, CONTAINER), stack.down(settings, replace(CONTAINER, ours=True))):
        assert not [action for action in plan if "--remove-orphans" in getattr(action, "argv", ())]
