"""doctor on a real host: each fault is made, found by its id, undone, and then not found any more."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import Completed, Fab, Hosts
from tests.hosts.faults import BATCHES
from tests.hosts.nvidia import plug_in_gpu
from tests.testbed import TestHost

Found = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Looks:
    """What doctor found while a batch's faults were there, and after they were undone."""

    sick: Found
    well: Found


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A server with an engine and a stand-in driver."""
    made = hosts("trixie-docker")
    plug_in_gpu(made)
    return made


def doctor(fab: Fab, host: TestHost, *words: str) -> tuple[Completed, Found]:
    """Run doctor and return what it found, by rule."""
    done = fab({"gpu01": (host, "ops")}, "doctor", "--json", *words)
    rows = [json.loads(line) for line in done.out.splitlines()]
    facts = next(row["facts"] for row in reversed(rows) if "findings" in row.get("facts", {}))
    return done, {finding["id"]: finding for finding in facts["findings"]}


@pytest.fixture(scope="module")
def kept() -> dict[str, Looks]:
    """What was found of each batch so far: a batch is made once."""
    return {}


@pytest.fixture
def looks(host: TestHost, fab: Fab, kept: dict[str, Looks]) -> Callable[[str], Looks]:
    """Return a function that makes a batch's faults, looks, undoes them in turn and looks again."""

    def look(name: str) -> Looks:
        if name not in kept:
            batch = BATCHES[name]
            host.sh("\n".join([batch.before, *(fault.make for fault in batch.faults)]))
            sick = doctor(fab, host, *batch.settings)[1]
            host.sh("\n".join([batch.before, *(fault.undo or ":" for fault in reversed(batch.faults))]))
            well = doctor(fab, host, *batch.settings)[1]
            host.sh(f"{batch.after}\n:")
            kept[name] = Looks(sick, well)
        return kept[name]

    return look


@pytest.mark.parametrize(
    ("batch", "fault"), [(name, fault) for name, batch in BATCHES.items() for fault in batch.faults],
    ids=lambda value: value if isinstance(value, str) else value.rule,
)  # fmt: skip
def test_a_fault_is_found_and_its_absence_is_silent(looks: Callable[[str], Looks], batch: str, fault: Any) -> None:
    """Each fault is found by its id with its evidence and a fix; undone, the rule says nothing of it any more."""
    seen = looks(batch)
    assert fault.said in seen.sick[fault.rule]["seen"]
    assert seen.sick[fault.rule]["fix"].strip()
    assert fault.said not in seen.well.get(fault.rule, {}).get("seen", "")


def test_a_missing_engine_is_found(host: TestHost, fab: Fab) -> None:
    """No dockerd at all is told apart from one that does not answer; what depends on it is `cannot tell`, not fine."""
    host.sh("systemctl stop docker.socket docker; mv /usr/sbin/dockerd /usr/sbin/away")
    done = fab({"gpu01": (host, "ops")}, "doctor")
    host.sh("mv /usr/sbin/away /usr/sbin/dockerd; systemctl reset-failed docker; systemctl start docker")
    assert (done.code, "error  docker-missing" in done.out) == (4, True)
    assert " -H gpu01 engine.install" in done.out
    assert "cannot tell, as there is no Docker engine: " in done.out
    assert "docker-missing" in done.err


def test_a_required_gpu_is_missed(host: TestHost, fab: Fab) -> None:
    """gpu.use=required without a GPU is an error, and code 4; with one it is not."""
    assert "gpu-required" not in doctor(fab, host, "--set", "gpu.use=required")[1]
    host.sh("mv /usr/bin/nvidia-smi /usr/bin/away")
    done, found = doctor(fab, host, "--set", "gpu.use=required")
    host.sh("mv /usr/bin/away /usr/bin/nvidia-smi")
    assert (done.code, found["gpu-required"]["severity"]) == (4, "error")


