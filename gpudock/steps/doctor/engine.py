"""The Docker engine: there, answering, of a kind that gpudock can set up, and with its known holes mended."""

from __future__ import annotations

import re
from typing import Any

from gpudock.answers import Answers
from gpudock.errors import CannotTell, Refused
from gpudock.settings import Settings
from gpudock.steps.doctor import known
from gpudock.steps.doctor.known import NEEDS_DOCKER
from gpudock.steps.doctor.rule import Rule, Seen
from gpudock.steps.toolkit import daemon

ENGINE_FLOOR = (29, 7, 0)  # CVE-2026-17106

# CVE-2025-31133, -52565, -52881 (2025-11-05); for later lines their first release.
RUNC_FLOORS: dict[tuple[int, ...], tuple[int, ...]] = {(1, 2): (1, 2, 8), (1, 3): (1, 3, 3), (1, 4): (1, 4, 0)}

# daemon.json's key for a flag that is spelt otherwise; https://docs.docker.com/reference/cli/dockerd/
PLURALS = {"host": "hosts", "H": "hosts", "dns": "dns", "label": "labels", "insecure-registry": "insecure-registries",
           "registry-mirror": "registry-mirrors", "add-runtime": "runtimes", "storage-opt": "storage-opts",
           "log-opt": "log-opts", "exec-opt": "exec-opts", "g": "data-root", "s": "storage-driver"}  # fmt: skip


def _missing(settings: Settings, answers: Answers) -> Seen | None:
    return Seen("no dockerd on this host, and no engine answers") if known.absent(answers) else None


def _down(settings: Settings, answers: Answers) -> Seen | None:
    answer = answers["docker.info"]
    if known.absent(answers) or known.information(answers):
        return None
    if answer.timed_out:
        return Seen("the daemon does not answer within 30 s")
    said = [line[5:] for line in answers["doctor.engine-kind"].out.splitlines() if line.startswith("said ")]
    last = next((line for line in reversed(said) if "level=" in line or "failed" in line), "")
    told = answer.err.strip().splitlines()[:1] or answer.out.strip().splitlines()[-1:] or ["nothing"]
    return Seen(f"docker says: {told[0][:160]}" + (f"; its log ends with: {last[:200]}" if last else ""))


def _broken_file(settings: Settings, answers: Answers) -> Seen | None:
    try:
        daemon.parse(answers["doctor.daemon-json"].file())
    except Refused as refused:
        return Seen(str(refused).partition(", so it is")[0])
    validated = answers["doctor.validate"]
    if validated.code != 1 or "unknown flag" in validated.out:
        return None
    return Seen(f"dockerd --validate says: {' '.join(validated.out.split())[:240]}")


def _flags(settings: Settings, answers: Answers) -> Seen | None:
    try:
        keys = set(daemon.parse(answers["doctor.daemon-json"].file()))
    except Refused:
        return None
    words = answers["doctor.daemon-command"].out.split()
    flags = {word.lstrip("-").partition("=")[0] for word in words if word.startswith("-")}
    both = sorted(keys & {PLURALS.get(flag, flag) for flag in flags})
    return Seen(f"given as a flag of dockerd and in daemon.json: {known.listed(both)}") if both else None


def _snap(settings: Settings, answers: Answers) -> Seen | None:
    lines = answers["doctor.engine-kind"].out.splitlines()
    snap = any(line.startswith(("docker ", "/snap/")) or line == "/usr/bin/snap" for line in lines)
    return Seen("Docker comes from a snap, which does not read /etc/docker") if snap else None


def _desktop(settings: Settings, answers: Answers) -> Seen | None:
    name = known.docker(answers).get("OperatingSystem")
    return Seen("the engine is Docker Desktop's, in a virtual machine of its own") if name == "Docker Desktop" else None


def _rootless(settings: Settings, answers: Answers) -> Seen | None:
    if known.rootless(answers):
        if (
            settings.gpu.mode == "cdi"
            or not known.has_gpu(answers)
            or "no-cgroups = true" in answers["toolkit.config"].out
        ):
            return Seen("the engine is rootless")
        return Seen(
            "the engine is rootless, and the toolkit manages device cgroups, which it may not (`bpf_prog_query`)",
            "nvidia-ctk config --set nvidia-container-cli.no-cgroups=true --in-place   # or gpu.mode=cdi",
            "error",
        )
    sockets = [line for line in answers["doctor.engine-kind"].out.splitlines() if line.startswith("/run/user/")]
    return Seen(f"a rootless engine runs beside the system's: {known.listed(sockets)}") if sockets else None


def _engine_cve(settings: Settings, answers: Answers) -> Seen | None:
    version = str(known.docker(answers)["ServerVersion"])
    if known.numbers(version) >= ENGINE_FLOOR:
        return None
    return _by_distribution(answers, f"Docker {version} is older than 29.7.0", ("docker.io", "moby-engine"))


