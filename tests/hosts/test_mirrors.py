"""Mirrors measured from a server: one that is fast, one that is slow, one that is down, one behind a password."""

from __future__ import annotations

import json
from collections.abc import Iterator

import fabric
import pytest

from gpudock import measure, mirrors
from gpudock.errors import CannotTell
from gpudock.host import Host
from gpudock.measure import Choice, Measured
from gpudock.network import Network
from tests.conftest import Fab, Hosts
from tests.testbed import TestHost

# Answers every request with 300 kB after so many seconds; `-` in its log's place keeps it silent. Perl is on every Debian.
SERVER = r"""use IO::Socket::INET; my ($port, $wait, $log) = @ARGV;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 20, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) { next if fork;
  open my $seen, ">>", $log; while (<$client>) { print $seen $_; last if /^\r?$/ } close $seen;
  select undef, undef, undef, $wait; print $client "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n" . ("x" x 300000);
  exit }"""
WAIT = 3  # seconds: far above what a busy machine adds
FAST, SLOW, DOWN = "http://me:geheim@127.0.0.1:9001", "http://127.0.0.1:9002", "http://127.0.0.1:9003"


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A server with two mirrors of its own."""
    made = hosts("trixie-docker")
    made.write("/srv/mirror.pl", SERVER)
    for port, wait in ((9001, 0), (9002, WAIT)):
        made.sh(f": >/srv/{port}.log; setsid perl /srv/mirror.pl {port} {wait} /srv/{port}.log >/dev/null 2>&1 &")
        made.until_listening(port)
    return made


@pytest.fixture
def answers() -> Iterator[None]:
    """Have no answers for gpu01, and take those away that come."""
    (mirrors.ANSWERS / "gpu01.json").unlink(missing_ok=True)
    yield
    (mirrors.ANSWERS / "gpu01.json").unlink(missing_ok=True)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a choice that answers late on a busy machine not taken for one that is down."""
    monkeypatch.setattr(measure, "SECONDS", 120)
    monkeypatch.setattr(measure, "PYTHON", measure.PYTHON.replace("timeout=4", "timeout=120"))


def measured(host: TestHost) -> list[Measured]:
    """What measuring the fast, the slow and the silent mirror for two layers comes to."""
    with fabric.Connection(host.address, "root", host.port, connect_kwargs={"key_filename": str(host.key)}) as opened:
        network = Network(http_proxy="", https_proxy="", no_proxy="", through="", ca_bundle="")
        wanted = [Choice(layer, address, "x") for layer in ("pypi", "apt") for address in (SLOW, DOWN, FAST)]
        return measure.measure(Host(opened, "gpu01"), wanted, network)


@pytest.mark.parametrize("tools", ["curl", "python3"])
def test_choices_are_measured_side_by_side(host: TestHost, tools: str, patient: None) -> None:
    """Reachable or not, latency and rate are those of each server; one that is down costs no more than its time."""
    host.sh("rm -f /srv/9001.log")
    if tools == "python3":
        host.sh("mv /usr/bin/curl /usr/bin/curl-away")
    try:
        found = measured(host)
    finally:
        host.sh("[ ! -e /usr/bin/curl-away ] || mv /usr/bin/curl-away /usr/bin/curl")
    assert [item.answers for item in found] == [True, False, True] * 2
    assert found[0].latency >= WAIT
    assert found[2].latency < found[0].latency
    assert found[2].rate > found[0].rate
    assert mirrors.best(found, {}) == {"pypi": FAST, "apt": FAST}
    seen = host.read("/srv/9001.log")
    assert "GET /pip/ HTTP" in seen
    assert "GET /debian/dists/trixie/InRelease HTTP" in seen
    assert "Authorization: Basic bWU6Z2VoZWlt" in seen


def test_a_host_that_cannot_measure_says_so(host: TestHost) -> None:
    """Neither curl nor python3: what is missing is named, with the next move."""
    host.sh("for tool in curl python3; do mv /usr/bin/$tool /usr/bin/$tool-away; done")
    try:
        with pytest.raises(CannotTell, match="neither curl nor python3 is there: install curl"):
            measured(host)
    finally:
        host.sh("for tool in curl python3; do mv /usr/bin/$tool-away /usr/bin/$tool; done")


def test_the_table_marks_the_best_and_auto_uses_it(host: TestHost, fab: Fab, answers: None) -> None:
    """No password is shown or in a process's arguments; `auto` has it in the plan's settings without another probe."""
    target = {"gpu01": (host, "ops")}
    done = fab(target, "mirror.probe", "--set", f"mirrors.pypi={FAST}", "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out.splitlines()[0])["facts"]["choices"]
    own = next(row for row in rows if row["preset"] == "set")
    assert (own["answers"], own["choice"]) == ("yes", "http://me:•••@127.0.0.1:9001")
    assert "geheim" not in done.out
    assert oct((mirrors.ANSWERS / "gpu01.json").stat().st_mode)[-3:] == "600"
    mirrors.remember("gpu01", {"pypi": FAST})
    asked = host.read("/srv/9001.log")
    shown = fab(target, "config", "--set", "mirror=auto").out
    assert "http://me:•••@127.0.0.1:9001" in shown
    assert "mirror.probe, 20" in shown
    assert host.read("/srv/9001.log") == asked


def test_auto_measures_by_itself_the_first_time(host: TestHost, fab: Fab, answers: None) -> None:
    """A step with `mirror: auto` and no answer yet measures before it plans, and the next one does not."""
    target = {"gpu01": (host, "ops")}
    words = ["engine.install", "--dry-run", "--set", "mirror=auto", "--set", f"mirrors.apt={SLOW}"]
    before = host.read("/srv/9002.log").count("GET")
    assert fab(target, *words).code == 0
    assert host.read("/srv/9002.log").count("GET") == before + 1
    assert not mirrors.stale("gpu01")
    assert fab(target, *words).code == 0
    assert host.read("/srv/9002.log").count("GET") == before + 1
