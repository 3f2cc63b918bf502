"""The image's build on a host: what it leaves, what goes wrong, and conda in place of a virtual environment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpudock.config import OWN, ROOT
from gpudock.steps.build import KEEP
from tests import testbed
from tests.conftest import Completed, Hosts, program
from tests.hosts import miniforge
from tests.hosts.groups import entry, lock
from tests.testbed import TestHost
from tests.waiting import until

IMAGE = "cuda_container_chatbot"


@pytest.fixture(scope="module")
def clone(checkout: Path) -> Path:
    """A checkout whose group `tiny` can be changed."""
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    lock(checkout, "pip", "six")
    return checkout


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A server whose engine has a small disk of its own, and a base image."""
    made = hosts("trixie-docker")
    made.sh("systemctl stop docker.socket docker && mount -t tmpfs -o size=2500m tmpfs /var/lib/docker")
    made.sh("systemctl start docker")
    made.load(testbed.image("fresh"), "gpudock/base:bookworm")
    return made


@pytest.fixture
def build(clone: Path, host: TestHost, tmp_path: Path) -> Callable[..., Completed]:
    """Return a function that runs image.build with overrides."""

    def run(*overrides: str) -> Completed:
        config = testbed.ssh_config(tmp_path / "config", [("gpu01", host, "root")])
        given = [word for override in ("image.groups=[tiny]", *overrides) for word in ("--set", override)]
        argv = [str(clone / "fab"), "-S", str(config), "-H", "gpu01", "image.build", *given]
        return program(argv, cwd=clone)

    return run


def image(host: TestHost) -> dict[str, Any]:
    """What the engine knows of the image."""
    found: list[dict[str, Any]] = json.loads(host.sh(f"docker image inspect {IMAGE}"))
    return found[0]


def dangling(host: TestHost) -> list[str]:
    """The images without a name."""
    return host.sh("docker image ls -q --no-trunc --filter dangling=true").split()


def test_a_build_leaves_an_image_that_says_what_it_is(build: Callable[..., Completed], host: TestHost) -> None:
    """Labels tell time, base and lock; a second run builds nothing."""
    done = build()
    assert done.code == 0, done.out + done.err
    labels = image(host)["Config"]["Labels"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])
    assert labels["org.opencontainers.image.base.name"] == "debian:12-slim"
    assert labels["org.opencontainers.image.base.digest"].startswith("sha256:")
    assert re.fullmatch(r"[0-9a-f]{64}", labels["gpudock.lock"])
    before = image(host)["Id"]
    assert "nothing to change" in build().out
    assert image(host)["Id"] == before


def test_a_changed_package_list_builds_one_layer_anew(
    build: Callable[..., Completed], host: TestHost, clone: Path
) -> None:
    """What lies before the packages' layer is the former image's; behind it there are only small layers."""
    before = image(host)["RootFS"]["Layers"]
    lock(clone, "pip", "six", "idna")
    done = build()
    assert done.code == 0, done.out + done.err
    after = image(host)["RootFS"]["Layers"]
    packages = 3  # behind base, system and environment
    assert after[:packages] == before[:packages]
    assert after[packages] != before[packages]
    said = host.sh(f"docker history --no-trunc --human=false --format '{{{{.Size}}}} {{{{.CreatedBy}}}}' {IMAGE}")
    behind = said[: said.index("sh /build/packages")].splitlines()[:-1]
    assert behind
    assert all(int(line.split()[0]) < 1_000_000 for line in behind)
    assert host.sh(f"docker run --rm --entrypoint python {IMAGE} -c 'import six, idna; print(1)'") == "1\n"


