"""`image.push` of a 1 GB image to four hosts against `docker save | ssh docker load`, one host after the other.

    .venv/bin/python benchmarks/push.py [--runs 1] [--hosts 4]

Makes its own test hosts on this machine, one to build and the others to send to, and removes them. `cold`: no host has
any layer, nor has the registry's cache. `small change`: a layer of 1 MB was added to an image that all have. Both ways
start the operator's programs anew, take the image from the same build host and go through this machine. Prints medians.
"""

from __future__ import annotations

import argparse
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
from tests.golden.test_plans import DEBIAN  # noqa: E402

NAME = load().settings.image.name
Way = Callable[[Path, Sequence[str], Sequence[str]], None]
CASES = {"cold": ("image.environment=cold",), "small change": ("image.environment=small",)}


def main() -> None:
    """Time both ways, cold and with a small change, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=4)
    given = parser.parse_args()
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
    hosts = [testbed.start("trixie-docker", key) for _ in range(count + 1)]
    try:
        names = [f"gpu{number:02}" for number in range(count + 1)]
        config = testbed.ssh_config(
            folder / "config", [(name, host, "root") for name, host in zip(names, hosts, strict=True)]
        )
        whole = ["docker", "save", testbed.image("trixie-docker")]
        saved = subprocess.Popen(whole, stdout=subprocess.PIPE)
        subprocess.run(["docker", "exec", "-i", hosts[0].name, "docker", "load"], stdin=saved.stdout, check=True)
        taken = []
        for case, overrides in CASES.items():
            build(hosts[0], testbed.image("trixie-docker"), overrides, small=case != "cold")
            started = time.perf_counter()
            way(config, names, overrides)
            taken.append((case, time.perf_counter() - started))
            if len({host.sh(f"docker image inspect -f '{{{{.Id}}}}' {NAME}") for host in hosts}) > 1:
                raise RuntimeError("the hosts do not have the same image")
        return taken
    finally:
        for host in hosts:
            host.remove()


def build(host: testbed.TestHost, base: str, overrides: Sequence[str], *, small: bool) -> None:
    """Make the image that is sent, of real programs; its label says that it is what the settings want."""
    label = fingerprint(load(overrides).settings, replace(DEBIAN, driver=""))
    host.sh("mkdir -p /b; head -c 1000000 /dev/urandom >/b/small")
    change = "COPY small /small\n" if small else ""
    host.write("/b/Dockerfile", f"FROM {base}\n{change}LABEL {INPUTS}={label}\n")
    host.sh(f"docker build -q -t {NAME} /b")


def push(config: Path, names: Sequence[str], overrides: Sequence[str]) -> None:
    """Ours."""
    argv = [str(ROOT / "fab"), "-S", str(config), "-H", ",".join(names[1:]), "image.push", "--from", names[0]]
    argv += [word for override in overrides for word in ("--set", override)]
    subprocess.run(argv, check=True, cwd=ROOT)


def save_and_load(config: Path, names: Sequence[str], overrides: Sequence[str]) -> None:
    """What one does by hand, host by host."""
    ssh = f"ssh -F {shlex.quote(str(config))} -o StrictHostKeyChecking=accept-new"
    for name in names[1:]:
        command = f"{ssh} {names[0]} docker save {NAME} | {ssh} {name} docker load"
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
