"""Proof: a container of the image sees the host's GPUs and computes on each.

`setup` proves it once for an image, a driver, a toolkit and a way to hand GPUs out; `gpu.check` each time it is asked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from gpudock.actions import Action, Watch, Write
from gpudock.answers import Answers
from gpudock.command import Job, command, namespace
from gpudock.errors import ActionFailed, ProblemsFound
from gpudock.failures import next_move
from gpudock.host import Host, Line
from gpudock.questions import Questions, file
from gpudock.settings import Settings
from gpudock.step import Blocked, Step
from gpudock.steps import gpu_mode, image, machine, toolkit
from gpudock.steps.gpu.verdict import Report, problems, table
from gpudock.steps.image import Image

PROBE = Path(__file__).with_name("probe.py")
TIME_LIMIT = 300  # seconds; the first import of torch on a cold disk takes a minute

PYTHON = 'exec "$(command -v python3 || command -v python)" -'
OPTIONS = {
    "runtime": ("--runtime", "nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=all"),
    "cdi": ("--device", "nvidia.com/gpu=all"),
    "gpus": ("--gpus", "all"),
    "": (),
}


@dataclass(frozen=True)
class Gpus:
    """The host's GPUs, and what was proved last: the hash of image, driver, toolkit and mode."""

    image: Image
    toolkit: toolkit.Toolkit
    count: int
    proved: str


def questions(settings: Settings) -> Questions:
    """What the proof depends on."""
    return {**image.questions(settings), **toolkit.questions(settings), "gpu.proof": file(proof(settings))}


def read(settings: Settings, answers: Answers) -> Gpus:
    """Make a Gpus of the answers."""
    return Gpus(
        image=image.read(settings, answers),
        toolkit=toolkit.read(settings, answers),
        count=machine.gpus(answers),
        proved=(answers["gpu.proof"].file() or "").strip(),
    )


def plan(settings: Settings, gpus: Gpus) -> list[Action]:
    """Prove it where anything that it depends on has changed since the last time."""
    if not gpus.image.id:
        raise Blocked("image.build", f"There is no image {settings.image.name} on this host.")
    wanted = subject(settings, gpus)
    if gpus.proved == wanted:
        return []

    def prove(host: Host, on_line: Line) -> None:
        judge(probe(host, settings, gpus), gpus)
        Write("keep what was proved", proof(settings), f"{wanted}\n").apply(host, on_line)

    return [Watch("start the image with the GPUs and compute on each", prove)]


def probe(host: Host, settings: Settings, gpus: Gpus) -> Report:
    """Start the image with the GPUs and return the probe's report. Raises ActionFailed where it does not start."""
    mode = gpu_mode.of(settings, gpus.image.engine).mode
    argv = (
        "timeout", "--kill-after=10", str(TIME_LIMIT), gpus.image.engine.client, "run", "--rm", "--interactive",
        "--init", "--network", "none", "--shm-size", settings.stack.shm_size.replace(" ", ""), *OPTIONS[mode],
        "--entrypoint", "sh", settings.image.name, "-c", PYTHON,
    )  # fmt: skip
    done = host.do(argv, data=PROBE.read_bytes())
    last = (done.output.strip().splitlines() or [""])[-1]
    if done.code or not last.startswith("{"):
        advice = f"{next_move(done.output)} `doctor` looks for the cause."
        raise ActionFailed(f"start {settings.image.name} with the GPUs", output=done.output, next_move=advice)
    report: Report = json.loads(last)
    return report


def judge(report: Report, gpus: Gpus) -> None:
    """Raise ProblemsFound where the container cannot use all GPUs of the host."""
    if found := problems(report, gpus.count):
        raise ProblemsFound(f"{'; '.join(found)}. `doctor` looks for the cause.")


def subject(settings: Settings, gpus: Gpus) -> str:
    """The hash of all that a proof is about."""
    mode = gpu_mode.of(settings, gpus.image.engine).mode
    parts = [gpus.image.id, gpus.image.machine.driver, gpus.toolkit.version, mode, gpus.count]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def proof(settings: Settings) -> str:
    """The file on the host that holds the hash of what was proved."""
    return f"{settings.host.state}/gpu-proof"


def skip(settings: Settings, gpus: Gpus) -> str | None:
    """Leave the proof out where the toolkit is left out."""
    return toolkit.skip(settings, gpus.toolkit)


@command()
def check(job: Job) -> None:
    """Start the image with the GPUs and report: devices, driver, CUDA, torch on each, peers, shared memory, time."""
    gpus: Gpus = job.facts(PROVE)
    if not gpus.image.id:
        raise Blocked("image.build", f"There is no image {job.settings.image.name} on this host.")
    report = probe(job.host, job.settings, gpus)
    job.say(table(report), **report, expected=gpus.count, problems=problems(report, gpus.count))
    judge(report, gpus)


PROVE = Step(
    "gpu.prove", "Prove that a container of the image computes on each GPU, once for an image, driver and toolkit.",
    questions, read, plan, skip,
)  # fmt: skip
TASKS = namespace("gpu", check, PROVE)
