"""GPUs that are seen and yet do not compute: Fabric Manager, a driver after suspend, MIG, persistence."""

from __future__ import annotations

import re

from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps.doctor import known
from gpudock.steps.doctor.known import NEEDS_GPU
from gpudock.steps.doctor.rule import Rule, Seen

NVSWITCH = "0x0680"  # PCI class "bridge, other": what an NVSwitch is
CODES = {999: "unknown error", 802: "system not yet initialized", 803: "driver mismatch", 100: "no device"}
CUDA_CODE = re.compile(r"^\d+$")


def _fabric(settings: Settings, answers: Answers) -> Seen | None:
    switches = [row for row in known.pci(answers) if row[1].startswith(NVSWITCH)]
    not_ready = answers["gpu.cuda"].out.strip() == "802"
    if not switches and not not_ready:
        return None
    said = answers["gpu.fabric"].out
    version, loaded = re.search(r"version is *: *([\d.]+)", said), known.driver(answers)
    if version and loaded and version.group(1) != loaded:
        return Seen(f"Fabric Manager is {version.group(1)}, the driver {loaded}: they must be the same")
    if said.splitlines()[:1] != ["active"]:
        state = (said.splitlines() or ["not installed"])[0]
        where = f"{len(switches)} NVSwitch here" if switches else "CUDA says 802, system not yet initialized"
        return Seen(f"{where}, and nvidia-fabricmanager is {state}")
    return Seen("Fabric Manager runs, and CUDA still says 802, system not yet initialized") if not_ready else None


def _cuda(settings: Settings, answers: Answers) -> Seen | None:
    if not known.smi_works(answers):
        return None
    answer = answers["gpu.cuda"]
    code = answer.out.strip()
    if not CUDA_CODE.match(code):
        raise CannotTell(
            "python3 or libcuda.so.1 is not on this host" if answer.not_found else "cuInit did not return in 5 s"
        )
    if code in ("0", "802"):
        return None
    return Seen(f"nvidia-smi answers, and cuInit returns {code} ({CODES.get(int(code), 'an error')})")


def _mig(settings: Settings, answers: Answers) -> Seen | None:
    if not known.smi_works(answers):
        return None
    rows = [[cell.strip() for cell in line.split(",")] for line in answers["gpu.query"].out.splitlines()]
    enabled = [row[0] for row in rows if row[-1] == "Enabled"]
    instances: dict[str, int] = {}
    current = ""
    for line in answers["gpu.list"].out.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            current = gpu.group(1)
        elif line.strip().startswith("MIG "):
            instances[current] = instances.get(current, 0) + 1
    empty = [index for index in enabled if not instances.get(index)]
    return Seen(f"MIG is on for GPU {known.listed(empty)}, and it has no instance") if empty else None


def _persistence(settings: Settings, answers: Answers) -> Seen | None:
    if not known.smi_works(answers) or not answers["driver.loaded"].ok:
        return None
    lines = answers["gpu.persistence"].out.split()
    if "active" in lines and "socket" not in lines:
        return Seen(
            "nvidia-persistenced runs, and /run/nvidia-persistenced/socket is missing: containers fail to start",
            severity="error",
        )
    return None if "active" in lines else Seen("nvidia-persistenced does not run")


RULES = (
    Rule(
        "fabric-manager", "error", "where there are NVSwitches, Fabric Manager runs in the driver's version",
        "Until Fabric Manager has set the switches up, CUDA says 802, `system not yet initialized`.",
        "apt-get install nvidia-fabricmanager-$(cut -d. -f1 /sys/module/nvidia/version) && "
        "systemctl enable --now nvidia-fabricmanager",
        "https://github.com/pytorch/pytorch/issues/35710",
        (*NEEDS_GPU, "gpu.cuda", "gpu.fabric"), _fabric,
    ),
    Rule(
        "cuda-dead", "error", "CUDA starts on the host",
        "nvidia-smi does not use CUDA and goes on working after a suspend, or without /dev/nvidia-uvm, when every "
        "program in every container says `CUDA unknown error`.",
        "docker stop $(docker ps -q); modprobe -r nvidia_uvm && modprobe nvidia_uvm",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/1155",
        (*NEEDS_GPU, "gpu.cuda"), _cuda,
    ),
    Rule(
        "mig-empty", "error", "each GPU with MIG on has instances",
        "With MIG on, a GPU computes only through its instances.",
        "nvidia-smi mig -lgip; nvidia-smi mig -cgi PROFILE -C; or, to switch it off: nvidia-smi -mig 0",
        "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/",
        (*NEEDS_GPU, "gpu.query", "gpu.list"), _mig,
    ),
    Rule(
        "persistence", "note", "the driver stays loaded between programs",
        "Without the persistence daemon the driver sets each GPU up anew for each first program: seconds each time.",
        "systemctl enable --now nvidia-persistenced",
        "https://docs.nvidia.com/deploy/driver-persistence/",
        (*NEEDS_GPU, "gpu.persistence"), _persistence,
    ),
)  # fmt: skip
