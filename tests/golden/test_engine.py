"""The Docker engine's step: what it installs where, and which of a host's programs it takes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gpudock.actions import Run, Write
from gpudock.answers import Answer
from gpudock.errors import Refused
from gpudock.steps import engine, programs
from gpudock.steps.doctor import known
from tests.conftest import Settle
from tests.golden.test_plans import BARE, DEBIAN, ENGINE, whys


def test_a_bare_debian_gets_the_distributions_engine(settle: Settle) -> None:
    """Without Docker's repository in reach the distribution's packages are installed, started, opened to the user."""
    assert whys(engine.plan(settle(), BARE)) == [
        "fetch the package lists",
        "install docker.io, docker-cli, docker-buildx, docker-compose, iptables of debian 13",
        "start Docker, now and with the machine",
        "wait until Docker answers",
        "let ops use Docker (from the next login on)",
    ]


def test_dockers_own_repository_is_preferred_where_it_answers(settle: Settle) -> None:
    """With Docker's repository in reach its packages come, by a signed source of their own."""
    plan = engine.plan(settle(), replace(BARE, repository=True))
    source = next(action for action in plan if isinstance(action, Write))
    assert source.text == (
        "deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian trixie stable\n"
    )
    assert "install Docker, Buildx and Compose" in whys(plan)


def test_whatever_is_fetched_comes_by_the_proxy(settle: Settle) -> None:
    """Key, lists and packages of Docker's repository: each tool that downloads is told of the proxy."""
    plan = engine.plan(settle("engine.source=docker", "network.https_proxy=http://proxy:3128"), BARE)
    fetching = [action for action in plan if isinstance(action, Run) and action.why.startswith(("fetch", "install"))]
    assert len(fetching) == 3
    assert all((action.environment or {}).get("https_proxy") == "http://proxy:3128" for action in fetching)


def test_an_engine_as_wanted_plans_nothing(settle: Settle) -> None:
    """A running engine that builds, composes and knows its user is left alone."""
    assert engine.plan(settle(), ENGINE) == []


def test_an_unknown_distribution_is_refused_before_anything(settle: Settle) -> None:
    """Where apt is not, nothing is guessed."""
    with pytest.raises(Refused, match="alpine"):
        engine.plan(settle(), replace(BARE, machine=replace(DEBIAN, distribution="alpine")))


def test_the_client_that_can_build_is_chosen() -> None:
    """A newer client without buildx earlier on PATH is passed over."""
    newer, older = "client /usr/local/bin/docker 28.2.2\n", "client /usr/bin/docker 20.10.24\n"
    assert programs.choose(newer + older)[:2] == ("/usr/bin/docker", True)
    assert programs.choose("plugin docker-buildx\n" + newer + older)[:2] == ("/usr/local/bin/docker", True)
    assert programs.choose(newer)[:2] == ("/usr/local/bin/docker", False)
    assert programs.choose("") == ("", False, ())


def test_compose_is_the_clients_plugin_or_the_program_of_that_name() -> None:
    """The plugin where both are there; without a client the plugin is of no use."""
    client, old = "client /usr/bin/docker 20.10.24\n", "compose /usr/bin/docker-compose\n"
    assert programs.choose(f"plugin docker-compose\n{old}{client}")[2] == ("/usr/bin/docker", "compose")
    assert programs.choose(old + client)[2] == ("/usr/bin/docker-compose",)
    assert programs.choose(f"plugin docker-compose\n{old}")[2] == ("/usr/bin/docker-compose",)
    assert programs.choose(client)[2] == ()


def test_podman_is_not_taken_for_docker(settle: Settle) -> None:
    """What answers at Docker's socket may be Podman 5.4.2 (recorded): no engine, and named before anything is installed."""
    info = {"ServerVersion": "5.4.2", "Runtimes": {"crun": {"path": "/usr/bin/crun"}}, "BuildahVersion": "1.39.3"}
    answers = {name: Answer((), 0, "", "") for name in engine.questions(settle())}
    answers["operator"] = Answer((), 0, "root\n0\n0\n", "")
    found = engine.read(settle(), {**answers, "docker.info": Answer((), 0, json.dumps(info), "")})
    assert (found.answers, found.podman) == (False, "5.4.2")
    with pytest.raises(Refused, match=r"Podman 5\.4\.2 answers at /var/run/docker\.sock.*apt-get remove podman-docker"):
        engine.plan(settle(), found)
    assert known.information({"docker.info": Answer((), 0, json.dumps(info), "")}) == {}
