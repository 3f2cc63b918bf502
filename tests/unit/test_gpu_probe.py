"""The program that gpu.check runs in a container, with stand-ins for nvidia-smi and torch, and what its report means."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpudock.steps.gpu import PROBE
from gpudock.steps.gpu.verdict import problems, table

SMI = """#!/bin/sh
case "$*" in
*--query-gpu=*) printf '0, NVIDIA H100, GPU-a, 81559 MiB, 580.95.05\\n1, NVIDIA H100, GPU-b, 81559 MiB, 580.95.05\\n' ;;
*) echo '| NVIDIA-SMI 580.95.05   Driver Version: 580.95.05   CUDA Version: 13.0  |' ;;
esac
"""

# As much of torch as the probe uses; the second GPU multiplies wrongly where WRONG is set.
TORCH = """import os, types
__version__ = '2.9.0'
version = types.SimpleNamespace(cuda='13.0')
class Tensor:
    def __init__(self, place): self.place = place
    def to(self, place): return Tensor(place)
    def cpu(self): return self
    def __matmul__(self, other): return Tensor(self.place)
def rand(*size): return Tensor('cpu')
def manual_seed(seed): pass
def allclose(one, other, rtol): return not (os.environ.get('WRONG') and one.place == 'cuda:1')
def init(): raise RuntimeError('The NVIDIA driver on your system is too old')
cuda = types.SimpleNamespace(is_available=lambda: not os.environ.get('OLD'), device_count=lambda: 2, init=init,
    synchronize=lambda index: None, can_device_access_peer=lambda one, other: True)
"""


def probed(place: Path, environment: Mapping[str, str] | None = None, *, torch: bool = True) -> dict[str, Any]:
    """Run the probe as it is run in a container: by standard input."""
    (place / "nvidia-smi").write_text(SMI)
    (place / "nvidia-smi").chmod(0o755)
    (place / "torch.py").write_text(TORCH if torch else "raise ImportError")
    done = subprocess.run(
        [sys.executable, "-"], input=PROBE.read_text(), capture_output=True, text=True, check=True,
        env={"PATH": f"{place}:/usr/bin:/bin", "PYTHONPATH": str(place), **(environment or {})},
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_host_that_works_has_no_problems(tmp_path: Path) -> None:
    """Devices, driver, CUDA, a product on each GPU, peers, shared memory, time: all there, and in the table."""
    report = probed(tmp_path)
    assert [device["uuid"] for device in report["devices"]] == ["GPU-a", "GPU-b"]
    assert report["cuda"] == "13.0"
    assert [item["right"] for item in report["torch"]["devices"]] == [True, True]
    assert report["torch"]["peers"] == [[0, 1, True], [1, 0, True]]
    assert report["shm"] > 0
    assert problems(report, 2) == []
    for word in (
        "NVIDIA H100",
        "81559 MiB",
        "580.95.05",
        "2.9.0, built for CUDA 13.0",
        "every GPU reaches every other",
    ):
        assert word in table(report)


def test_an_image_without_torch_is_proved_by_its_devices(tmp_path: Path) -> None:
    """What is not there is said and is no problem."""
    report = probed(tmp_path, torch=False)
    assert report["torch"] is None
    assert problems(report, 2) == []
    assert "not in the image" in table(report)


@pytest.mark.parametrize(
    ("environment", "expected", "said"),
    [
        ({}, 8, "sees 2 of the host's 8 GPUs"),
        ({"WRONG": "1"}, 2, "GPU 1 does not compute: its result is wrong"),
        ({"OLD": "1"}, 2, "torch 2.9.0 is built for CUDA 13.0, the driver runs up to 13.0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, environment: dict[str, str], expected: int, said: str) -> None:
    """Missing GPUs, a wrong result, a torch that the driver is too old for."""
    assert said in "; ".join(problems(probed(tmp_path, environment), expected))


def test_a_container_without_gpus_is_told_first() -> None:
    """Nothing else matters then."""
    report: dict[str, Any] = {"devices": [], "cuda": "", "torch": None, "shm": 0, "seconds": 0.1}
    assert problems(report, 1) == ["the container sees no GPU"]