def test_one_rule_is_explained(host: TestHost, fab: Fab) -> None:
    """--rule tells what a rule is about and what it says here; an unknown one is code 2 with the nearest."""
    done = fab({"gpu01": (host, "ops")}, "doctor", "--rule", "port-taken")
    assert (done.code, "already allocated" in done.out, "fine: 1 of 1 rules" in done.out) == (0, True, True)
    done = fab({"gpu01": (host, "ops")}, "doctor", "--rule", "port-token")
    assert (done.code, "Did you mean port-taken?" in done.err) == (2, True)
    done = fab({"gpu01": (host, "ops")}, "doctor", "port-taken")
    assert (done.code, "fine: 1 of 1 rules" in done.out) == (0, True)


# Docker is restarted first, as a reload takes no runtime away that an earlier test has left.
FIXABLE = """rm -f /etc/docker/daemon.json; systemctl reset-failed docker; systemctl restart docker; mkdir -p /etc/nvidia-container-runtime /etc/docker; cd /etc/apt/sources.list.d
printf '# kept\\n[nvidia-container-cli]\\n  no-cgroups = true\\nroot = "/"\\n' >/etc/nvidia-container-runtime/config.toml
for name in nvidia-container-toolkit nvidia-docker; do
  cp /etc/ssl/certs/ca-certificates.crt /usr/share/keyrings/$name.gpg; chmod 600 /usr/share/keyrings/$name.gpg
  echo "deb [signed-by=/usr/share/keyrings/$name.gpg] https://nvidia.github.io/libnvidia-container/stable/deb/\\$(ARCH) /" \\
    >$name.list; done
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-gen-key test default default never 2>/dev/null
for name in nvidia-container-toolkit nvidia-docker; do gpg --export >/usr/share/keyrings/$name.gpg; done
echo '{"runtimes": {"nvidia": {"path": "runc"}}, "debug": true}' >/etc/docker/daemon.json"""
STATE = (
    "cat /etc/apt/sources.list.d/*.list /etc/nvidia-container-runtime/config.toml; stat -c %a /usr/share/keyrings/*.gpg"
)


def test_fix_runs_what_is_safe_and_says_the_rest(host: TestHost, fab: Fab) -> None:
    """--dry-run shows and touches nothing; --fix mends what is safe, keeps a container running, and looks again."""
    host.sh(FIXABLE)
    host.sh(BATCHES["toolkit"].before + "package nvidia-container-toolkit 1.20.0-1")
    host.run_container("bystander")
    started = host.sh("docker inspect -f '{{.State.StartedAt}}' bystander")
    before = host.sh(STATE)
    shown = fab({"gpu01": (host, "ops")}, "doctor", "--fix", "--dry-run")
    assert host.sh(STATE) == before
    assert "would switch no-cgroups off" in shown.out
    assert "+  no-cgroups = false" in shown.out
    done = fab({"gpu01": (host, "ops")}, "doctor", "--fix")
    assert "safe to fix now:" in done.out, done.err
    left = doctor(fab, host)[1]
    assert not {"toolkit-no-cgroups", "apt-conflict", "apt-key", "docker-runtime"} & set(left)
    assert "nvidia" in host.sh("docker info -f '{{json .Runtimes}}'")
    assert host.read("/etc/nvidia-container-runtime/config.toml").startswith(
        "# kept\n[nvidia-container-cli]\n  no-cgroups = false\n"
    )
    assert host.sh("docker inspect -f '{{.State.StartedAt}}' bystander") == started
    assert "doctor.docker-runtime" in host.read("/var/log/gpudock/audit.jsonl")
    again = fab({"gpu01": (host, "ops")}, "doctor", "--fix").out
    assert ("nothing here can be fixed safely" in again, "after the fixes" in again) == (True, False)


FILES = """for file in /etc/apt/sources.list.d/*.list /etc/nvidia-container-runtime/config.toml /usr/share/keyrings/*.gpg \\
  /etc/sysctl.d/*gpudock* /proc/sys/fs/inotify/max_user_*; do [ ! -e $file ] || echo "$(stat -c '%n %a %U:%G' $file) $(sha256sum <$file)"
done"""


