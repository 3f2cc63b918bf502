"""The table of `status`: hosts that answered, that could not be reached, and that could not be asked."""

from __future__ import annotations

from dataclasses import replace

from gpudock.errors import CannotTell, Unreachable
from gpudock.step import Outcome
from gpudock.steps import status
from gpudock.steps.gpus import Gpu
from gpudock.steps.jupyter import Jupyter
from gpudock.steps.services import Services
from gpudock.steps.status import Status
from tests.conftest import Settle
from tests.golden.test_plans import CONTAINER, IMAGE
from tests.golden.toolkit_facts import NONE

H100 = Gpu(0, "GPU-0", "NVIDIA H100 80GB HBM3", 97.0, 71000.0, 81559.0, 61.0, 655.0, 700.0)


def lab(services: Services) -> Jupyter:
    """JupyterLab's facts with these services, all else as it is where nothing was set."""
    return Jupyter(**{**dict.fromkeys(Jupyter.__dataclass_fields__, ""), "services": services})  # type: ignore[arg-type]


def test_many_hosts_are_one_table(settle: Settle) -> None:
    """A row a host, in the order given; without an answer there are dashes, and whether it was reached."""
    running = replace(CONTAINER, id="c", status="running", health="healthy", image=replace(IMAGE, created=""))
    up = Status(NONE, lab(Services(running, ("ssh",), ("ssh",))), (H100, H100))
    bare = Status(NONE, lab(Services(replace(CONTAINER, image=replace(IMAGE, id="", created="")), (), ())), ())
    shown = {"gpu01": status.cells(settle(), up), "gpu04": status.cells(settle(), bare)}
    outcomes = [
        Outcome("gpu02", "status", "failed", error=Unreachable("no")),
        Outcome("gpu03", "status", "failed", error=CannotTell("a daemon that hangs")),
    ]
    assert (
        status.table(["gpu01", "gpu02", "gpu03", "gpu04", "gpu05"], shown, outcomes, ["gpu05"])
        == """\
host   reachable  system     driver     toolkit  engine  image  container  ssh  jupyter  ports                     gpus
gpu01  yes        debian 13  580.95.05  -        26.1.5  -      healthy    on   off      8022 8888 7680 5280 7990  2 x H100 80GB HBM3, 139/159 GiB, 97 %
gpu02  no         -          -          -        -       -      -          -    -        -                         -
gpu03  failed     -          -          -        -       -      -          -    -        -                         -
gpu04  yes        debian 13  580.95.05  -        26.1.5  -      -          off  off      -                         -
gpu05  not asked  -          -          -        -       -      -          -    -        -                         -"""
    )
