"""gpu.check and CDI on a real engine, with the stand-in runtime that gives containers nvidia-smi as the real one does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import Completed, Fab, Hosts
from tests.hosts.nvidia import Repository, plug_in_gpu
from tests.images import TOOLS
from tests.testbed import TestHost

IMAGE = ("--set", "image.name=small")

# An image with no more than a shell, what the stand-in nvidia-smi runs, and a Python.
SMALL = """mkdir -p /tmp/small/bin /tmp/small/usr/lib; cp /bin/sh /bin/sed /usr/bin/tr /usr/bin/python3 /tmp/small/bin
cp -r "$(python3 -c 'import os; print(os.path.dirname(os.__file__))')" /tmp/small/usr/lib
for program in sh sed tr python3; do ldd /tmp/small/bin/$program | grep -o '/lib[^ ]*' | xargs -I{} cp --parents {} /tmp/small
done; tar -C /tmp/small -c . | docker import -c 'ENV PATH=/usr/bin:/bin' - small; rm -rf /tmp/small"""


@pytest.fixture(scope="module")
def gpu_host(hosts: Hosts) -> TestHost:
    """A host with two GPUs, as far as a container can have them."""
    host = hosts("trixie-docker")
    plug_in_gpu(host, count=2)
    host.sh("apt-get install -y --no-install-recommends python3")
    host.sh(SMALL)
    return host


@pytest.fixture
def on(gpu_host: TestHost, fab: Fab, repository: Repository) -> Callable[..., Completed]:
    """Run gpudock on the host."""
    return lambda *words: fab({"gpu01": (gpu_host, "ops")}, *words, *IMAGE, *repository.overrides)


def test_the_check_reports_what_a_container_sees(gpu_host: TestHost, on: Callable[..., Completed]) -> None:
    """Both GPUs, driver and CUDA by the runtime; the shared memory asked for; as a table and as JSON."""
    assert on("toolkit.install").code == 0
    shown = on("gpu.check")
    assert shown.code == 0, shown.err
    for word in ("NVIDIA H100 80GB HBM3", "580.95.05", "the driver runs up to 13.0", "shm     16.0 GiB"):
        assert word in shown.out
    row = json.loads(on("gpu.check", "--json").out.splitlines()[0])
    assert [device["index"] for device in row["facts"]["devices"]] == ["0", "1"]
    assert (row["facts"]["expected"], row["facts"]["problems"]) == (2, [])
    assert "small" not in gpu_host.sh("docker ps -a --format '{{.Image}}'")


def test_the_proof_is_made_once(gpu_host: TestHost, on: Callable[..., Completed]) -> None:
    """A second run starts nothing; another driver is proved anew."""
    assert "start the image with the GPUs" in on("gpu.prove").out
    assert "nothing to change" in on("gpu.prove").out
    plug_in_gpu(gpu_host, count=2, driver="590.44.01")
    assert "start the image with the GPUs" in on("gpu.prove").out
    plug_in_gpu(gpu_host, count=2)


def test_a_proof_that_a_full_disk_does_not_take_is_told(gpu_host: TestHost, on: Callable[..., Completed]) -> None:
    """The GPUs compute, and what cannot be kept of it is said as that."""
    gpu_host.sh("mkdir -p /small; mount -t tmpfs -o size=64k small /small; dd if=/dev/zero of=/small/fill 2>&1; :")
    done = on("gpu.prove", "--set", "host.state=/small/gpudock")
    gpu_host.sh("umount /small")
    assert done.code == 1, done.out
    assert "Could not keep what was proved:" in done.err
    assert "The disk is full" in done.err


def test_an_image_that_does_not_start_ends_with_code_1(on: Callable[..., Completed]) -> None:
    """Docker is older than the toolkit and has no GPUs to give by --gpus: its own words, and the way out."""
    done = on("gpu.check", "--set", "gpu.mode=gpus")
    assert done.code == 1
    assert "could not select device driver" in done.err
    assert "toolkit.restart" in done.err


def test_cdi_is_set_up_and_kept_to_the_driver(gpu_host: TestHost, on: Callable[..., Completed]) -> None:
    """The feature beside others, a specification, and a restart before Docker 28.2; another driver, another one."""
    cdi = ("--set", "gpu.mode=cdi")
    gpu_host.write("/etc/docker/daemon.json", '{"features": {"buildkit": true}, "runtimes": {}}')
    done = on("toolkit.install", *cdi)
    assert done.code == 0, done.err
    assert ("restart Docker" in done.out) == (TOOLS == "trixie")
    assert json.loads(gpu_host.read("/etc/docker/daemon.json"))["features"] == {"buildkit": True, "cdi": True}
    assert on("gpu.check", *cdi).code == 0
    assert "nothing to change" in on("toolkit.install", *cdi).out
    plug_in_gpu(gpu_host, count=2, driver="590.44.01")
    assert "generate the CDI specification" in on("toolkit.configure", *cdi).out
    assert "590.44.01" in gpu_host.read("/etc/cdi/nvidia.yaml")


def test_gpus_that_are_not_seen_end_with_code_4(gpu_host: TestHost, on: Callable[..., Completed]) -> None:
    """By --gpus the stand-in's hook gives nothing, on a Docker that knows it: said so, and not taken for proved."""
    for task in ("gpu.check", "gpu.prove"):
        done = on(task, "--set", "gpu.mode=gpus")
        assert done.code == 4, done.out + done.err
        assert "the container sees no GPU" in done.err
