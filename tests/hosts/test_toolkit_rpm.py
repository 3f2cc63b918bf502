"""1. The toolkit by real dnf and real zypper: signed rpm packages, on a systemd host that says it is Rocky or openSUSE."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.conftest import Completed, Hosts
from tests.hosts.nvidia import Repository, plug_in_gpu, serve_rpms
from tests.testbed import TestHost

Fab = Callable[..., Completed]
DAEMON = '{"debug": true,\t"log-opts": {"max-size": "10m"}}'
SYSTEMS = {
    "dnf": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.7"\n',
    "zypper": 'NAME="openSUSE Leap"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n',
}
UPDATE = {
    "dnf": "dnf -y --refresh upgrade",
    "zypper": "zypper --non-interactive refresh && zypper --non-interactive update",
}
# What an owner types: an old version, a lock, and the lock off.
THEIRS = {
    "dnf": ("dnf -y install nvidia-container-toolkit-1.18.0", "dnf versionlock add", "dnf versionlock delete"),
    "zypper": ("zypper -n install nvidia-container-toolkit=1.18.0", "zypper addlock", "zypper removelock"),
}

# All that rpm, dnf, zypper and Docker know, byte for byte; dnf puts the time above a lock (5: into its comment).
STATE = """rpm -qa | sort; docker info -f '{{json .Runtimes}}' | grep -c '"nvidia":{'; stat -c '%a %U' /etc/docker/daemon.json
for file in $(find /etc/yum.repos.d /etc/zypp /etc/dnf /etc/pki /etc/docker -type f ! -name '*.rpmsave' | sort); do
  grep -qs '[^[:space:]#]' "$file" && echo "$file $(grep -Ev '^(# Added lock|comment = "Added by)' "$file" | sha256sum)"; done"""
# The library's script calls it; above the script's shell is dnf, or the rpm that zypper runs.
CUT = "#!/bin/sh\nmv /usr/sbin/ldconfig.away /usr/sbin/ldconfig\nkill -9 $(pgrep -f '^zypper|bin/dnf') $(ps -o ppid= -p $PPID)\n"
INSTALLED = "rpm -qa --qf '%{VERSION}-%{RELEASE} %{NAME}\\n' '*nvidia*' | sort"


@dataclass(frozen=True)
class Rpm:
    """A host of rpm's world: its package manager, and how its user runs gpudock on it. `false` is a false mirror."""

    manager: str
    host: TestHost
    fab: Fab
    settings: list[str]
    false: str

    def run(self, *words: str) -> Completed:
        """Run tasks on it."""
        return self.fab({"rpm01": (self.host, "ops")}, *words, *self.settings)

    def done(self, *words: str) -> str:
        """Run tasks that must end well, and return what they print."""
        completed = self.run(*words)
        assert completed.code == 0, completed.out + completed.err
        return completed.out

    def versions(self) -> set[str]:
        """The versions of the toolkit's packages; there are four of them, or none."""
        rows = self.host.sh(INSTALLED).splitlines()
        assert len(rows) in (0, 4), rows
        return {row.split()[0] for row in rows}


@pytest.fixture(scope="module")
def served(hosts: Hosts, repository: Repository) -> tuple[TestHost, str]:
    """A host with an engine, its owner's daemon.json and container, and a driver; the address of a false mirror."""
    host = hosts("trixie-rpm", *repository.reach)
    repository.trust(host)
    plug_in_gpu(host)
    host.write("/etc/docker/daemon.json", DAEMON)
    host.sh("systemctl reload docker")
    host.run_container("other")
    return host, serve_rpms(repository, host)


@pytest.fixture(scope="module", params=SYSTEMS)
def manager(request: pytest.FixtureRequest, served: tuple[TestHost, str]) -> str:
    """The host with one of the package managers."""
    served[0].write("/etc/os-release", SYSTEMS[request.param])
    return str(request.param)


@pytest.fixture
def site(manager: str, served: tuple[TestHost, str], fab: Fab, repository: Repository) -> Rpm:
    """The host and the way to run gpudock on it."""
    return Rpm(manager, served[0], fab, repository.key_override, served[1])


