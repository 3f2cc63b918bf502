"""What the probe's report means: what is wrong with it, in words, and the table people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpudock.report import columns

Report = Mapping[str, Any]


def problems(report: Report, expected: int) -> list[str]:
    """Why containers cannot use all GPUs of the host, most important first; none where they can."""
    seen = len(report["devices"])
    if not seen:
        return ["the container sees no GPU"]
    found = [] if seen >= expected else [f"the container sees {seen} of the host's {expected} GPUs"]
    return found + _torch_problems(report["torch"], seen, report["cuda"])


def table(report: Report) -> str:
    """The report for people."""
    return "\n".join([columns(_devices(report)), *_lines(report)])


def _torch_problems(torch: Report | None, seen: int, cuda: str) -> list[str]:
    if torch is None:
        return []
    if not torch["cuda"]:
        return [f"torch {torch['version']} in the image is built without CUDA"]
    if torch.get("error"):
        built = f"torch {torch['version']} is built for CUDA {torch['cuda']}, the driver runs up to {cuda or 'none'}"
        return [f"torch cannot use the GPUs: {torch['error']} ({built})"]
    wrong = [
        f"GPU {item['index']} does not compute: {item.get('error', 'its result is wrong')}"
        for item in torch["devices"]
        if not item["right"]
    ]
    missing = seen - len(torch["devices"])
    return wrong + ([f"torch sees {len(torch['devices'])} of {seen} GPUs"] if missing > 0 else [])


def _devices(report: Report) -> Sequence[Sequence[str]]:
    times = {str(item["index"]): item for item in (report["torch"] or {}).get("devices", ())}
    rows = [("GPU", "name", "memory", "driver", "computes in")]
    for device in report["devices"]:
        item = times.get(device["index"])
        took = "-" if item is None else f"{item['seconds'] * 1000:.2f} ms" if item["right"] else "not at all"
        rows.append((device["index"], device["name"], device["memory.total"], device["driver_version"], took))
    return rows


def _lines(report: Report) -> list[str]:
    torch = report["torch"]
    pairs = (torch or {}).get("peers", ())
    said = f"{torch['version']}, built for CUDA {torch['cuda'] or '(none)'}" if torch else "not in the image"
    lines = [f"CUDA    the driver runs up to {report['cuda'] or 'none'}", f"torch   {said}"]
    if pairs:
        apart = [f"{one} to {other}" for one, other, reaches in pairs if not reaches]
        lines.append(f"peers   {'not from ' + ', '.join(apart) if apart else 'every GPU reaches every other'}")
    return [*lines, f"shm     {report['shm'] / 2**30:.1f} GiB", f"took    {report['seconds']:.1f} s"]
