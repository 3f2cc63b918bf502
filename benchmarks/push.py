"""`image.push` of a 1 GB image to four hosts against `docker save | ssh docker load`, one host after the other.

    .venv/bin/python benchmarks/push.py [--runs 3] [--hosts 4]

The image is ours as it is without a GPU, built into this machine's engine; the hosts are test hosts made for it, which
share this machine's cores with all the rest. `cold`: no host has any layer, and nothing is in the registry's cache.
`small change`: a layer of 1 MB was added to an image that all have. Prints medians.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gpudock.config import load  # noqa: E402
from gpudock.steps.build import INPUTS  # noqa: E402
from gpudock.steps.inputs import fingerprint  # noqa: E402
from tests import testbed  # noqa: E402
from tests.engine import client  # noqa: E402
from tests.golden.test_plans import DEBIAN  # noqa: E402

NAME, BASE = "gpudock-benchmark", "gpudock-benchmark-base"
Way = Callable[[Path, Sequence[str], Sequence[str]], None]
CASES = {"cold": ("image.environment=cold",), "small change": ("image.environment=small",)}


def main() -> None:
    """Time both ways, cold and with a small change, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=4)
    given = parser.parse_args()
    subprocess.run([str(ROOT / "inv"), "image.build", "--set", f"image.name={BASE}"], check=True, cwd=ROOT)
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(given.runs):
        for way in (push, save_and_load):
            with tempfile.TemporaryDirectory() as folder:
                for case, value in measure(way, given.hosts, Path(folder)):
                    seconds.setdefault((case, way.__name__), []).append(value)
                    print(f"{case:<13} {way.__name__:<14} {value:7.1f} s", flush=True)
    print(f"\n{'':<13} {'save | load':>12} {'image.push':>12} {'ratio':>7}")
    for case in CASES:
        ours, theirs = (statistics.median(seconds[case, way.__name__]) for way in (push, save_and_load))
        print(f"{case:<13} {theirs:>10.1f} s {ours:>10.1f} s {ours / theirs:>7.2f}")


def measure(way: Way, count: int, folder: Path) -> list[tuple[str, float]]:
    """Run one way on hosts of its own: cold, then with a small change."""
    key = testbed.make_key(folder / "id")
    hosts = [testbed.start("trixie-docker", key) for _ in range(count)]
    try:
        named = {f"gpu{number:02}": host for number, host in enumerate(hosts, start=1)}
        config = testbed.ssh_config(folder / "config", [(name, host, "root") for name, host in named.items()])
        taken = []
        for case, overrides in CASES.items():
            wanted = build(folder, overrides, small=case != "cold")
            started = time.perf_counter()
            way(config, list(named), overrides)
            taken.append((case, time.perf_counter() - started))
            if {host.sh(f"docker image inspect -f '{{{{.Id}}}}' {NAME}") for host in hosts} != {wanted}:
                raise RuntimeError("a host does not have the image")
        return taken
    finally:
        for host in hosts:
            host.remove()
        testbed.docker("image", "rm", NAME, check=False)


def build(folder: Path, overrides: Sequence[str], *, small: bool) -> str:
    """Make the image that is sent; its label says that it is what the settings want."""
    label = fingerprint(load(overrides).settings, replace(DEBIAN, driver=""))
    (folder / "small").write_bytes(os.urandom(10**6))
    change = "COPY small /small\n" if small else ""
    (folder / "Dockerfile").write_text(f"FROM {BASE}\n{change}LABEL {INPUTS}={label}\n")
    testbed.docker("build", "-q", "-t", NAME, str(folder))
    return testbed.docker("image", "inspect", "-f", "{{.Id}}", NAME)


def push(config: Path, names: Sequence[str], overrides: Sequence[str]) -> None:
    """Ours."""
    settings = [word for override in (*overrides, f"image.name={NAME}") for word in ("--set", override)]
    argv = [str(ROOT / "fab"), "-S", str(config), "-H", ",".join(names), "image.push", *settings]
    state = {"GPUDOCK_HOST__STATE": str(config.parent / "state")}  # its cache is as cold as the hosts
    subprocess.run(argv, check=True, cwd=ROOT, env={**os.environ, **state})


def save_and_load(config: Path, names: Sequence[str], overrides: Sequence[str]) -> None:
    """What one does by hand, host by host."""
    ssh = f"ssh -q -F {shlex.quote(str(config))} -o StrictHostKeyChecking=accept-new"
    for name in names:
        command = f"{client()} save {NAME} | {ssh} {name} docker load"
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
