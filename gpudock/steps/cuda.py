"""Which CUDA: what the host's driver can run, by the table config/cuda.yml."""

from __future__ import annotations

from gpudock.config import load_families
from gpudock.errors import CannotTell, Refused, UsageError
from gpudock.inventory import nearest
from gpudock.settings import Family, Settings
from gpudock.steps.machine import Machine, wants_gpu

ARM = ("arm64", "aarch64")


def family(settings: Settings, machine: Machine) -> Family:
    """The CUDA to build for: the newest that the driver runs, or the one that image.cuda asks for.

    Without a GPU to serve, the newest: its torch runs on the CPU too. Raises Refused where the driver is too old.
    """
    known = load_families()
    asked = settings.image.cuda
    if asked != "auto" and asked not in known:
        raise UsageError(f"image.cuda: there is no {asked} in config/cuda.yml.{nearest(asked, known)}")
    if not wants_gpu(settings, machine):
        return next(iter(known.values())) if asked == "auto" else known[asked]
    name = newest(machine.driver)
    if asked == "auto" and name:
        return known[name]
    if asked in known and known[asked].driver <= major(machine.driver):
        return known[asked]
    raise Refused(_too_old(asked, machine.driver))


def newest(driver: str) -> str:
    """The name of the newest CUDA that a driver runs; empty where it is too old for all."""
    return next((name for name, family in load_families().items() if family.driver <= major(driver)), "")


def major(driver: str) -> int:
    """A driver's major version: 580 of 580.95.05. Raises CannotTell where nvidia-smi answered with an error."""
    number = driver.partition(".")[0]
    if not number.isdecimal():
        raise CannotTell(
            f"The NVIDIA driver does not tell its version, but says: {driver}. Run nvidia-smi on the host."
        )
    return int(number)


def torch_lock(settings: Settings, machine: Machine) -> str:
    """The name of the lock with the torch that fits. Raises Refused where it has no wheels for Python or machine."""
    chosen = family(settings, machine)
    newer = f"update the driver to {next(iter(load_families().values())).driver} or newer"
    if minor(settings.image.python) > minor(chosen.python):
        raise Refused(
            f"There is no torch for Python {settings.image.python} and this host's driver {machine.driver or 'none'}: "
            f"{chosen.torch} has wheels up to Python {chosen.python}. Choose --set \"image.python='{chosen.python}'\", "
            f"or {newer}."
        )
    if wants_gpu(settings, machine) and machine.architecture in ARM and not chosen.aarch64:
        raise Refused(
            f"{chosen.torch}, the torch for this host's driver {machine.driver}, has no wheels with CUDA for "
            f"{machine.architecture}: {newer}, or leave torch out: --set image.groups=[notebook,app]"
        )
    return chosen.torch


def minor(python: str) -> int:
    """Python's minor version: 11 of 3.11."""
    return int(python.partition(".")[2])


def _too_old(asked: str, driver: str) -> str:
    known = load_families()
    if asked == "auto":
        name, oldest = list(known.items())[-1]
        return (
            f"The NVIDIA driver {driver} of this host is too old: {name}, the oldest CUDA of config/cuda.yml, needs "
            f"{oldest.driver} or newer. Update the driver, or build without a GPU: --set gpu.use=off"
        )
    works = newest(driver)
    choice = f"--set image.cuda={works} works with it" if works else "none of config/cuda.yml works with it"
    return (
        f"The NVIDIA driver {driver} of this host is too old for image.cuda={asked}, which needs {known[asked].driver} "
        f"or newer: {choice}; or update the driver."
    )
