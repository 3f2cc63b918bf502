"""The driver: there, loaded, of one version, and the one that has the GPU."""

from __future__ import annotations

import re

from gpudock.answers import Answers
from gpudock.errors import CannotTell
from gpudock.settings import Settings
from gpudock.steps.doctor import known
from gpudock.steps.doctor.known import NEEDS_GPU
from gpudock.steps.doctor.rule import Rule, Seen

OTHERS = ("nouveau", "nova_core", "nova-core", "NovaCore", "nova")
BLACKLIST = (
    "printf 'blacklist %s\\n' nouveau nova_core nova_drm >/etc/modprobe.d/no-nouveau.conf && "
    "{ update-initramfs -u || dracut -f; } && reboot"
)


def _required(settings: Settings, answers: Answers) -> Seen | None:
    if settings.gpu.use != "required" or known.has_gpu(answers):
        return None
    return Seen("gpu.use is required, and no NVIDIA device is on the PCI bus and no driver answers")


def _missing(settings: Settings, answers: Answers) -> Seen | None:
    gpus = known.pci_gpus(answers)
    if not gpus or answers["driver.loaded"].ok or known.smi_works(answers) or any(row[2] for row in gpus):
        return None
    release = answers["os-release"].out
    fix = "ubuntu-drivers install --gpgpu && reboot" if re.search(r"^ID=ubuntu", release, re.MULTILINE) else ""
    return Seen(f"{len(gpus)} NVIDIA GPU on the PCI bus ({gpus[0][0]}), and no driver is loaded for it", fix)


def _mismatch(settings: Settings, answers: Answers) -> Seen | None:
    said = re.search(r"version mismatch\s*\n?(?:NVML library version: ([\d.]+))?", answers["gpu.smi"].out)
    loaded, installed = known.driver(answers), answers["driver.module"].out.strip()
    if said:
        library = said.group(1) or installed or "another one"
        return Seen(f"the kernel runs driver {loaded or '(unknown)'}, the libraries are of {library}")
    if not (answers["driver.loaded"].ok and installed) or loaded == installed:
        return None
    return Seen(f"the kernel runs driver {loaded}, the module on disk is {installed}: the next container start fails")


def _silent(settings: Settings, answers: Answers) -> Seen | None:
    smi = answers["gpu.smi"]
    if smi.ok or "mismatch" in smi.out or not answers["driver.loaded"].ok:
        return None
    if smi.timed_out:
        return Seen("the driver is loaded, and nvidia-smi hangs")
    if smi.not_found:
        return Seen("the driver is loaded, and there is no nvidia-smi: its user-space part is missing")
    return Seen(f"the driver is loaded, and nvidia-smi says: {_first(smi.out)}")


def _taken(settings: Settings, answers: Answers) -> Seen | None:
    for address, _, bound in known.pci_gpus(answers):
        if bound in OTHERS:
            return Seen(f"the GPU at {address} is bound to {bound}, not to nvidia")
        if bound == "vfio-pci":
            text = f"the GPU at {address} is bound to vfio-pci: it is kept for a virtual machine"
            return Seen(text, "driverctl unset-override " + address, "note")
    log = answers["gpu.kernel-log"].out
    if held := re.search(r"NVRM: GPU (\S+) is already bound to (\w+)", log):
        return Seen(f"the GPU at {held.group(1)} is bound to {held.group(2)}, not to nvidia")
    return None


def _secure_boot(settings: Settings, answers: Answers) -> Seen | None:
    if not known.pci_gpus(answers) or answers["driver.loaded"].ok:
        return None
    if "Key was rejected by service" in answers["gpu.kernel-log"].out:
        return Seen("the kernel said `Key was rejected by service` when the driver was loaded")
    said = answers["driver.secure-boot"].out
    if "SecureBoot enabled" in said and answers["driver.module"].ok and re.search(r"^signer: *$", said, re.MULTILINE):
        return Seen("Secure Boot is on, the driver's module is not signed, and no driver is loaded")
    return None


