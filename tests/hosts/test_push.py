"""image.push: one image from the host that built it to others, over their SSH connections, by the layers they lack."""

from __future__ import annotations

import json
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from gpudock.steps.build import INPUTS
from gpudock.steps.inputs import fingerprint
from tests.conftest import Completed, Fab, Hosts, Settle
from tests.engine import docker
from tests.golden.test_plans import DEBIAN
from tests.testbed import TestHost
from tests.waiting import until

NAME = "cuda_container_chatbot"
# Before a host's pulls: the connection breaks between the first stage and the second; it waits until it is let go.
CUTS = 'echo >>/run/pulls; [ "$(wc -l </run/pulls)" != 2 ] || pkill -KILL -f "[s]shd-session: ops"'
HOLDS = "touch /run/held; while [ -e /run/held ]; do sleep 0.1; done"
CLIENT = "/usr/local/bin/docker"  # before the host's own on its PATH
LAYER = "head -c {size} /dev/urandom >/var/tmp/push/{name}"


@pytest.fixture(scope="module")
def built(hosts: Hosts) -> TestHost:
    """The host that builds."""
    return hosts("trixie-docker")


@pytest.fixture(scope="module")
def first(hosts: Hosts) -> TestHost:
    """A host to send to."""
    return hosts("trixie-docker")


@pytest.fixture(scope="module")
def second(hosts: Hosts) -> TestHost:
    """Another host to send to."""
    return hosts("trixie-docker")


def build(host: TestHost, settle: Settle, sizes: dict[str, int], *overrides: str) -> None:
    """Make an image of layers of random bytes that bears the label of the real one; known layers stay as they are."""
    label = fingerprint(settle("image.groups=[notebook]", *overrides), DEBIAN_WITHOUT_GPU)
    host.sh(
        "mkdir -p /var/tmp/push; docker image inspect empty >/dev/null 2>&1 || tar -c -T /dev/null | docker import - empty"
    )
    for name, size in sizes.items():
        host.sh(f"[ -e /var/tmp/push/{name} ] || {LAYER.format(size=size, name=name)}")
    copies = "\n".join(f"COPY {name} /{name}" for name in sizes)
    host.write("/var/tmp/push/Dockerfile", f"FROM empty\n{copies}\nLABEL {INPUTS}={label}\n")
    host.sh(f"docker build -q -t {NAME} /var/tmp/push")


DEBIAN_WITHOUT_GPU = replace(DEBIAN, driver="")


def identity(host: TestHost) -> str:
    """The image's id on a host, by its name."""
    return host.sh(f"docker image inspect -f '{{{{.Id}}}}' {NAME}", check=False).strip()


def left_over(host: TestHost) -> str:
    """Names of the way, registries that run, and ports that lead elsewhere: all that should be gone after a push."""
    return host.sh(
        "docker image ls --digests --format '{{.Repository}} {{.Digest}}' | grep 127.0.0.1; pgrep -x docker-registry;"
        "ss -Hltnp | grep -w 127.0.0.1 | grep -v containerd; :"
    )


def before_pulls(host: TestHost, script: str) -> None:
    """Have a host's docker client run a shell text before each pull."""
    host.write(CLIENT, f'#!/bin/sh\nif [ "$1" = pull ]; then {script}; fi\nexec /usr/bin/docker "$@"\n')
    host.sh(f"chmod 755 {CLIENT}")


def targets(built: TestHost, *others: TestHost) -> dict[str, tuple[TestHost, str]]:
    """The build host and others by name."""
    return {"gpu00": (built, "ops"), **{f"gpu0{n}": (host, "ops") for n, host in enumerate(others, start=1)}}


def sent(done: Completed, host: str) -> int:
    """How many bytes a push brought to a host, by its JSON."""
    rows = [row for row in map(json.loads, done.out.splitlines()) if row.get("host") == host]
    return sum(action["bytes"] for action in rows[0]["actions"])


def test_one_image_reaches_all_hosts_at_once(
    built: TestHost, first: TestHost, second: TestHost, fab: Fab, settle: Settle
) -> None:
    """Both hosts get the very image, under its name and label, and nothing of the way is left on any of them."""
    build(built, settle, {"base": 20_000_000, "packages": 30_000_000, "code": 1_000})
    done = fab(targets(built, first, second), "image.push", "--from", "gpu00", "--json")
    assert done.code == 0, done.out + done.err
    rows = {row["host"]: row["status"] for row in map(json.loads, done.out.splitlines()) if "host" in row}
    assert rows == {"gpu00": "ok", "gpu01": "changed", "gpu02": "changed"}
    assert identity(built) == identity(first) == identity(second) != ""
    until(lambda: [left_over(host) for host in (built, first, second)] == ["", "", ""])
    assert "nothing to change" in fab(targets(built, first, second), "image.build").out


