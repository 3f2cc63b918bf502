"""A GPU that is not there: the driver's nvidia-smi, as far as tests ask it."""

from __future__ import annotations

from pathlib import Path

from tests.testbed import TestHost

DRIVER = "580.95.05"
SMI = Path(__file__).parent / "programs" / "nvidia-smi"


def plug_in_gpu(host: TestHost, *, count: int = 1, driver: str = DRIVER) -> None:
    """Put an nvidia-smi on the host that shows `count` GPUs and this driver; the stand-in programs look for it."""
    text = SMI.read_text().replace("@COUNT@", str(count)).replace("@DRIVER@", driver)
    host.write("/usr/bin/nvidia-smi", text)
    host.sh("chmod 755 /usr/bin/nvidia-smi")