def _wsl(settings: Settings, answers: Answers) -> Seen | None:
    lines = answers["driver.wsl"].out.splitlines()
    if "wsl" not in lines[:1]:
        return None
    installed = [line.split()[0] for line in lines[1:] if line.endswith(" installed")]
    return Seen(f"this is WSL, and it has Linux's own driver: {known.listed(installed)}") if installed else None


def _xid(settings: Settings, answers: Answers) -> Seen | None:
    if not known.has_gpu(answers):
        return None
    if not answers["gpu.kernel-log"].ok and not answers["gpu.kernel-log"].out:
        raise CannotTell("the kernel's log cannot be read")
    if "fallen off the bus and is not responding" in answers["gpu.kernel-log"].out:
        return Seen("a GPU has fallen off the bus and does not respond", severity="error")
    found = re.findall(r"NVRM: Xid \(PCI:([\w:.]+)[^)]*\): (\d+)", answers["gpu.kernel-log"].out)
    if not found:
        return None
    lost = [bus for bus, number in found if number in ("79", "48", "63", "64", "74", "94", "95", "119", "120")]
    numbers = known.listed(sorted({number for _, number in found}, key=int))
    text = f"the driver logged {len(found)} Xid since the start ({numbers}), last at {found[-1][0]}"
    return Seen(text, severity="error" if lost else "warning")


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "nothing")


RULES = (
    Rule(
        "gpu-required", "error", "a GPU is here, where the settings require one",
        "With gpu.use at required, setup stops on a host without a GPU.",
        "{gpudock} setup --set gpu.use=auto",
        "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/",
        NEEDS_GPU, _required,
    ),
    Rule(
        "driver-missing", "error", "each GPU on the PCI bus has a driver",
        "Containers use the host's driver; none can be installed in a container.",
        "apt-get install nvidia-driver && reboot",
        "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/",
        (*NEEDS_GPU, "os-release"), _missing,
    ),
    Rule(
        "driver-mismatch", "error", "the loaded driver and its libraries are of one version",
        "An upgrade (often unattended-upgrades) has replaced the driver on disk. What runs goes on; whatever starts "
        "next fails with `Driver/library version mismatch`.",
        "reboot",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/394",
        (*NEEDS_GPU, "driver.module"), _mismatch,
    ),
    Rule(
        "driver-silent", "error", "nvidia-smi answers",
        "A driver that is loaded and does not answer gives no GPU to any container.",
        "dmesg | grep NVRM | tail; reboot",
        "https://docs.nvidia.com/deploy/xid-errors/",
        NEEDS_GPU, _silent,
    ),
    Rule(
        "gpu-taken", "error", "NVIDIA's driver has the GPU, no other one",
        "nouveau, or nova_core on Ubuntu 26.04, took the GPU at boot, so that NVIDIA's module finds none.",
        BLACKLIST,
        "https://github.com/beclab/Olares/pull/3963",
        (*NEEDS_GPU, "gpu.kernel-log"), _taken,
    ),
    Rule(
        "secure-boot", "error", "Secure Boot lets the driver be loaded",
        "Under Secure Boot the kernel loads only modules signed by a key that is enrolled.",
        "mokutil --import /var/lib/shim-signed/mok/MOK.der && reboot",
        "https://github.com/NVIDIA/gpu-driver-container/issues/44",
        (*NEEDS_GPU, "driver.module", "driver.secure-boot", "gpu.kernel-log"), _secure_boot,
    ),
    Rule(
        "wsl-driver", "error", "under WSL no Linux driver is installed",
        "In WSL the driver is Windows' own; Linux's shadows its libraries and sees no GPU.",
        "apt-get purge 'nvidia-driver*' 'nvidia-dkms*'",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/155",
        ("driver.wsl",), _wsl,
    ),
    Rule(
        "gpu-xid", "warning", "the driver has logged no Xid error since the start",
        "An Xid is the driver's report of a GPU error: 79 is a GPU that fell off the bus, 48, 63, 64, 94 and 95 are "
        "memory; others can be a program's own fault.",
        "dmesg | grep Xid; nvidia-smi -q | grep -A3 -i 'retired\\|remapped'",
        "https://docs.nvidia.com/deploy/xid-errors/",
        (*NEEDS_GPU, "gpu.kernel-log"), _xid,
    ),
)  # fmt: skip