def test_a_changed_group_leaves_the_layers_of_those_before_it(
    build: Callable[..., Completed], host: TestHost, clone: Path
) -> None:
    """One package more in `app`: the layer of `notebook` is the former image's, that of `app` is new."""
    lock(clone, "pip", "six", group="notebook")
    lock(clone, "six", "idna", group="app")
    assert build("image.groups=[notebook,app]").code == 0
    before = image(host)["RootFS"]["Layers"]
    lock(clone, "six", "idna", "tqdm", group="app")
    assert build("image.groups=[app,notebook]").code == 0
    after = image(host)["RootFS"]["Layers"]
    app = 4  # behind base, system, environment and notebook
    assert after[:app] == before[:app]
    assert after[app] != before[app]
    assert host.sh(f"docker run --rm --entrypoint python {IMAGE} -c 'import pip, six, tqdm; print(1)'") == "1\n"
    assert dangling(host) == []  # four builds, two images: the one and its former


def test_of_what_is_replaced_twice_only_what_is_used_stays(host: TestHost) -> None:
    """A former image goes when another becomes the former one, unless it has a name of the user's or a container."""
    ids = {n: host.sh(f"tar -c -T /dev/null | docker import -m {n} - replaced:{n}").strip() for n in range(4)}
    host.sh("docker tag replaced:0 theirs && docker create --name theirs replaced:1 true")
    for n in ids:
        keep = f"{KEEP}client=docker former=replaced:previous; keep replaced:{n}; docker image rm replaced:{n}"
        host.sh(keep)
    assert host.sh("docker image inspect -f '{{.Id}}' theirs replaced:previous").split() == [ids[0], ids[3]]
    assert dangling(host) == [ids[1]]
    host.sh("docker rm theirs && docker image rm theirs replaced:previous " + ids[1])


def test_what_the_builder_has_thrown_away_is_fetched_again(
    build: Callable[..., Completed], host: TestHost, clone: Path
) -> None:
    """BuildKit may clear its caches while it still knows the step that filled them: the build sees to it by itself."""
    before = image(host)["Id"]
    path = clone / "docker/build/install"
    path.write_text(f"{path.read_text()}# changed\n")
    host.sh("docker builder prune -af --filter type=exec.cachemount")
    done = build("image.groups=[notebook,app]")
    assert done.code == 0, done.out + done.err
    assert image(host)["Id"] != before
    assert host.sh(f"docker run --rm --entrypoint python {IMAGE} -c 'import pip, six, tqdm; print(1)'") == "1\n"
    log = max((OWN / "logs").glob("*/gpu01.log"), key=lambda found: found.stat().st_mtime)
    assert "gone from the builder's cache" in log.read_text()


def test_a_lock_that_bends_another_ends_the_build(build: Callable[..., Completed], host: TestHost, clone: Path) -> None:
    """Locks that do not agree are told so, though each is installed in a layer of its own."""
    before = image(host)["Id"]
    path = clone / "docker/requirements/app.txt"
    path.write_text(path.read_text().replace(entry("six").split()[0], "six==1.16.0"))
    expect_failure(build("image.groups=[notebook,app]"), host, before, "Could not build the image", "six==1.16.0")
    lock(clone, "pip", "six", "idna")
    assert build().code == 0


def expect_failure(done: Completed, host: TestHost, before: str, *said: str) -> None:
    """The build failed with one paragraph that says this, and the last good image is as it was."""
    assert done.code == 1, done.out + done.err
    for text in said:
        assert text in done.err, done.err
    assert "Traceback" not in done.err
    assert image(host)["Id"] == before
    assert not host.sh("ls -d /var/lib/gpudock/build/secrets 2>/dev/null; :")


def test_a_wrong_hash_ends_the_build(build: Callable[..., Completed], host: TestHost, clone: Path) -> None:
    """A file that is not the one the lock knows is not installed; the lock mended, the next build is as before."""
    before = image(host)["Id"]
    path = clone / "docker/requirements/tiny.txt"
    path.write_text(re.sub(r"(tqdm==.*?sha256:).*", rf"\g<1>{'0' * 64}", entry("tqdm"), flags=re.DOTALL) + "\n")
    (clone / "docker/requirements/tiny.in").write_text("tqdm\n")
    expect_failure(build(), host, before, "Could not build the image", "Hash mismatch", "not what it should be")
    lock(clone, "pip", "six", "idna")
    assert "nothing to change" in build().out


