"""What runs inside the container: which GPUs it sees, whether they compute, as one line of JSON. Python 3.8 and newer.

It comes to `python -` on standard input, so the image needs nothing of gpudock.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from typing import Any

SIZE = 1024  # of the matrices: some milliseconds on a GPU, 3 · 4 MiB of its memory
FIELDS = ("index", "name", "uuid", "memory.total", "driver_version")


def devices() -> list[dict[str, str]]:
    """What nvidia-smi shows, a row a GPU; none where it cannot."""
    rows = said("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader").splitlines()
    cells = [[cell.strip() for cell in row.split(",")] for row in rows]
    return [dict(zip(FIELDS, row)) for row in cells if len(row) == len(FIELDS)]  # noqa: B905 - Python 3.8


def driver_cuda() -> str:
    """The newest CUDA that the driver runs."""
    found = re.search(r"CUDA Version:\s*([0-9.]+)", said("nvidia-smi"))
    return found.group(1) if found else ""


def said(*argv: str) -> str:
    """What a program prints; nothing where it fails."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def computed() -> dict[str, Any] | None:
    """A matrix product on each GPU, checked against the CPU's; None where there is no torch."""
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    report: dict[str, Any] = {"version": torch.__version__, "cuda": torch.version.cuda, "devices": [], "peers": []}
    if not torch.cuda.is_available():
        return {**report, "error": why_unavailable(torch)}
    count = torch.cuda.device_count()
    report["devices"] = [product(torch, index) for index in range(count)]
    report["peers"] = [
        [one, other, bool(torch.cuda.can_device_access_peer(one, other))]
        for one in range(count)
        for other in range(count)
        if one != other
    ]
    return report


def why_unavailable(torch: Any) -> str:
    """The error that torch keeps to itself when it is asked whether CUDA is available."""
    try:
        torch.cuda.init()
    except Exception as error:
        return str(error).splitlines()[0]
    return "torch sees no GPU"


def product(torch: Any, index: int) -> dict[str, Any]:
    """Multiply on one GPU, twice: the first time loads its libraries. Seconds are of the second."""
    try:
        torch.manual_seed(1)
        left, right = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE)
        one, other = left.to(f"cuda:{index}"), right.to(f"cuda:{index}")
        for _ in range(2):
            torch.cuda.synchronize(index)
            started = time.perf_counter()
            result = one @ other
            torch.cuda.synchronize(index)
            seconds = time.perf_counter() - started
        right_result = bool(torch.allclose(result.cpu(), left @ right, rtol=1e-2))
    except Exception as error:
        return {"index": index, "right": False, "error": str(error).splitlines()[0]}
    return {"index": index, "right": right_result, "seconds": round(seconds, 6)}


def shared_memory() -> int:
    """The size of /dev/shm in bytes, 0 where there is none."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - its size is what is asked
    except OSError:
        return 0
    return found.f_frsize * found.f_blocks


def report() -> dict[str, Any]:
    """All of it, and how long it took, in seconds."""
    started = time.perf_counter()
    found = {"devices": devices(), "cuda": driver_cuda(), "shm": shared_memory(), "torch": computed()}
    return {**found, "seconds": round(time.perf_counter() - started, 3)}


if __name__ == "__main__":
    print(json.dumps(report()))
