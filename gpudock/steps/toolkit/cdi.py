"""The Container Device Interface: the specification that names the GPUs, and the switch in older Dockers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpudock.actions import Action, Run, shell
from gpudock.answers import Answers
from gpudock.questions import Questions
from gpudock.questions import shell as question
from gpudock.settings import Settings
from gpudock.steps.engine import Engine
from gpudock.steps.gpu_mode import ENABLED_BY_DEFAULT, choose, needs_specification, numbers
from gpudock.steps.machine import Machine

GENERATED = "/var/run/cdi/nvidia.yaml"  # lost on reboot, when nvidia-cdi-refresh makes it anew
STATIC = "/etc/cdi/nvidia.yaml"
UNIT = "nvidia-cdi-refresh"

# The specification names the driver's libraries with their version: one of a former driver does not hold.
LOOK = """for folder in /etc /run /usr/local/lib /usr/lib /lib; do
  [ ! -d /run/systemd/system ] || [ ! -e "$folder/systemd/system/$3.service" ] || { echo unit; break; }
done
for file in "$1" "$2"; do
  [ ! -s "$file" ] || { echo "file $file"; grep -o '[.]so[.][0-9][0-9.]*[0-9]' "$file" | sort -u; }
done; :"""
QUESTIONS: Questions = {"toolkit.cdi": question(LOOK, GENERATED, STATIC, UNIT)}


@dataclass(frozen=True)
class Specification:
    """The CDI specification on a host. `unit` tells whether the toolkit's own service keeps it fresh."""

    paths: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    unit: bool = False
    enabled: bool = False

    def fits(self, driver: str) -> bool:
        """Whether it is there and of this driver."""
        return bool(self.paths) and driver in self.drivers


def read(answers: Answers, info: Mapping[str, Any]) -> Specification:
    """Make a Specification of the answers and of `docker info`."""
    lines = answers["toolkit.cdi"].out.splitlines()
    return Specification(
        paths=tuple(line.removeprefix("file ") for line in lines if line.startswith("file ")),
        drivers=tuple(sorted({line.removeprefix(".so.") for line in lines if line.startswith(".so.")})),
        unit="unit" in lines,
        enabled=bool(info.get("CDISpecDirs")),
    )


def switch_needed(settings: Settings, engine: Engine) -> bool:
    """Whether daemon.json has to switch CDI on: before Docker 28.2 it is off by default."""
    return choose(settings, engine).mode == "cdi" and numbers(engine.version) < ENABLED_BY_DEFAULT


def generate(settings: Settings, engine: Engine, machine: Machine, found: Specification) -> list[Action]:
    """Have a specification of this driver, by the toolkit's own service where it has one, else generated."""
    if not needs_specification(settings, engine) or not machine.driver or found.fits(machine.driver):
        return []
    if found.unit and machine.systemd:
        return [shell("have the CDI specification kept fresh", REFRESH, UNIT)]
    return [Run("generate the CDI specification", ("nvidia-ctk", "cdi", "generate", f"--output={STATIC}"))]


REFRESH = 'systemctl enable --now "$1.path" && systemctl restart "$1.service"'
