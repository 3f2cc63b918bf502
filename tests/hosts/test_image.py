"""The image's build on a host: what it leaves, what goes wrong, and conda in place of a virtual environment."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpudock.config import OWN, ROOT
from tests import testbed
from tests.conftest import Completed, Hosts, program
from tests.testbed import TestHost, until

IMAGE = "cuda_container_chatbot"
PACKAGES = ("pip", "six", "idna", "tqdm")

# A stand-in: what it makes is a Python of its own prefix, as conda's are, and no virtual environment.
MINIFORGE = r"""#!/bin/bash
[ "$1 $2" = "-b -p" ] || exit 1
mkdir -p "$3/bin" "$3/etc/profile.d" "$3/pkgs"
cat >"$3/bin/conda" <<'CONDA'
#!/bin/sh
[ "$1" = create ] || { echo "the stand-in knows no $1"; exit 1; }
echo "$*" >/opt/conda/asked
while [ "$1" != --prefix ]; do shift; done
version=${3#python=}
mkdir -p "$2/bin" "$2/lib" "$2/conda-meta"
cp "/usr/bin/python$version" "$2/bin/" && ln -s "python$version" "$2/bin/python"
cp -r "/usr/lib/python$version" "$2/lib/" && rm "$2/lib/python$version/EXTERNALLY-MANAGED"
cd "$2/lib/python$version" && mkdir site-packages && rm -f sitecustomize.py
sed -i 's#/local/#/#; s/dist-packages/site-packages/' sysconfig.py
echo "import site; site.addsitedir('$2/lib/python$version/site-packages')" >sitecustomize.py
CONDA
chmod +x "$3/bin/conda"
cat >"$3/etc/profile.d/conda.sh" <<'PROFILE'
conda() { [ "$1" != activate ] || export PATH="/opt/envs/$2/bin:$PATH" CONDA_DEFAULT_ENV="$2"; }
PROFILE
"""


def entry(name: str) -> str:
    """A package's lines in the lock of the notebooks."""
    lock = (ROOT / "docker/requirements/notebook.txt").read_text()
    found = re.search(rf"^{name}==.*(\n +--hash=\S+.*)+", lock, re.MULTILINE)
    assert found, name
    return found.group()


@pytest.fixture(scope="module")
def clone(checkout: Path) -> Path:
    """A checkout whose group `tiny` can be changed."""
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    lock(checkout, "pip", "six")
    return checkout


def lock(clone: Path, *names: str, group: str = "tiny") -> None:
    """Have a group hold these packages."""
    folder = clone / "docker/requirements"
    (folder / f"{group}.in").write_text("\n".join(names) + "\n")
    (folder / f"{group}.txt").write_text("\n".join(entry(name) for name in names) + "\n")


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> TestHost:
    """A server whose engine has a small disk of its own, and a base image."""
    made = hosts("trixie-docker")
    made.sh("systemctl stop docker.socket docker && mount -t tmpfs -o size=2500m tmpfs /var/lib/docker")
    made.sh("systemctl start docker")
    with subprocess.Popen([testbed.client(), "save", testbed.image("fresh")], stdout=subprocess.PIPE) as saved:
        subprocess.run([testbed.client(), "exec", "-i", made.name, "docker", "load"], stdin=saved.stdout, check=True)
    made.sh("docker tag $(docker image ls -q | head -n 1) gpudock/base:bookworm")
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
    packages = 4  # behind base, system, uv and environment
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
    app = 5  # behind base, system, uv, environment and notebook
    assert after[:app] == before[:app]
    assert after[app] != before[app]
    assert host.sh(f"docker run --rm --entrypoint python {IMAGE} -c 'import pip, six, tqdm; print(1)'") == "1\n"


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
    lock(clone, *PACKAGES)
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
    """Serve the stand-in for Miniforge's installer to builds on the host; its address, with a password."""
    for machine in ("x86_64", "aarch64"):
        host.write(f"/srv/miniforge/Miniforge3-1.2.3-4-Linux-{machine}.sh", MINIFORGE)
    host.sh("cd /srv/miniforge && setsid python3 -m http.server 8900 >/dev/null 2>&1 </dev/null &")
    until(lambda: ":8900" in host.sh("ss -Hltn"))
    address = host.sh("ip -4 -o address show docker0 | grep -oE '([0-9]+[.]){3}[0-9]+' | head -n 1").strip()
    return f"http://me:geheim@{address}:8900"


def conda(digest: str, mirror: str) -> tuple[str, ...]:
    """The settings of the conda path."""
    pinned = f"image.miniforge={{version: 1.2.3-4, x86_64: {digest}, aarch64: {digest}}}"
    return "image.env=conda", pinned, f"mirrors.miniforge={mirror}", f"mirrors.conda={mirror}"


def test_another_installer_than_the_pinned_one_is_not_run(
    build: Callable[..., Completed], host: TestHost, mirror: str
) -> None:
    """The SHA-256 of the settings decides."""
    done = build(*conda("f" * 64, mirror))
    expect_failure(done, host, image(host)["Id"], "hash mismatch", "not what it should be")


def test_conda_makes_the_environment_and_uv_fills_it(
    build: Callable[..., Completed], host: TestHost, mirror: str
) -> None:
    """conda-forge alone; the environment is on PATH in every kind of shell, and its user's `pip install` stays."""
    done = build(*conda(hashlib.sha256(MINIFORGE.encode()).hexdigest(), mirror))
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
