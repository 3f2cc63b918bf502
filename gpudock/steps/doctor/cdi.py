"""Container Device Interface: a specification of this driver, in an engine that reads it."""

from __future__ import annotations

from collections.abc import Sequence

from gpudock.actions import Action, shell
from gpudock.answers import Answers
from gpudock.settings import Settings
from gpudock.steps.doctor import engine, known
from gpudock.steps.doctor.known import NEEDS_DOCKER, NEEDS_GPU
from gpudock.steps.doctor.rule import Rule, Seen
from gpudock.steps.toolkit.cdi import GENERATED

NEEDS = (*NEEDS_GPU, "cdi.specs", "doctor.packages")
ON_BY_DEFAULT = (28, 2, 0)  # https://github.com/moby/moby/pull/49963
POSSIBLE = (25, 0, 0)

# The unit of the toolkit from 1.18 on does it; a specification in /etc/cdi is somebody's own and goes first.
REFRESH = """if systemctl cat nvidia-cdi-refresh.service >/dev/null 2>&1; then
  systemctl restart nvidia-cdi-refresh.service
else mkdir -p /var/run/cdi && nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml; fi"""


def _specs(answers: Answers) -> list[tuple[str, str, int]]:
    """Path, driver version ('' where none is named) and number of MIG devices of each specification for the GPUs."""
    rows = [line.split(" ") for line in answers["cdi.specs"].out.splitlines() if line.startswith("spec ")]
    return [(row[1], row[2], int(row[3])) for row in rows]


def _unit(answers: Answers) -> tuple[str, str]:
    """The refreshing unit's state and the last line of its log."""
    lines = answers["cdi.specs"].out.splitlines()
    state = next((line[5:] for line in lines if line.startswith("unit ")), "")
    return state, lines[-1] if lines and not lines[-1].startswith(("unit", "spec")) else ""


def _missing(settings: Settings, answers: Answers) -> Seen | None:
    if not known.smi_works(answers) or not known.toolkit(answers) or _specs(answers):
        return None
    state, said = _unit(answers)
    wanted = settings.gpu.mode == "cdi"
    if not wanted and state != "failed":
        return None
    text = "no CDI specification names nvidia.com/gpu" + (f"; nvidia-cdi-refresh failed: {said}" if said else "")
    return Seen(text, severity="error" if wanted else "warning")


def _stale(settings: Settings, answers: Answers) -> Seen | None:
    loaded = known.driver(answers)
    here = sum(line.strip().startswith("MIG ") for line in answers["gpu.list"].out.splitlines())
    for path, version, named in _specs(answers):
        if loaded and version and version != loaded:
            return Seen(f"{path} is of driver {version}, and {loaded} is loaded")
        if known.smi_works(answers) and named != here:
            return Seen(f"{path} names {named} MIG devices, and {here} are here")
    return None


def _refresh(settings: Settings, answers: Answers) -> Sequence[Action]:
    if any(path.startswith("/etc/cdi") for path, _, _ in _specs(answers)):
        return []
    return [shell("make the CDI specification anew", REFRESH)]


def _off(settings: Settings, answers: Answers) -> Seen | None:
    if settings.gpu.mode != "cdi":
        return None
    version = str(known.docker(answers)["ServerVersion"])
    if known.numbers(version) < POSSIBLE:
        return Seen(
            f"gpu.mode is cdi, and Docker {version} does not know CDI", "{gpudock} stack.up --set gpu.mode=runtime"
        )
    features = engine.daemon_json(answers).get("features") or {}
    if features.get("cdi", known.numbers(version) >= ON_BY_DEFAULT):
        return None
    return Seen(f"gpu.mode is cdi, and in Docker {version} CDI is off until features.cdi says otherwise")


RULES = (
    Rule(
        "cdi-missing", "warning", "there is a CDI specification, where one is wanted",
        "Docker says `unresolvable CDI devices nvidia.com/gpu=all`. /var/run/cdi is empty after each boot until "
        "nvidia-cdi-refresh has run.",
        "systemctl restart nvidia-cdi-refresh.service; nvidia-ctk cdi list",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/1611",
        NEEDS, _missing, _refresh, (GENERATED,),
    ),
    Rule(
        "cdi-stale", "error", "the CDI specification is of the loaded driver and of today's MIG devices",
        "It names libraries by version; after a driver upgrade these are gone and containers do not start. A change of "
        "MIG devices does not renew it.",
        "nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml",
        "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html",
        (*NEEDS, "gpu.list"), _stale, _refresh, (GENERATED,),
    ),
    Rule(
        "cdi-off", "error", "Docker reads CDI, where gpu.mode asks for it",
        "CDI came with Docker 25 and is on by default from 28.2 on.",
        "{gpudock} toolkit.configure --set gpu.mode=cdi && systemctl restart docker",
        "https://github.com/moby/moby/pull/49963",
        (*NEEDS_DOCKER, "doctor.daemon-json"), _off,
    ),
)  # fmt: skip
