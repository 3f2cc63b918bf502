"""NVIDIA Container Toolkit: there, whole, safe, set up for this engine, and known to Docker."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpudock.actions import Action, Write, shell
from gpudock.answers import Answers
from gpudock.settings import Settings
from gpudock.steps.doctor import asked, known
from gpudock.steps.doctor.known import NEEDS_DOCKER, NEEDS_GPU
from gpudock.steps.doctor.rule import Rule, Seen
from gpudock.steps.toolkit.take_up import TAKE_UP

NEEDS_TOOLKIT = (*NEEDS_GPU, "doctor.packages")
NO_CGROUPS = re.compile(r"^(\s*)no-cgroups\s*=\s*true", re.MULTILINE)
PACKAGE = "nvidia-container-toolkit"
CGROUP2_LIBRARY = (1, 8, 0)  # https://github.com/NVIDIA/libnvidia-container/issues/176

# Docker takes a new runtime up a moment after the signal (moby#47353).
RELOAD = (
    TAKE_UP
    + """lists() { docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"nvidia"'; }
take_up reload; waits 60 lists || { echo "Docker still does not list the nvidia runtime"; exit 1; }"""
)


def _missing(settings: Settings, answers: Answers) -> Seen | None:
    if settings.gpu.use == "off" or not known.has_gpu(answers) or known.toolkit(answers).get(PACKAGE):
        return None
    others = known.listed(sorted(known.toolkit(answers)))
    return Seen(
        "a GPU is here, and nvidia-container-toolkit is not installed" + (f" (only {others})" if others else "")
    )


def _unsafe(settings: Settings, answers: Answers) -> Seen | None:
    floor = settings.toolkit.minimum_version
    old = {key: value for key, value in known.toolkit(answers).items() if known.numbers(value) < known.numbers(floor)}
    if not old:
        return None
    text = known.listed([f"{key} {value}" for key, value in sorted(old.items())], 4)
    return Seen(f"{text}: older than {floor}")


def _mixed(settings: Settings, answers: Answers) -> Seen | None:
    versions = known.toolkit(answers)
    if len({known.numbers(value) for value in versions.values()}) < 2:
        return None
    return Seen(known.listed([f"{key} {value}" for key, value in sorted(versions.items())], 4))


def _held(settings: Settings, answers: Answers) -> Seen | None:
    rows = [line.rpartition(" ") for line in answers["doctor.holds"].out.splitlines() if "nvidia-container" in line]
    held = [name for _, _, name in rows]
    if not held:
        return None
    behind = _unsafe(settings, answers)
    why = " below the safe version" if behind else ""
    return Seen(
        f"held{why}: {known.listed(held)}",
        f"{rows[0][0]} {' '.join(held)} && {{gpudock}} toolkit.package",
        "warning" if behind else "note",
    )


def _no_cgroups(settings: Settings, answers: Answers) -> Seen | None:
    text = answers["toolkit.config"].file() or ""
    if known.rootless(answers) or not NO_CGROUPS.search(text):
        return None
    return Seen(f"{asked.TOOLKIT_CONFIG} has no-cgroups = true, and this engine is not rootless")


def _mend_no_cgroups(settings: Settings, answers: Answers) -> Sequence[Action]:
    before = answers["toolkit.config"].file() or ""
    after = NO_CGROUPS.sub(r"\1no-cgroups = false", before)
    return [Write("switch no-cgroups off for the toolkit", asked.TOOLKIT_CONFIG, after, before)]


def _engine_older(settings: Settings, answers: Answers) -> Seen | None:
    times = answers["doctor.hook"].out.split()
    if len(times) != 2 or int(times[0]) <= int(times[1]):
        return None
    minutes = (int(times[0]) - int(times[1])) // 60
    severity = "error" if settings.gpu.mode in ("gpus", "cdi") else None
    return Seen(f"dockerd was started {minutes} min before the toolkit came", severity=severity)  # type: ignore[arg-type]


def _old_library(settings: Settings, answers: Answers) -> Seen | None:
    version = known.toolkit(answers).get("libnvidia-container1", "")
    if answers["doctor.cgroup"].out.strip() != "cgroup2fs" or not version:
        return None
    if known.numbers(version) >= CGROUP2_LIBRARY:
        return None
    return Seen(f"libnvidia-container1 {version} on a host with cgroup v2")


def _unknown_runtime(settings: Settings, answers: Answers) -> Seen | None:
    if settings.gpu.use == "off" or settings.gpu.mode == "cdi" or not known.toolkit(answers).get(PACKAGE):
        return None
    runtimes = sorted(known.docker(answers).get("Runtimes") or {})
    if "nvidia" in runtimes:
        return None
    text = f"Docker lists the runtimes {known.listed(runtimes)}"
    if '"nvidia"' in (answers["doctor.daemon-json"].file() or ""):
        return Seen(f"{text}; daemon.json names nvidia, and Docker has not read it since", "{gpudock} toolkit.restart")
    return Seen(text)


def _mend_runtime(settings: Settings, answers: Answers) -> Sequence[Action]:
    if '"nvidia"' not in (answers["doctor.daemon-json"].file() or ""):
        return []
    return [shell("reload Docker, so that it knows the nvidia runtime (containers go on running)", RELOAD)]


RULES = (
    Rule(
        "toolkit-missing", "error", "where there is a GPU, the NVIDIA Container Toolkit is installed",
        "Without it Docker says `could not select device driver \"\" with capabilities: [[gpu]]`.",
        "{gpudock} toolkit.install",
        "https://github.com/NVIDIA/nvidia-docker/issues/1034",
        NEEDS_TOOLKIT, _missing,
    ),
    Rule(
        "toolkit-cve", "error", "the toolkit has no known way out of a container",
        "CVE-2026-24260 (8.5) and, before 1.17.8, CVE-2025-23266 let a container's image become root on the host.",
        "{gpudock} toolkit.package",
        "https://github.com/NVIDIA/product-security/tree/main/2026/5850",
        ("doctor.packages",), _unsafe,
    ),
    Rule(
        "toolkit-mixed", "warning", "the toolkit's packages are of one version",
        "They are built for one another; NVIDIA's own dependencies have asked for one version since 1.18.",
        "{gpudock} toolkit.package",
        "https://github.com/NVIDIA/nvidia-container-toolkit/pull/1100",
        ("doctor.packages",), _mixed,
    ),
    Rule(
        "toolkit-held", "note", "the toolkit's packages may be upgraded",
        "A held package gets no security fixes, and apt answers `unmet dependencies` when another one needs it newer.",
        "apt-mark unhold nvidia-container-toolkit",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/59",
        ("doctor.holds", "doctor.packages"), _held,
    ),
    Rule(
        "toolkit-no-cgroups", "error", "the toolkit manages device cgroups",
        "no-cgroups is meant for rootless Docker; elsewhere a container sees its GPUs and may not open them: "
        "`Failed to initialize NVML: Unknown Error` at once.",
        f"sed -i 's/^\\( *\\)no-cgroups *= *true/\\1no-cgroups = false/' {asked.TOOLKIT_CONFIG}",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/381",
        (*NEEDS_DOCKER, "toolkit.config"), _no_cgroups, _mend_no_cgroups,
    ),
    Rule(
        "engine-older", "warning", "dockerd was started after the toolkit came",
        "dockerd looks for NVIDIA's hook and for CDI only when it starts: until then `gpus: all`, deploy…devices and "
        "CDI say `could not select device driver`. `runtime: nvidia` needs no restart.",
        "docker ps; systemctl restart docker",
        "https://github.com/NVIDIA/nvidia-docker/issues/1034",
        ("doctor.hook",), _engine_older,
    ),
    Rule(
        "cgroup-library", "error", "the toolkit's library knows cgroup v2",
        "Older ones answer with errors of bpf, `failed to call BPF_PROG_QUERY`, on each container start.",
        "{gpudock} toolkit.package",
        "https://github.com/NVIDIA/libnvidia-container/issues/176",
        ("doctor.packages", "doctor.cgroup"), _old_library,
    ),
    Rule(
        "docker-runtime", "error", "Docker knows the nvidia runtime, where the toolkit is installed",
        "Containers of compose/gpu-runtime.yml say `unknown or invalid runtime name: nvidia`.",
        "{gpudock} toolkit.configure toolkit.restart",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/378",
        (*NEEDS_DOCKER, "doctor.packages", "doctor.daemon-json"), _unknown_runtime, _mend_runtime,
    ),
)  # fmt: skip
