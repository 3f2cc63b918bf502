"""Which hosts begin: canary, failures that are allowed, and who failed last time."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from gpudock.errors import UsageError
from gpudock.options import Rollout
from gpudock.rollout import Gate, Memory

HOSTS = [f"gpu{number:02}" for number in range(1, 9)]


def roll(rollout: Rollout, failing: set[str], parallel: int = 1) -> tuple[list[str], dict[str, str]]:
    """The hosts that began, and the reasons of those that did not."""
    left_out: dict[str, str] = {}
    gate = Gate(rollout, Event())
    gate.roll(HOSTS, parallel, lambda host: int(host in failing), left_out.__setitem__)
    return list(gate.codes), left_out


def test_without_options_all_hosts_begin() -> None:
    """A failure stops nobody."""
    assert roll(Rollout(), {"gpu01", "gpu02"}) == (HOSTS, {})


def test_the_canary_has_to_succeed() -> None:
    """The others begin after the first N have all succeeded, and not at all where one of these failed."""
    assert roll(Rollout(canary=2), {"gpu05"}) == (HOSTS, {})
    begun, left_out = roll(Rollout(canary=2), {"gpu02"}, parallel=8)
    assert begun == ["gpu01", "gpu02"]
    assert list(left_out) == HOSTS[2:]
    assert set(left_out.values()) == {"not begun, as the canary failed on gpu02"}


def test_no_host_begins_after_too_many_failures() -> None:
    """N may fail; after one more no further host begins."""
    failing = {"gpu01", "gpu03", "gpu05"}
    assert roll(Rollout(max_failures=0), failing)[0] == ["gpu01"]
    assert roll(Rollout(max_failures=2), failing)[0] == HOSTS[:5]
    assert roll(Rollout(max_failures=3), failing)[0] == HOSTS


def test_ctrl_c_lets_no_further_host_begin() -> None:
    """Once stopped, hosts that wait for their turn are left out."""
    stop = Event()
    gate = Gate(Rollout(), stop)
    left_out: dict[str, str] = {}
    gate.roll(HOSTS, 1, lambda host: stop.set() or 0, left_out.__setitem__)  # type: ignore[func-returns-value]
    assert (list(gate.codes), list(left_out)) == (HOSTS[:1], HOSTS[1:])


def test_who_failed_is_remembered_by_task_and_host(tmp_path: Path) -> None:
    """A host stays on the list until it succeeds, whatever other hosts or tasks do meanwhile."""
    setup, other = Memory(tmp_path, ["setup"]), Memory(tmp_path, ["image.build"])
    assert setup.failed() == []
    setup.keep({"gpu01": 0, "gpu02": 1, "gpu03": 3})
    other.keep({"gpu02": 0})
    setup.keep({"gpu01": 0})
    assert setup.failed() == ["gpu02", "gpu03"]
    setup.keep({"gpu02": 0, "gpu03": 3})
    assert (setup.failed(), other.failed()) == (["gpu03"], [])


@pytest.mark.parametrize(
    ("name", "value"), [("canary", "0"), ("canary", "-1"), ("canary", "x"), ("max_failures", "1.5")]
)
def test_a_bad_value_is_a_usage_error(name: str, value: str) -> None:
    """Exit code 2 with the option's name."""
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} {value}") as caught:
        Rollout.take({name: value})
    assert caught.value.code == 2
