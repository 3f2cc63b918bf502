"""1.4 and 1.5: daemon.json, CDI, reload and restart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpudock.actions import Run
from gpudock.errors import Refused, UsageError
from gpudock.steps.toolkit import Toolkit, configure, daemon, restart
from gpudock.steps.toolkit.change import DaemonFile, Replace, decode
from tests.conftest import Settle
from tests.golden.toolkit_facts import ENGINE, INSTALLED, whys, with_daemon


def test_daemon_json_keeps_every_other_key(settle: Settle) -> None:
    """The runtime is added; order, indentation, siblings inside `features` and `runtimes` stay."""
    before = '{\n  "debug": true,\n  "runtimes": {"kata": {"path": "kata"}},\n  "features": {"buildkit": true}\n}\n'
    settings = settle("gpu.mode=cdi")
    plan = configure.plan(settings, with_daemon(before))
    assert whys(plan)[:2] == ["add the nvidia runtime to daemon.json", "note that CDI needs a start of Docker"]
    assert isinstance(plan[0], Replace)
    assert plan[0].text is not None
    after = daemon.parse(plan[0].text)
    assert list(after) == ["debug", "runtimes", "features"]
    assert after["runtimes"] == {"kata": {"path": "kata"}, "nvidia": daemon.RUNTIME}
    assert after["features"] == {"buildkit": True, "cdi": True}
    assert plan[0].text.splitlines()[1].startswith('  "debug"')
    assert '+  "runtimes"' in plan[0].diff() or '+    "nvidia"' in plan[0].diff()
    assert whys(configure.plan(settings, with_daemon(plan[0].text))) == ["generate the CDI specification"]


@pytest.mark.parametrize(
    "text",
    ['{"a": 1,}', '{"a": 1} garbage', '{"a": 1} {"b": 2}', "[]", '{"a": NaN}', '{"a": 1, "a": 2}', '{"runtimes": []}',
     '{"features": 1}', decode(b'{"a": "caf\xe9"}')],
)  # fmt: skip
def test_a_broken_daemon_json_is_refused_untouched(settle: Settle, text: str) -> None:
    """What does not parse as one object, or would lose something when written again, is the owner's to mend."""
    with pytest.raises(Refused, match="untouched"):
        configure.plan(settle(), with_daemon(text))


@pytest.mark.parametrize("text", [None, "", "\n", '{"runtimes": null}', "\ufeff{}", "\ufeff"])
def test_an_empty_daemon_json_is_filled(settle: Settle, text: str | None) -> None:
    """No file, an empty one, null runtimes, and a byte order mark are all fine to begin with."""
    plan = configure.plan(settle(), with_daemon(text))
    assert isinstance(plan[-1], Replace)
    assert daemon.parse(plan[-1].text) == {"runtimes": {"nvidia": daemon.RUNTIME}}


def test_a_runtime_of_the_owners_is_kept_as_it_is(settle: Settle) -> None:
    """Own arguments, which nvidia-ctk would drop, are no reason to write anything."""
    text = '{"runtimes": {"nvidia": {"path": "/opt/nvidia-container-runtime", "runtimeArgs": ["--debug"]}}}'
    assert configure.plan(settle(), with_daemon(text)) == []


def test_runtimes_by_flags_are_not_put_into_the_file_too(settle: Settle) -> None:
    """Dockerd does not start with the same key as a flag and in the file: refused, or left where it names ours."""
    flagged = replace(INSTALLED, daemon=DaemonFile(daemon.PATH, None, flags=("--add-runtime=kata=/usr/bin/kata",)))
    with pytest.raises(Refused, match="--add-runtime=kata"):
        configure.plan(settle(), flagged)
    known = replace(ENGINE, runtimes={"nvidia": {}})
    assert configure.plan(settle(), replace(flagged, engine=known)) == []


def test_docker_is_reloaded_not_restarted(settle: Settle) -> None:
    """A reload takes the runtime up, so no container stops, even on a daemon older than the toolkit."""
    plan = restart.plan(settle(), with_daemon('{"runtimes": {"nvidia": {}}}', outdated=True))
    assert isinstance(plan[0], Run)
    assert plan[0].argv[4] == "reload"
    assert (
        restart.plan(settle(), with_daemon(None, engine=replace(ENGINE, runtimes={"nvidia": {}}), outdated=True)) == []
    )


def test_a_restart_that_stops_containers_is_refused(settle: Settle) -> None:
    """With gpus, a daemon older than the toolkit must start anew: only with consent, live-restore, or nothing running."""
    facts = with_daemon('{"runtimes": {"nvidia": {}}}', outdated=True)
    with pytest.raises(Refused, match="db, web") as caught:
        restart.plan(settle("gpu.mode=gpus"), facts)
    assert "live-restore" in str(caught.value)
    idle, alive = replace(ENGINE, running=0), replace(ENGINE, live_restore=True)
    for settings, known in [
        (settle("gpu.mode=gpus"), idle), (settle("gpu.mode=gpus"), alive),
        (settle("gpu.mode=gpus", "engine.stop_containers=true"), ENGINE),
    ]:  # fmt: skip
        plan = restart.plan(settings, replace(facts, engine=known))
        assert isinstance(plan[0], Run)
        assert plan[0].argv[4] == "restart"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(INSTALLED, engine=replace(ENGINE, client="/snap/bin/docker")), "Snap"),
        (replace(INSTALLED, root="/var/snap/docker/common/var-lib-docker"), "Snap"),
        (replace(INSTALLED, engine=replace(ENGINE, desktop=True)), "Docker Desktop"),
        (replace(INSTALLED, engine=replace(ENGINE, rootless=True)), "systemctl --user"),
    ],
)
def test_engines_of_another_kind_have_words_of_their_own(settle: Settle, facts: Toolkit, said: str) -> None:
    """They do not read /etc/docker/daemon.json, so it is not written for them."""
    for plan in (configure.plan, restart.plan):
        with pytest.raises(Refused, match=said):
            plan(settle(), facts)


def test_cdi_is_refused_where_docker_or_compose_cannot(settle: Settle) -> None:
    """Docker before 26.1 does not read the specification, Compose v1 takes its names for paths: exit code 2."""
    for engine in (replace(ENGINE, version="25.0.3"), replace(ENGINE, compose=("/usr/bin/docker-compose",))):
        with pytest.raises(UsageError, match=r"gpu\.mode=runtime"):
            configure.plan(settle("gpu.mode=cdi"), replace(INSTALLED, engine=engine))


def test_cdi_is_switched_on_only_before_docker_28_2(settle: Settle) -> None:
    """From 28.2 on it is on by default, and daemon.json needs the runtime alone."""
    plan = configure.plan(settle("gpu.mode=cdi"), replace(INSTALLED, engine=replace(ENGINE, version="28.2.0")))
    assert whys(plan) == ["add the nvidia runtime to daemon.json", "generate the CDI specification"]