def test_install_and_uninstall_leave_no_trace(site: Rpm) -> None:
    """All five steps over TLS, twice; then packages, keys, files and Docker's runtimes are as before; nothing stops."""
    started = "docker inspect -f '{{.State.StartedAt}} {{.State.Running}}' other"
    before, running = site.host.sh(STATE), site.host.sh(started)
    site.done("toolkit.install")
    assert site.versions() == {"1.20.0-1"}
    assert "nvidia" in site.host.sh("docker info -f '{{json .Runtimes}}'")
    assert json.loads(site.host.read("/etc/docker/daemon.json"))["log-opts"] == {"max-size": "10m"}
    assert "nothing to change" in site.done("toolkit.install")
    site.done("toolkit.uninstall")
    assert site.host.sh(STATE) == before
    assert "nothing to change" in site.done("toolkit.uninstall")
    assert site.host.sh(started) == running


def test_lists_that_another_key_has_signed_are_refused(site: Rpm) -> None:
    """NVIDIA's key alone counts, not the one that a mirror serves beside its lists; nothing is installed."""
    done = site.run("toolkit.install", "--set", f"mirrors.toolkit={site.false}")
    assert done.code == 1
    assert "toolkit.package: failed" in done.err
    assert site.versions() == set()
    assert site.host.sh("rpm -qa 'gpg-pubkey*' | wc -l") == ("1\n" if site.manager == "zypper" else "0\n")
    site.done("toolkit.uninstall")


def test_a_pin_goes_down_and_up_and_is_held(site: Rpm) -> None:
    """The owner's own update leaves a held version alone, gpudock changes it all the same, and lets go when told."""
    held = ("--set", "toolkit.hold=true")
    site.done("toolkit.install", "--set", "toolkit.version=1.20.0", *held)
    site.done("toolkit.package", "--set", "toolkit.version=1.19.1", *held)
    site.host.sh(UPDATE[site.manager])
    assert site.versions() == {"1.19.1-1"}
    assert "nothing to change" in site.done("toolkit.package", "--set", "toolkit.version=1.19.1", *held)
    assert f"fix   {THEIRS[site.manager][2]} " in site.run("doctor", "--rule", "toolkit-held").out
    site.done("toolkit.package", "--set", "toolkit.version=1.19.1")
    site.host.sh(UPDATE[site.manager])
    assert site.versions() == {"1.20.0-1"}


def test_the_channel_is_switched_there_and_back(site: Rpm) -> None:
    """The newest of the experimental channel is taken on request alone; back in the stable one it is not offered."""
    experimental = ("--set", "toolkit.channel=experimental")
    site.done("toolkit.channel", *experimental)
    assert "nothing to change" in site.done("toolkit.repo", *experimental)
    site.done("toolkit.upgrade", *experimental)
    assert site.versions() == {"1.21.0~rc.1-1"}
    assert "nothing to change" in site.done("toolkit.upgrade", *experimental)
    site.done("toolkit.channel")
    site.done("toolkit.upgrade")
    assert site.versions() == {"1.20.0-1"}


def test_a_transaction_cut_off_is_finished(site: Rpm) -> None:
    """Kill -9 while rpm has the new library and still the old one: Docker starts, and the next run mends it."""
    site.done("toolkit.package", "--set", "toolkit.version=1.19.1")
    site.host.sh("mv /usr/sbin/ldconfig /usr/sbin/ldconfig.away")
    site.host.write("/usr/sbin/ldconfig", CUT)
    site.host.sh("chmod 755 /usr/sbin/ldconfig")
    assert site.run("toolkit.package", "--set", "toolkit.version=1.20.0").code == 1
    assert site.host.sh(INSTALLED).count(" libnvidia-container1") == 2
    site.host.sh("systemctl restart docker && docker info >/dev/null && docker start other")
    site.done("toolkit.package", "--set", "toolkit.version=1.20.0")
    assert site.versions() == {"1.20.0-1"}


def test_what_was_here_before_comes_back(site: Rpm) -> None:
    """An owner's older toolkit is brought up to the floor, and by uninstalling to what it was, his lock included."""
    site.done("toolkit.uninstall")
    site.done("toolkit.repo")
    install, lock, unlock = THEIRS[site.manager]
    site.host.sh(f"{install} && rm -rf /var/lib/gpudock && {lock} nvidia-container-toolkit")
    before = site.host.sh(STATE)
    site.done("toolkit.install")
    assert site.versions() == {"1.20.0-1"}
    said = site.done("toolkit.uninstall")
    assert "bring the toolkit back to 1.18.0-1, which has CVE-2026-24260, as before" in said
    assert site.versions() == {"1.18.0-1"}
    assert site.host.sh(STATE) == before
    site.host.sh(
        f"{unlock} nvidia-container-toolkit && rpm -e $(rpm -qa '*nvidia*') && rm -f /etc/yum.repos.d/nvidia* /etc/zypp/repos.d/nvidia*"
    )
