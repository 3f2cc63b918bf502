"""What a `setup` with nothing to change costs the host that is asked: processor time, by question.

    .venv/bin/python benchmarks/questions.py [--runs 20] [NAME …]

Makes one test host as benchmarks/fleet.py does and reads the processor time of its control group, engine included, so
that other load on this machine does not count. Each question is asked beside one that costs nothing; what that one
costs (a session on an open connection, the shells around it) is told first, and so is a connection. NAMEs choose
questions by a part of their name. `services.up` looks costly alone: it goes by what the engine is asked beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fabric

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import tasks  # noqa: E402
from benchmarks import fleet  # noqa: E402
from gpudock.config import load  # noqa: E402
from gpudock.host import Host  # noqa: E402
from gpudock.questions import Questions, ask, shell  # noqa: E402
from tests import testbed  # noqa: E402

NOTHING = {"nothing": shell(":")}
SETTLE = 0.3  # seconds until what was started has ended
Clock = Callable[[], float]


def main() -> None:
    """Prepare, ask each question many times, and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fleet.prepared(Path(folder), peers=False) as overrides:
        settings = load([word for word in overrides if word != "--set"]).settings
        config = fabric.Config(runtime_ssh_path=f"{folder}/config")
        questions: dict[str, tuple[str, ...]] = {}
        for step in tasks.STEPS:
            questions.update(step.questions(settings))
        clock = control_group(
            testbed.docker("ps", "-q", "--no-trunc", "--filter", f"name=trixie-docker-{os.getpid()}-").split()[0]
        )
        print(f"{cost(clock, given.runs, lambda: connect(config)):6.1f} ms  a connection")
        with fabric.Connection("gpu01", config=config) as connection:
            host = Host(connection, "gpu01")
            show(host, clock, given.runs, questions, given.names)


def show(host: Host, clock: Clock, runs: int, questions: Questions, names: list[str]) -> None:
    """Print the cost of no question, of all, and of each."""
    nothing = cost(clock, runs, lambda: ask(host, NOTHING))
    print(f"{nothing:6.1f} ms  a session, and no question")
    print(f"{cost(clock, runs, lambda: ask(host, questions)):6.1f} ms  all {len(questions)} questions")
    alone: dict[str, float] = {}
    for name, argv in questions.items():
        if not names or any(part in name for part in names):
            asked = {**NOTHING, name: argv}
            alone[name] = cost(clock, runs, lambda asked=asked: ask(host, asked)) - nothing  # type: ignore[misc]
    for name in sorted(alone, key=lambda name: -alone[name]):
        print(f"{alone[name]:6.1f} ms  {name}")


def connect(config: fabric.Config) -> None:
    """Open a connection and close it."""
    with fabric.Connection("gpu02", config=config) as connection:
        connection.open()


def cost(clock: Clock, runs: int, what: Callable[[], object]) -> float:
    """The processor time in ms that the host spends on it, in the mean."""
    what()
    time.sleep(SETTLE)
    before = clock()
    for _ in range(runs):
        what()
    time.sleep(SETTLE)
    return (clock() - before) / runs


def control_group(container: str) -> Clock:
    """The processor time in ms of a container and all in it, by control groups of version 1 or 2."""
    first = Path(f"/sys/fs/cgroup/cpuacct/docker/{container}/cpuacct.usage")
    if first.exists():
        return lambda: int(first.read_text()) / 1e6
    second = next(Path("/sys/fs/cgroup").rglob(f"*{container}*/cpu.stat"))
    return lambda: int(second.read_text().split()[1]) / 1e3


if __name__ == "__main__":
    main()
