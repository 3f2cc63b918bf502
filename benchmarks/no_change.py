"""What a `setup` with nothing to change costs over SSH, against its parts and against doing without our tricks.

    .venv/bin/python benchmarks/no_change.py -S SSH_CONFIG HOST

All variants run alternately on the same host in one run; the figures are medians, in seconds. The host should have
had a `setup` before. `bare` is the floor: interpreter, Fabric, a connection, one command.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 7

BARE = """
import sys, fabric
config = fabric.Config(runtime_ssh_path=sys.argv[1])
connection = fabric.Connection(sys.argv[2], config=config)
connection.run("true", hide=True, in_stream=False)
"""

# The same work the naive way: each question a command of its own, by Fabric's run, Nagle's algorithm on.
ONE_BY_ONE = """
import sys, shlex, fabric
sys.path.insert(0, sys.argv[3])
import tasks
from gpudock.config import load
settings = load().settings
connection = fabric.Connection(sys.argv[2], config=fabric.Config(runtime_ssh_path=sys.argv[1]))
questions = {}
for step in tasks.STEPS:
    questions.update(step.questions(settings))
for argv in questions.values():
    connection.run(shlex.join(argv), hide=True, warn=True, in_stream=False)
"""


def main() -> None:
    """Time each variant in turn and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("-S", "--ssh-config", required=True)
    arguments.add_argument("host")
    given = arguments.parse_args()
    place = [given.ssh_config, given.host, str(ROOT)]
    variants = {
        "inv --list": [str(ROOT / "inv"), "--list"],
        "the same without the script": [sys.executable, str(ROOT), "inv", "--search-root", str(ROOT), "--list"],
        "bare connection": [sys.executable, "-c", BARE, *place],
        "setup, nothing to change": [str(ROOT / "fab"), "-S", given.ssh_config, "-H", given.host, "setup"],
        "its questions one by one": [sys.executable, "-c", ONE_BY_ONE, *place],
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(RUNS):
        for name, argv in variants.items():
            started = time.perf_counter()
            subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - started)
    setup = statistics.median(seconds["setup, nothing to change"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:<28} {median:6.2f} s   {median / setup:5.2f} x setup")


if __name__ == "__main__":
    main()
