"""NVIDIA's CUDA repositories as the toolkit's source, for networks that reach developer.download.nvidia.cn alone.

Stable releases come there too: to the trees of Debian 12 and Ubuntu 22.04 for certain, and not to Debian 13's
(https://github.com/NVIDIA/cuda-repo-management/issues/45). The packages are the same for every distribution, so Ubuntu
24.04 takes those of 22.04. Debian 13's apt is left out: it warns that it will reject this repository's signature.
All else there, drivers above all, must not reach a host by this: apt's preferences see to that.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpudock.errors import Refused, UsageError
from gpudock.settings import Settings
from gpudock.steps.machine import Machine

PREFERENCES = "/etc/apt/preferences.d/gpudock-nvidia-container-toolkit"
TREES = {("debian", "12"): "debian12", ("ubuntu", "22.04"): "ubuntu2204", ("ubuntu", "24.04"): "ubuntu2204"}
PINS = """Package: *
Pin: origin "{host}"
Pin-Priority: -1

Package: {packages}
Pin: origin "{host}"
Pin-Priority: 500
"""


def chosen(settings: Settings) -> bool:
    """Whether the toolkit comes from there."""
    return settings.toolkit.source == "cuda"


def tree(settings: Settings, machine: Machine) -> str:
    """The address of the flat repository for a machine. Raises UsageError where none is known to have the toolkit."""
    name = TREES.get((machine.distribution, machine.version))
    if name is None or machine.architecture not in ("amd64", "x86_64"):
        raise UsageError(
            "toolkit.source is cuda, and NVIDIA's CUDA repositories are known to have the toolkit for Debian 12 and "
            "Ubuntu 22.04 and 24.04 on amd64, and this is "
            f"{machine.distribution} {machine.version} {machine.architecture}. Use toolkit.source=github, with a "
            "mirror where need be: --set mirrors.toolkit=URL, or --set mirror=cn."
        )
    return f"{settings.toolkit.cuda_repository.rstrip('/')}/{name}/x86_64"


def need_stable(settings: Settings) -> None:
    """Raise UsageError for the experimental channel: these repositories have none."""
    if settings.toolkit.channel == "experimental":
        raise UsageError(
            "toolkit.channel is experimental, and NVIDIA's CUDA repositories have stable releases alone. Use "
            "toolkit.source=github for experimental ones."
        )


def need_no_other(settings: Settings, machine: Machine, others: Mapping[str, str]) -> None:
    """Raise Refused where another file has the same repository: apt would refuse both, and its owner needs it."""
    address = tree(settings, machine)
    for path, text in others.items():
        if any(address in line and not line.lstrip().startswith("#") for line in text.splitlines()):
            raise Refused(
                f"{path} names {address} already, with a key of its own, and may bring this host's driver. Take it "
                "away yourself, or use toolkit.source=github."
            )


def key_address(settings: Settings, machine: Machine) -> str:
    """Where the key is: 3bf863cc signs the trees for deb (NVIDIA's driver installation guide, "GPG Keys …")."""
    return f"{tree(settings, machine)}/3bf863cc.pub"


def render(settings: Settings, machine: Machine, keyring: str) -> str:
    """Write the list: one flat repository."""
    return f"deb [signed-by={keyring}] {tree(settings, machine)}/ /\n"


def preferences(settings: Settings, packages: tuple[str, ...]) -> str | None:
    """Apt's preferences: the toolkit's packages from there and nothing else; None for another source."""
    if not chosen(settings):
        return None
    host = settings.toolkit.cuda_repository.partition("://")[2].partition("/")[0].partition(":")[0]
    return PINS.format(host=host, packages=" ".join(packages))