def test_no_network_ends_the_build(build: Callable[..., Completed], host: TestHost, clone: Path) -> None:
    """What needs the network says so, with the next move."""
    before = image(host)["Id"]
    lock(clone, "pip", "six", "idna", "tqdm")
    host.sh("iptables -I FORWARD -j REJECT")
    try:
        expect_failure(build(), host, before, "Could not build the image", "mirror")
    finally:
        host.sh("iptables -D FORWARD -j REJECT")


def test_a_missing_mirror_ends_the_build_without_telling_its_password(
    build: Callable[..., Completed], host: TestHost
) -> None:
    """A mirror that does not answer is told, its password is not."""
    done = build("mirrors.pypi=http://me:geheim@127.0.0.1:9/simple")
    expect_failure(done, host, image(host)["Id"], "Could not build the image", "mirror")
    assert "geheim" not in done.out + done.err


def test_a_full_disk_ends_the_build(build: Callable[..., Completed], host: TestHost) -> None:
    """The engine's disk is full: said so, and after making room the same command works."""
    before = image(host)["Id"]
    host.sh("dd if=/dev/zero of=/var/lib/docker/full bs=1M 2>/dev/null; truncate -s -400K /var/lib/docker/full")
    expect_failure(build(), host, before, "disk is full")
    host.sh("rm /var/lib/docker/full")
    done = build()
    assert done.code == 0, done.out + done.err
    assert image(host)["Id"] != before


@pytest.fixture(scope="module")
def mirror(host: TestHost) -> str:
    """Where builds on the host get the stand-in for Miniforge; the address holds a password."""
    return miniforge.serve(host).replace("://", "://me:geheim@")


def test_another_installer_than_the_pinned_one_is_not_run(
    build: Callable[..., Completed], host: TestHost, mirror: str
) -> None:
    """The SHA-256 of the settings decides."""
    done = build(*miniforge.settings("f" * 64, mirror))
    expect_failure(done, host, image(host)["Id"], "hash mismatch", "not what it should be")


def test_conda_makes_the_environment_and_uv_fills_it(
    build: Callable[..., Completed], host: TestHost, mirror: str
) -> None:
    """conda-forge alone; the environment is on PATH in every kind of shell, and its user's `pip install` stays."""
    done = build(*miniforge.settings(miniforge.DIGEST, mirror))
    assert done.code == 0, done.out + done.err
    seen = host.sh(f"docker history --no-trunc {IMAGE}; docker image inspect {IMAGE}")
    assert "geheim" not in done.out + done.err + seen
    host.sh(f"docker run -d --name conda -e GPUDOCK_USER=ops -e GPUDOCK_UID=1234 -e GPUDOCK_GID=1234 {IMAGE}")
    until(lambda: "ops" in host.sh("docker exec conda cat /run/gpudock/user", check=False))
    assert "nodefaults" in host.sh("docker exec conda cat /opt/conda/.condarc")
    assert "python=3.11" in host.sh("docker exec conda cat /opt/conda/asked")
    inside = "docker exec -u ops -e HOME=/home/ops conda"
    expected = "/opt/envs/chatbot/bin/python\n/opt/envs/chatbot/bin/pip\n"
    assert host.sh(f"{inside} which python pip") == expected
    assert host.sh(f"{inside} bash -lc 'which python pip'") == expected
    assert host.sh(f"{inside} bash -lc 'conda activate chatbot && which python pip'") == expected
    assert "CONDA_PREFIX=/opt/envs/chatbot" in host.sh("docker exec conda cat /etc/environment")
    assert host.sh(f"{inside} python -c 'import six, sys; print(sys.prefix, sys.prefix == sys.base_prefix)'") == (
        "/opt/envs/chatbot True\n"
    )
    host.sh("docker cp -L /etc/ssl/certs/ca-certificates.crt conda:/tmp/ca.crt")
    host.sh(f"{inside} pip install -q --cert /tmp/ca.crt --no-deps colorama==0.4.6")
    host.sh("docker restart -t 2 conda")
    assert host.sh(f"{inside} python -c 'import colorama; print(1)'") == "1\n"