def test_a_fix_is_undone_to_the_byte(host: TestHost, fab: Fab) -> None:
    """Each file that a fix replaced has its bytes, owner and mode again; not one that somebody has changed since."""
    target = {"gpu01": (host, "ops")}
    host.sh(f"{FIXABLE}; rm -rf /var/lib/gpudock/doctor; chown ops:ops /etc/nvidia-container-runtime/config.toml")
    host.sh("chmod 640 /etc/nvidia-container-runtime/config.toml")
    assert "no fix has left anything to undo here" in fab(target, "doctor", "--undo").out
    before = host.sh(FILES)
    fab(target, "doctor", "--fix")
    left = host.sh(FILES)
    assert left != before
    rows = [json.loads(line) for line in fab(target, "doctor", "--undo", "--json").out.splitlines()]
    fixes = rows[0]["facts"]["fixes"]
    assert {fix["state"] for fix in fixes} == {"as the fix left it"}
    names = {fix["fix"].partition("Z-")[2]: fix["fix"] for fix in fixes}
    assert {"toolkit-no-cgroups", "apt-conflict", "apt-key"} <= set(names)
    host.sh("echo '# mine' >>/etc/nvidia-container-runtime/config.toml")
    refused = fab(target, "doctor", "--undo", names["toolkit-no-cgroups"])
    assert (refused.code, "config.toml has been changed since" in refused.err) == (1, True)
    assert "# mine" in host.read("/etc/nvidia-container-runtime/config.toml")
    assert "--yes" in refused.err
    for name in names.values():
        undone = fab(target, "doctor", "--undo", name, "--yes")
        assert undone.code == 0, undone.err
    assert host.sh(FILES) == before
    assert "nothing to change" in fab(target, "doctor", "--undo", names["apt-key"]).out
    assert fab(target, "doctor", "--undo", "yesterday").code == 2
    assert '"doctor.undo"' in host.read("/var/log/gpudock/audit.jsonl")


def test_a_half_installed_package_is_finished(host: TestHost, fab: Fab) -> None:
    """One that only another installation mends is told with that command; --fix leaves alone what may stop containers."""
    host.sh(BATCHES["toolkit"].before + "package half 1.0 --unpack; package containerd-half 1.0 --unpack")
    found = doctor(fab, host)[1]["packages-broken"]
    assert ("half" in found["seen"], found["fix"]) == (True, "dpkg --configure -a")
    fab({"gpu01": (host, "ops")}, "doctor", "--fix", "--rule", "packages-broken")
    assert "unpacked" in host.sh("dpkg-query -W -f '${db:Status-Status}\n' half")
    host.sh("dpkg --purge containerd-half; sed -i '/^Package: half$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' "
            "/var/lib/dpkg/status")  # fmt: skip
    assert doctor(fab, host)[1]["packages-broken"]["fix"].startswith("apt-get install --reinstall half && dpkg")
    host.sh("dpkg --purge --force-remove-reinstreq half; " + BATCHES["toolkit"].before + "package half 1.0 --unpack")
    fab({"gpu01": (host, "ops")}, "doctor", "--fix", "--rule", "packages-broken")
    assert "packages-broken" not in doctor(fab, host)[1]
    host.sh("dpkg --purge half")


def test_a_look_is_quick_and_touches_nothing(host: TestHost, fab: Fab) -> None:
    """Two hosts are looked at side by side, each for itself, in seconds; no lock is taken and nothing recorded.

    A look takes 0.6 s on an idle machine; the limit is for one that is busy with other tests.
    """
    before = host.sh("cat /var/log/gpudock/audit.jsonl; find /var/lib/gpudock /etc -newer /etc/hostname -type f | sort")
    done = fab({"gpu01": (host, "ops"), "gpu02": (host, "root")}, "doctor", "--json")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert {row["host"] for row in rows if "findings" in row.get("facts", {})} == {"gpu01", "gpu02"}
    assert rows[-1]["summary"]["seconds"] < 20
    after = host.sh("cat /var/log/gpudock/audit.jsonl; find /var/lib/gpudock /etc -newer /etc/hostname -type f | sort")
    assert after == before
