"""The lock and the audit log on this machine, in a folder of their own; over SSH, and with holders that die, in tests/hosts."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import invoke
import pytest

from gpudock import lock
from gpudock.actions import Run, Write
from gpudock.errors import CannotTell, Locked, Refused
from gpudock.host import Host
from gpudock.lock import Lock
from gpudock.settings import HostFolder
from tests.waiting import until

BUILD = Run(
    "build it", ("docker", "build", "--build-arg", "INDEX=https://me:geheim@mirror/simple", "."), b"secret input"
)
SECRET = Write("write the token", "/etc/token", "secret text", secret=True)


@pytest.fixture
def here() -> Host:
    """This machine."""
    return Host(invoke.Context(), "localhost")


@pytest.fixture
def paths(tmp_path: Path) -> HostFolder:
    """Where lock and log are."""
    return HostFolder(state=str(tmp_path), lock=str(tmp_path / "run"), audit=str(tmp_path / "log" / "audit.jsonl"))


def entries(paths: HostFolder) -> list[dict[str, str]]:
    """What the audit log holds."""
    return [json.loads(line) for line in Path(paths.audit).read_text().splitlines()]


def test_one_holder_at_a_time(here: Host, paths: HostFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second is told who holds it and what for; once it is released it can be had."""
    monkeypatch.setenv("SUDO_USER", "anna")
    first = Lock.take(here, paths, "setup")
    first.begin("image.build", BUILD)
    with pytest.raises(Locked, match=r"is being changed by anna@.*doing setup: image.build: build it") as caught:
        Lock.take(here, paths, "teardown")
    assert caught.value.code == 1
    first.end("image.build", BUILD, "done", 1.0)
    assert first.release() == ""
    assert Lock.take(here, paths, "teardown").release() == ""


def test_a_lock_that_was_taken_back(here: Host, paths: HostFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stood still too long begins nothing more: somebody else may be at it."""
    monkeypatch.setattr(lock, "LIFE", 1)
    first = Lock.take(here, paths, "setup")
    monkeypatch.undo()

    others: list[Lock] = []

    def taken() -> bool:
        with suppress(Locked):
            others.append(Lock.take(here, paths, "teardown"))
        return bool(others)

    until(taken)
    with pytest.raises(Refused, match="before it would build it, as the host has taken its lock back"):
        first.begin("image.build", BUILD)
    others[0].begin("image.build", BUILD)
    assert (first.release(), others[0].release()) == ("", "")


def test_what_is_recorded(here: Host, paths: HostFolder) -> None:
    """Ends as they are told, what has no end as interrupted; neither passwords nor contents."""
    held = Lock.take(here, paths, "setup")
    held.begin("image.build", BUILD)
    held.end("image.build", BUILD, "failed", 2.5)
    held.begin("jupyter.password", SECRET)
    held.release()
    told = [(entry["step"], entry["why"], entry["result"]) for entry in entries(paths)]
    assert told == [("image.build", "build it", "failed"), ("jupyter.password", "write the token", "interrupted")]
    assert [entry["action"] for entry in entries(paths)][1] == "/etc/token"
    text = Path(paths.audit).read_text()
    assert not [word for word in ("geheim", "secret input", "secret text") if word in text]


def test_quotes_and_line_ends_stay_one_line(here: Host, paths: HostFolder) -> None:
    """A script with quotes, backslashes, line ends and other alphabets is one entry."""
    odd = Run('say "it\'s" 好 \\n', ("sh", "-c", "printf \"%s\\n\" 'a'\nexit"))
    held = Lock.take(here, paths, "setup")
    held.begin("test", odd)
    held.end("test", odd, "done", 0.0)
    assert held.release() == ""
    (entry,) = entries(paths)
    assert (entry["why"], entry["action"]) == (odd.why, " ".join(odd.argv))


def test_a_host_that_cannot_lock_is_told(here: Host, paths: HostFolder) -> None:
    """A lock folder that cannot be made is an error with the shell's words, not a missing lock."""
    Path(paths.lock).write_text("a file")
    with pytest.raises(CannotTell, match=r"cannot take the host's lock: .*run"):
        Lock.take(here, paths, "setup")
