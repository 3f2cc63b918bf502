"""1. The toolkit's five steps on a real systemd host with a real engine and a signed package repository."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Fab, Hosts
from tests.hosts.nvidia import Repository, plug_in_gpu
from tests.testbed import TestHost
from tests.waiting import until

DAEMON = '{\n  "debug": true,\n  "features": {\n    "buildkit": true\n  }\n}\n'
LIST = "/etc/apt/sources.list.d/nvidia-container-toolkit.list"


@pytest.fixture(scope="module")
def gpu_host(hosts: Hosts) -> TestHost:
    """A host with an engine, settings of its owner's, a container that must go on, and a stand-in driver."""
    host = hosts("trixie-docker")
    host.write("/etc/docker/daemon.json", DAEMON)
    plug_in_gpu(host)
    host.sh("systemctl reload docker")
    host.run_container("other")
    return host


def started(host: TestHost, name: str) -> str:
    """When a container was started: it changes when the container was stopped in between."""
    return host.sh(f"docker inspect -f '{{{{.State.StartedAt}}}} {{{{.State.Running}}}}' {name}")


def test_install_is_whole_and_repeatable(gpu_host: TestHost, fab: Fab, repository: Repository) -> None:
    """All five steps run by one command; other keys and containers stay; a second and third run change nothing."""
    before = started(gpu_host, "other")
    done = fab({"gpu01": (gpu_host, "ops")}, "toolkit.install", *repository.overrides)
    assert done.code == 0, done.err
    assert "nvidia" in gpu_host.sh("docker info -f '{{json .Runtimes}}'")
    daemon = json.loads(gpu_host.read("/etc/docker/daemon.json"))
    assert (daemon["debug"], daemon["features"]) == (True, {"buildkit": True})
    listed = fab({"gpu01": (gpu_host, "ops")}, "toolkit.restore")
    assert "add the nvidia runtime to daemon.json" in listed.out
    assert started(gpu_host, "other") == before
    for _ in range(2):
        again = fab({"gpu01": (gpu_host, "ops")}, "toolkit.install", *repository.overrides)
        assert (again.code, "nothing to change" in again.out) == (0, True)
    assert gpu_host.read(LIST).count("\n") == 2


def test_the_newest_safe_version_is_installed(gpu_host: TestHost) -> None:
    """All four packages are at the newest stable version, and the experimental one is not taken."""
    said = gpu_host.sh("dpkg-query -W -f '${Package} ${Version}\\n' '*nvidia-container*'")
    assert {line.split()[1] for line in said.splitlines()} == {"1.20.0-1"}
    assert len(said.splitlines()) == 4


def test_a_pin_goes_up_and_down(gpu_host: TestHost, fab: Fab, repository: Repository) -> None:
    """Another version is installed with its libraries at the same version, older ones too, and the hold stays."""
    for version in ("1.19.1", "1.20.0"):
        done = fab(
            {"gpu01": (gpu_host, "ops")},
            "toolkit.package",
            "--set",
            f"toolkit.version={version}",
            "--set",
            "toolkit.hold=true",
            *repository.overrides,
        )
        assert done.code == 0, done.err
        assert gpu_host.sh("apt-mark showhold").count("nvidia") == 4
        assert f"{version}-1" in gpu_host.sh("dpkg-query -W -f '${Version}' libnvidia-container1")


def test_the_channel_is_switched_there_and_back(gpu_host: TestHost, fab: Fab, repository: Repository) -> None:
    """The experimental line loses and regains its #, and `toolkit.repo` leaves the choice alone."""
    target = {"gpu01": (gpu_host, "ops")}
    fab(target, "toolkit.channel", "--set", "toolkit.channel=experimental", *repository.overrides)
    assert "\ndeb [" in gpu_host.read(LIST)
    assert "nothing to change" in fab(target, "toolkit.repo", *repository.overrides).out
    fab(target, "toolkit.channel", *repository.overrides)
    assert "\n#deb [" in gpu_host.read(LIST)