def test_a_small_change_sends_a_small_layer(
    built: TestHost, first: TestHost, second: TestHost, fab: Fab, settle: Settle
) -> None:
    """With one layer more, only that layer travels; the former image is kept for image.rollback."""
    former = identity(first)
    change = "image.environment=changed"
    build(built, settle, {"base": 0, "packages": 0, "code": 0, "more": 500_000}, change)
    done = fab(targets(built, first, second), "image.push", "--from", "gpu00", "--json", "--set", change)
    assert done.code == 0, done.out + done.err
    assert 500_000 < sent(done, "gpu01") < 1_000_000
    assert former == first.sh(f"docker image inspect -f '{{{{.Id}}}}' {NAME}:previous").strip()
    assert identity(built) == identity(first) == identity(second)


def test_an_image_of_other_inputs_is_refused(built: TestHost, first: TestHost, fab: Fab) -> None:
    """What was built from something else does not replace what is there: it would be built anew at once."""
    before = identity(first)
    overrides = ["--set", "image.build_host=gpu00", "--set", "image.environment=unbuilt"]
    done = fab({"gpu01": (first, "ops"), "gpu00": (built, "ops")}, "image.push", *overrides)
    assert done.code == 1
    assert re.search(r"`\S+/fab -S \S+ -H gpu00 image\.build` first", done.err), done.err  # as it can be typed here
    assert identity(first) == before
    until(lambda: left_over(built) == "")


def test_setup_fetches_where_the_settings_say_so(first: TestHost, fab: Fab) -> None:
    """With image.source: push the chain leaves the build out and has the fetch in its place."""
    overrides = ("image.source=push", "image.build_host=gpu00", "image.environment=unbuilt")
    done = fab({"gpu01": (first, "ops")}, "plan", *(word for override in overrides for word in ("--set", override)))
    assert done.code == 0, done.err
    assert "gpu01 image.build: skipped, image.source is push" in done.out
    assert f"gpu01 image.push: would fetch {NAME} from gpu00" in done.out


def test_an_sshd_that_forbids_forwarding_is_named(
    built: TestHost, first: TestHost, second: TestHost, fab: Fab, settle: Settle
) -> None:
    """One host's sshd lets nothing lead back: its error says what to allow, the other host is served."""
    build(built, settle, {"base": 0, "packages": 0, "forbidden": 1_000}, "image.environment=forbidden")
    first.sh("echo 'AllowTcpForwarding no' >/etc/ssh/sshd_config.d/00-test.conf; systemctl reload ssh")
    done = fab(targets(built, first, second), "image.push", "--from", "gpu00", "--set", "image.environment=forbidden")
    first.sh("rm /etc/ssh/sshd_config.d/00-test.conf; systemctl reload ssh")
    assert done.code == 1
    assert "AllowTcpForwarding yes" in done.err
    assert (identity(first) == identity(built), identity(second) == identity(built)) == (False, True)


def test_without_the_registrys_package_it_says_what_to_install(built: TestHost, first: TestHost, fab: Fab) -> None:
    """No such program, and apt has none either: the error names the package and the machine it belongs on."""
    built.sh("mv /etc/apt/sources.list /etc/apt/aside; mv /var/lib/gpudock/registry/program /tmp/program")
    built.sh("mv /var/lib/apt/lists /var/lib/apt/aside")
    try:
        words = ["image.push", "--from", "gpu00", "--set", "image.environment=forbidden"]
        done = fab({"gpu01": (first, "ops"), "gpu00": (built, "ops")}, *words)
    finally:
        built.sh("mv /etc/apt/aside /etc/apt/sources.list; mv /tmp/program /var/lib/gpudock/registry/program")
        built.sh("rm -rf /var/lib/apt/lists; mv /var/lib/apt/aside /var/lib/apt/lists")
    assert done.code == 1
    assert "Put the distribution's package docker-registry on gpu00" in done.err
    until(lambda: left_over(built) == "")


