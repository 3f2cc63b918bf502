"""A stand-in for NVIDIA's package repository, reached by its real address, and for the programs in it.

`repository` builds and serves it, `packages` makes the packages, `rpms` the same for dnf and zypper, `programs/` is
what they hold, `plug_in_gpu` gives a host a driver. There is no /proc/driver/nvidia and no device node: these cannot be
faked in a container.
"""

from tests.hosts.nvidia.gpu import plug_in_gpu
from tests.hosts.nvidia.packages import EXPERIMENTAL, STABLE
from tests.hosts.nvidia.repository import Repository, serve
from tests.hosts.nvidia.rpms import serve_rpms

__all__ = ["EXPERIMENTAL", "STABLE", "Repository", "plug_in_gpu", "serve", "serve_rpms"]