def test_a_wrong_key_is_not_trusted(gpu_host: TestHost, fab: Fab, repository: Repository) -> None:
    """A key with another fingerprint than the one expected is named and not installed."""
    before = gpu_host.sh("sha256sum /usr/share/keyrings/nvidia-container-toolkit-keyring.gpg")
    done = fab({"gpu01": (gpu_host, "ops")}, "toolkit.repo", *repository.overrides[:2])
    assert done.code == 1
    assert "is not the one expected (C95B321B61E88C1809C4F759DDCAE044F796ECB0)" in done.err
    assert gpu_host.sh("sha256sum /usr/share/keyrings/nvidia-container-toolkit-keyring.gpg") == before


def test_a_mirror_that_is_down_says_so(gpu_host: TestHost, fab: Fab, repository: Repository) -> None:
    """An address nobody listens at gives one paragraph with the next move, and what was there stays."""
    overrides = ["--set", "mirrors.toolkit=http://127.0.0.1:9", *repository.overrides[2:]]
    done = fab(
        {"gpu01": (gpu_host, "ops")}, "toolkit.repo", "toolkit.package", "--set", "toolkit.version=1.19.1", *overrides
    )
    assert done.code == 1
    assert "mirror" in done.err
    assert "Traceback" not in done.err
    fab({"gpu01": (gpu_host, "ops")}, "toolkit.repo", *repository.overrides)


def test_an_apt_lock_is_waited_for_and_given_up(gpu_host: TestHost, fab: Fab, repository: Repository) -> None:
    """While another package manager holds the lock we wait, then fail with its name; freed, the same command works."""
    hold = "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f,fcntl.LOCK_EX)"
    gpu_host.sh(f"setsid python3 -c \"{hold}; open('/run/locked','w'); time.sleep(3600)\" >/dev/null 2>&1 &")
    until(lambda: gpu_host.sh("ls /run/locked", check=False) == "/run/locked\n")
    words = ["toolkit.package", "--set", "toolkit.version=1.19.1", *repository.overrides]
    done = fab({"gpu01": (gpu_host, "ops")}, *words, "--set", "apt.lock_timeout=2")
    assert done.code == 1
    assert "Another package manager is running" in done.err
    gpu_host.sh("pkill -f '[l]ock-frontend'")
    assert fab({"gpu01": (gpu_host, "ops")}, *words).code == 0


@pytest.mark.parametrize("text", ['{"debug": true,}', '{"debug": true} {"more": 1}'])
def test_a_broken_daemon_json_is_left_untouched(gpu_host: TestHost, fab: Fab, text: str) -> None:
    """A file that does not parse is refused in words, and byte for byte as before."""
    kept = gpu_host.read("/etc/docker/daemon.json")
    gpu_host.write("/etc/docker/daemon.json", text)
    done = fab({"gpu01": (gpu_host, "root")}, "toolkit.configure")
    assert (done.code, gpu_host.read("/etc/docker/daemon.json")) == (1, text)
    assert "left untouched" in done.err
    gpu_host.write("/etc/docker/daemon.json", kept)


def test_teardown_leaves_the_record_as_long_as_the_toolkit_stays(gpu_host: TestHost, fab: Fab) -> None:
    """All else of gpudock's folder goes; what was here before the toolkit is still known."""
    gpu_host.write("/var/lib/gpudock/build/context/Dockerfile", "FROM scratch\n")
    assert fab({"gpu01": (gpu_host, "ops")}, "teardown").code == 0
    assert gpu_host.sh("ls /var/lib/gpudock; ls /var/lib/gpudock/toolkit/before") == "toolkit\ndaemon.json\nholds\n"
    assert "nothing to change" in fab({"gpu01": (gpu_host, "ops")}, "teardown").out


def test_teardown_with_the_toolkit_gives_back_the_former_state(gpu_host: TestHost, fab: Fab) -> None:
    """Packages, list, key, runtime and gpudock's folder go; daemon.json is what it was, byte for byte."""
    done = fab({"gpu01": (gpu_host, "ops")}, "teardown", "--toolkit")
    assert done.code == 0, done.err
    assert not gpu_host.sh("ls -d /var/lib/gpudock 2>/dev/null; :")
    assert gpu_host.read("/etc/docker/daemon.json") == DAEMON
    assert "nvidia" not in gpu_host.sh(
        "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | grep ' installed' | grep nvidia; ls /etc/apt/sources.list.d; :"
    )
    assert "true" in started(gpu_host, "other")