def _runc_cve(settings: Settings, answers: Answers) -> Seen | None:
    known.docker(answers)
    found = re.search(r"runc version (\S+)", answers["doctor.runc"].out)
    if not found:
        return None
    numbers = known.numbers(found.group(1))
    floor = RUNC_FLOORS.get(numbers[:2], (1, 2, 8))
    if numbers >= floor:
        return None
    return _by_distribution(answers, f"runc {found.group(1)} is older than {'.'.join(map(str, floor))}", ("runc",))


def _by_distribution(answers: Answers, text: str, names: tuple[str, ...]) -> Seen:
    """A distribution mends old versions in place, so that of its package only its being behind can be told."""
    package = next((name for name in known.packages(answers) if name in names), "")
    if not package:
        return Seen(text)
    rows = [line.split() for line in answers["doctor.candidates"].out.splitlines()]
    newer = [row[2] for row in rows if len(row) == 3 and row[0] == package and row[1] != row[2]]
    if newer:
        fix = f"apt-get install --only-upgrade {package}"
        return Seen(f"{text}, and the distribution has {package} {newer[0]}", fix)
    if any(row[0] == package for row in rows):
        raise CannotTell("the distribution mends its own packages, and these are the newest it has")
    return Seen(f"{text}; {package} is the distribution's, which may have mended it", severity="note")


def daemon_json(answers: Answers) -> dict[str, Any]:
    """daemon.json's settings; {} where it cannot be read, which `daemon-json` tells."""
    try:
        return daemon.parse(answers["doctor.daemon-json"].file())
    except Refused:
        return {}


RULES = (
    Rule(
        "docker-missing", "error", "a Docker engine is installed",
        "Everything runs in a container.",
        "{gpudock} engine.install",
        "https://docs.docker.com/engine/install/",
        NEEDS_DOCKER, _missing,
    ),
    Rule(
        "docker-down", "error", "the Docker engine answers",
        "Without it no container runs, and most of what doctor asks has no answer.",
        "journalctl -u docker -n 30; {gpudock} engine.install",
        "https://docs.docker.com/engine/daemon/troubleshoot/",
        (*NEEDS_DOCKER, "doctor.engine-kind"), _down,
    ),
    Rule(
        "daemon-json", "error", "/etc/docker/daemon.json is what dockerd takes",
        "dockerd does not start with it the next time, and ignores it on a reload without a word.",
        "dockerd --validate --config-file /etc/docker/daemon.json; {gpudock} toolkit.restore",
        "https://github.com/moby/moby/issues/42948",
        ("doctor.daemon-json", "doctor.validate"), _broken_file,
    ),
    Rule(
        "daemon-flags", "error", "nothing is given both as a flag and in daemon.json",
        "dockerd does not start: `the following directives are specified both as a flag and in the configuration "
        "file`.",
        "systemctl edit docker   # [Service] ExecStart= then ExecStart=/usr/bin/dockerd, without the flag",
        "https://github.com/moby/moby/issues/22339",
        ("doctor.daemon-json", "doctor.daemon-command"), _flags,
    ),
    Rule(
        "docker-snap", "error", "Docker is no snap",
        "The snap does not see /etc/docker nor the toolkit's programs, so that it never knows the nvidia runtime.",
        "snap remove docker && {gpudock} engine.install   # its containers and volumes go with it",
        "https://github.com/NVIDIA/nvidia-docker/issues/1637",
        ("doctor.engine-kind",), _snap,
    ),
    Rule(
        "docker-desktop", "warning", "the engine is the host's own, not Docker Desktop's",
        "Desktop's engine runs in a virtual machine without the host's GPUs (under WSL it has Windows' own way).",
        "docker context use default && {gpudock} engine.install",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/665",
        NEEDS_DOCKER, _desktop,
    ),
    Rule(
        "docker-rootless", "note", "the only engine is the system's",
        "A rootless engine has its own daemon.json, containers and GPU settings (no-cgroups, or CDI).",
        "docker context ls",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/434",
        (*NEEDS_DOCKER, *known.NEEDS_GPU, "doctor.engine-kind", "toolkit.config"),
        _rootless,
    ),
    Rule(
        "docker-cve", "warning", "the engine has no known hole",
        "Before 29.7.0 a container can have `docker cp` write to the host (CVE-2026-17106).",
        "apt-get update && apt-get install --only-upgrade docker-ce docker-ce-cli containerd.io",
        "https://www.cve.org/CVERecord?id=CVE-2026-17106",
        (*NEEDS_DOCKER, "doctor.packages", "doctor.candidates"), _engine_cve,
    ),
    Rule(
        "runc-cve", "warning", "runc has no known way out of a container",
        "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 let an image write to the host's /proc.",
        "apt-get update && apt-get install --only-upgrade containerd.io",
        "https://github.com/opencontainers/runc/security/advisories/GHSA-9493-h29p-rfm2",
        (*NEEDS_DOCKER, "doctor.packages", "doctor.candidates", "doctor.runc"), _runc_cve,
    ),
)  # fmt: skip