def test_a_push_that_broke_off_goes_on_where_it_was(
    built: TestHost, first: TestHost, second: TestHost, fab: Fab, settle: Settle
) -> None:
    """The connection to one host dies between two layers: the other finishes, and the next run sends only the rest."""
    words = ["image.push", "--from", "gpu00", "--json", "--set", "image.environment=broken"]
    words += ["--set", "image.push_stage=1"]
    build(built, settle, {"one": 20_000_000, "two": 50_000_000, "three": 1_000}, "image.environment=broken")
    before_pulls(first, CUTS)
    done = fab(targets(built, first, second), *words)
    first.sh(f"rm {CLIENT} /run/pulls")
    assert done.code == 3, done.out + done.err
    assert "the connection is gone" in done.out
    assert (identity(first) == identity(built), identity(second) == identity(built)) == (False, True)
    again = fab(targets(built, first, second), *words, "--wait")  # for what the first one may have left running
    assert again.code == 0, again.out + again.err
    assert identity(first) == identity(built)
    assert 50_000_000 < sent(again, "gpu01") < 55_000_000
    until(lambda: [left_over(host) for host in (built, first, second)] == ["", "", ""])
    assert first.sh("docker image ls -q --filter dangling=true") == ""  # of images that were replaced twice


def test_a_full_disk_and_a_missing_engine_stop_nobody_else(
    built: TestHost, first: TestHost, second: TestHost, hosts: Hosts, fab: Fab, settle: Settle
) -> None:
    """One host's disk is full, another has no engine: each says so, the third gets the image; mended, a rerun does."""
    bare = hosts("trixie")
    words = ["image.push", "--from", "gpu00", "--set", "image.environment=full"]
    build(built, settle, {"full": 60_000_000}, "image.environment=full")
    second.sh(
        "systemctl stop docker.socket docker; mount -t tmpfs -o size=40m tmpfs /var/lib/docker; systemctl start docker"
    )
    done = fab(targets(built, first, second, bare), *words)
    assert done.code == 1
    assert identity(first) == identity(built)
    assert "gpu02 image.push: failed. Could not fetch" in done.err
    assert "The disk is full" in done.err
    assert "gpu03 image.push: failed. No Docker engine answers on this host. Run engine.install first" in done.err
    second.sh("systemctl stop docker.socket docker; umount -l /var/lib/docker; systemctl start docker")
    assert fab(targets(built, second), *words).code == 0
    assert identity(second) == identity(built)


def test_two_operators_push_at_once_and_one_is_killed(
    built: TestHost, first: TestHost, second: TestHost, fab: Fab, settle: Settle
) -> None:
    """A push that is killed with -9 leaves no registry running, and one that runs beside it is not disturbed."""
    build(built, settle, {"twice": 60_000_000}, "image.environment=twice")
    words = ["image.push", "--from", "gpu00", "--set", "image.environment=twice"]
    before_pulls(second, HOLDS)
    killed = fab.start(targets(built, second), *words)
    until(lambda: second.sh("ls /run/held 2>/dev/null; :"))
    assert built.sh("pgrep -x docker-registry")
    other = Thread(target=lambda: results.append(fab(targets(built, first), *words)))
    results: list[Completed] = []
    other.start()
    killed.kill()
    killed.communicate()
    other.join()
    second.sh(f"rm {CLIENT} /run/held")
    assert results[0].code == 0, results[0].err
    assert identity(first) == identity(built)
    until(lambda: not built.sh("pgrep -x docker-registry; :"))


def test_the_operators_own_engine_sends_too(first: TestHost, fab: Fab, settle: Settle, tmp_path: Path) -> None:
    """Without a build host the image comes from this machine, whose engine is an older one (20.10 on Debian 12)."""
    name = f"gpudock-test/push-{os.getpid()}"
    label = fingerprint(settle("image.groups=[notebook]"), DEBIAN_WITHOUT_GPU)
    with tarfile.open(tmp_path / "layer.tar", "w") as layer:
        layer.add(__file__, arcname="file")
    docker("import", "--change", f"LABEL {INPUTS}={label}", str(tmp_path / "layer.tar"), name)
    try:
        environ = {"GPUDOCK_HOST__STATE": str(tmp_path / "state")}
        done = fab({"gpu01": (first, "root")}, "image.push", "--set", f"image.name={name}", environ=environ)
        assert done.code == 0, done.out + done.err
        ids = docker("image", "inspect", "-f", "{{.Id}}", name)
        assert first.sh(f"docker image inspect -f '{{{{.Id}}}}' {name}") == ids
        assert "127.0.0.1" not in docker("image", "inspect", "-f", "{{.RepoTags}} {{.RepoDigests}}", name)
    finally:
        docker("image", "rm", name)
