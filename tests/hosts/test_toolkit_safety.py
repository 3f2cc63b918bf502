"""The toolkit on a host that others use: what fails is undone, what stops containers is asked for, and the way back is whole."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from gpudock.steps.toolkit import PACKAGES
from gpudock.steps.toolkit.change import REPLACE
from tests.conftest import Completed, Fab, Hosts
from tests.hosts.nvidia import Repository, plug_in_gpu
from tests.testbed import TestHost
from tests.waiting import until

DAEMON = "/etc/docker/daemon.json"
THEIRS = '{"debug": true,\t"log-opts": {"max-size": "10m"}}'  # an unusual form, and no newline at its end
LIST = "/etc/apt/sources.list.d/nvidia-container-toolkit.list"
OLD_LIST = "/etc/apt/sources.list.d/nvidia-docker.list"
OLD_ENTRY = "# by hand, 2019\ndeb https://nvidia.github.io/libnvidia-container/stable/ubuntu18.04/$(ARCH) /\n"

# All that apt and Docker know, byte for byte.
STATE = """for file in $(find /etc/apt /usr/share/keyrings /etc/docker -type f ! -name '*.before*' | sort); do sha256sum "$file"; done
dpkg -l | sort | sha256sum; apt-mark showmanual | sort | sha256sum; apt-mark showhold; stat -c %a /etc/docker/daemon.json
docker info -f '{{json .Runtimes}}' | grep -c '"nvidia":{'; :"""

GPU_IMAGE = """mkdir -p /tmp/gpu/bin; cp /bin/sh /bin/sleep /tmp/gpu/bin
for program in sh sleep; do ldd /bin/$program | grep -o '/lib[^ ]*' | xargs -I{} cp --parents {} /tmp/gpu; done
printf '#!/bin/sh\\n[ -e /gpu ] && echo "GPU 0: NVIDIA H100"\\n' >/tmp/gpu/bin/nvidia-smi; chmod 755 /tmp/gpu/bin/*; touch /tmp/gpu/gpu
tar -C /tmp/gpu -c . | docker import -c 'ENV PATH=/bin' - gpu
docker run -d --name train --runtime nvidia -e NVIDIA_VISIBLE_DEVICES=all gpu sleep 3600"""


@dataclass(frozen=True)
class Site:
    """A shared host that reaches NVIDIA's repository by its real name, as its user `ops` would run gpudock on it."""

    host: TestHost
    fab: Fab
    settings: list[str]

    def run(self, *words: str) -> Completed:
        """Run tasks on it."""
        return self.fab({"gpu01": (self.host, "ops")}, *words, *self.settings)

    def done(self, *words: str) -> str:
        """Run tasks that must end well, and return what they print."""
        completed = self.run(*words)
        assert completed.code == 0, completed.out + completed.err
        return completed.out

    def answers(self) -> bool:
        """Whether Docker runs."""
        return "running" in self.host.sh("docker info >/dev/null 2>&1 && echo running; :")

    def started(self, name: str) -> str:
        """When a container was started."""
        return self.host.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {name}")

    def override(self, text: str) -> None:
        """Give Docker's unit a drop-in; an empty text takes it away."""
        folder = "/etc/systemd/system/docker.service.d"
        self.host.write(f"{folder}/test.conf", f"[Service]\n{text}\n" if text else "")
        self.host.sh("systemctl daemon-reload")


@pytest.fixture(scope="module")
def shared(hosts: Hosts, repository: Repository) -> TestHost:
    """A host with an owner's daemon.json, an older entry for NVIDIA's repository, and a driver."""
    host = hosts("trixie-docker", *repository.reach)
    repository.trust(host)
    plug_in_gpu(host)
    host.write(DAEMON, THEIRS)
    host.sh(f"chmod 640 {DAEMON}; systemctl reload docker; apt-get install -y --no-install-recommends python3")
    host.write(OLD_LIST, OLD_ENTRY)
    return host


@pytest.fixture
def site(shared: TestHost, fab: Fab, repository: Repository) -> Site:
    """The host and the way to run gpudock on it."""
    return Site(shared, fab, repository.key_override)


def test_install_and_uninstall_leave_no_trace(site: Site) -> None:
    """Over TLS from the real address; then daemon.json, apt's files, packages and marks are the same bytes as before."""
    before = site.host.sh(STATE)
    site.done("toolkit.install", "--set", "toolkit.version=1.19.1", "--set", "toolkit.hold=true")
    assert "# switched off by gpudock: deb" in site.host.read(OLD_LIST)
    assert site.host.sh("apt-mark showhold").count("nvidia") == 4
    assert json.loads(site.host.read(DAEMON))["log-opts"] == {"max-size": "10m"}
    assert site.host.sh(f"stat -c %a {DAEMON}") == "640\n"
    site.done("toolkit.uninstall")
    assert site.host.sh(STATE) == before
    assert "nothing to change" in site.done("toolkit.uninstall")


def test_what_was_here_before_comes_back(site: Site) -> None:
    """An owner's older toolkit, part of it come by itself, held: brought up to the floor, and back to what it was."""
    site.done("toolkit.repo")
    old = " ".join(f"{name}=1.18.0-1" for name in PACKAGES)
    site.host.sh(
        f"apt-get update -q && apt-get install -y {old} && apt-mark auto {PACKAGES[3]} && apt-mark hold {PACKAGES[0]}"
    )
    site.host.sh("rm -rf /var/lib/gpudock")
    site.host.write(OLD_LIST, OLD_ENTRY)
    before = site.host.sh(STATE)
    site.done("toolkit.install")
    assert "1.20.0-1" in site.host.sh(f"dpkg-query -W {PACKAGES[3]}")
    assert "bring the toolkit back to 1.18.0-1" in site.done("toolkit.uninstall")
    assert site.host.sh(STATE) == before
    site.host.sh(f"apt-get purge -y --allow-change-held-packages {' '.join(PACKAGES)}; rm {LIST}")


def test_what_docker_would_not_take_is_not_written(site: Site) -> None:
    """Dockerd itself checks the file: a value it refuses is told in its words, and the file is as before."""
    site.done("toolkit.repo")
    site.done("toolkit.package", "--set", "toolkit.version=1.19.1")
    wrong = '{"debug": true, "log-opts": "10m"}'
    site.host.write(DAEMON, wrong)
    done = site.run("toolkit.configure")
    assert (done.code, site.host.read(DAEMON)) == (1, wrong)
    assert "Docker would not take it" in done.err
    assert "log-opts" in done.err
    site.host.write(DAEMON, THEIRS)


def test_a_reload_that_fails_is_undone(site: Site) -> None:
    """The runtime does not appear: the former daemon.json comes back by itself, and the error says so."""
    site.override("ExecReload=\nExecReload=/bin/false")
    done = site.run("toolkit.install")
    assert done.code == 1
    assert "the former daemon.json is back" in done.err
    assert site.host.read(DAEMON) == THEIRS
    assert site.answers()
    site.override("")


def test_a_start_that_fails_is_undone(site: Site) -> None:
    """Docker does not come back from a restart: the former daemon.json comes back, and Docker with it."""
    refuse = f"ExecStartPre=/bin/sh -c '! grep -q nvidia {DAEMON}'"
    site.override(refuse)
    done = site.run("toolkit.install", "--set", "gpu.mode=gpus")
    assert done.code == 1, done.out
    assert "Docker did not come back" in done.err
    assert "Docker runs with it" in done.err
    assert site.host.read(DAEMON) == THEIRS
    assert site.answers()
    site.override("")


def test_a_restart_asks_before_it_stops_containers(site: Site) -> None:
    """Named and refused; with live-restore they run on, and a second run does not start Docker again."""
    site.done("toolkit.uninstall")
    site.host.run_container("other")
    before = site.started("other")
    done = site.run("toolkit.install", "--set", "gpu.mode=gpus", "--set", "toolkit.version=1.19.1")
    assert done.code == 1
    assert "would stop other" in done.err
    assert site.started("other") == before
    alive = json.dumps({**json.loads(site.host.read(DAEMON)), "live-restore": True})
    site.host.write(DAEMON, alive)
    site.host.sh("systemctl reload docker")
    until(lambda: "true" in site.host.sh("docker info -f '{{.LiveRestoreEnabled}}'"))
    assert "restart Docker" in site.done("toolkit.install", "--set", "gpu.mode=gpus")
    assert site.started("other") == before
    assert "nothing to change" in site.done("toolkit.install", "--set", "gpu.mode=gpus")


def test_five_runs_change_nothing(site: Site) -> None:
    """After the first, every run of all steps says so, and leaves every byte where it is."""
    site.done("toolkit.install")
    before = site.host.sh(STATE + "; find /var/lib/gpudock/toolkit | sort")
    for _ in range(5):
        assert "nothing to change" in site.done("toolkit.install")
    assert site.host.sh(STATE + "; find /var/lib/gpudock/toolkit | sort") == before


def test_an_upgrade_names_containers_that_lost_their_gpus(site: Site) -> None:
    """Who saw GPUs before is asked again: code 4, the name, and the command that brings them back."""
    site.host.sh(GPU_IMAGE)
    site.host.write("/etc/apt/apt.conf.d/99lose", 'DPkg::Post-Invoke {"docker cp /lost train:/bin/nvidia-smi";};\n')
    site.host.sh("printf '#!/bin/sh\\nexit 9\\n' >/lost; chmod 755 /lost")
    done = site.run("toolkit.upgrade")
    site.host.sh("rm /etc/apt/apt.conf.d/99lose")
    assert done.code == 4, done.out + done.err
    assert "docker restart train" in done.err
    assert "1.20.0-1" in site.host.sh("dpkg-query -W -f '${Version}' nvidia-container-toolkit")
    site.host.sh("docker rm -f train")
    assert "nothing to change" in site.done("toolkit.upgrade")


def test_a_backup_is_listed_and_brought_back(site: Site) -> None:
    """The list has time and reason; a backup put back is the file of then, and the one it replaced is a backup too."""
    now = site.host.read(DAEMON)
    rows = [json.loads(line) for line in site.done("toolkit.restore", "--json").splitlines()]
    kept = rows[0]["facts"]["backups"]
    assert {item["before"] for item in kept} == {
        "add the nvidia runtime to daemon.json",
        "have Docker forget the nvidia runtime",
        "take the nvidia runtime out of daemon.json",
    }
    site.done("toolkit.restore", "--backup", kept[0]["name"])
    assert site.host.read(DAEMON) == THEIRS
    rows = [json.loads(line) for line in site.done("toolkit.restore", "--json").splitlines()]
    site.done("toolkit.restore", "--backup", rows[0]["facts"]["backups"][-1]["name"])
    assert site.host.read(DAEMON) == now
    assert site.run("toolkit.restore", "--backup", "yesterday").code == 2


@pytest.mark.parametrize("tool", ["mktemp", "cat", "sha256sum", "mkdir", "cp", "sync", "chmod", "mv"])
def test_a_shell_killed_anywhere_leaves_one_file_or_the_other(site: Site, tool: str) -> None:
    """Kill -9 at any program of the change: daemon.json is the former or the new one, whole."""
    place = f"/tmp/cut-{tool}"
    site.host.sh(
        f"mkdir -p {place}/bin && printf '#!/bin/sh\\nkill -9 $PPID\\n' >{place}/bin/{tool} && chmod 755 {place}/bin/{tool}"
    )
    site.host.write(f"{place}/daemon.json", THEIRS)
    site.host.write(f"{place}/change", REPLACE)
    digest = site.host.sh(f"sha256sum <{place}/daemon.json").split()[0]
    words = f"{place}/daemon.json {place}/state reason 3 {digest} 644 root:root dockerd"
    site.host.sh(f"cd {place}; printf '{{}}\\n' | PATH={place}/bin:$PATH sh -e change {words}; :", check=False)
    assert site.host.read(f"{place}/daemon.json") in (THEIRS, "{}\n")
    site.host.sh(f"printf '{{}}\\n' | sh -e {place}/change {words}")
    assert site.host.read(f"{place}/daemon.json") == "{}\n"
    assert site.host.sh(f"cat {place}/state/backups/*/daemon.json | tail -n 1").startswith('{"debug"')
    assert "gpudock-" not in site.host.sh(f"ls {place}")
