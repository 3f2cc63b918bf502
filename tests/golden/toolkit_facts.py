"""Hosts as the toolkit's steps see them, for the plans' tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpudock.actions import Action
from gpudock.steps.engine import Engine
from gpudock.steps.machine import Machine
from gpudock.steps.toolkit import PACKAGES, Toolkit, daemon
from gpudock.steps.toolkit.change import DaemonFile
from gpudock.steps.toolkit.record import Record

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
DEBIAN = Machine("debian", "", "13", "trixie", "amd64", True, "580.95.05", "ops", 1234, 1234, False, True, AUTHORITIES)
ENGINE = Engine(
    DEBIAN, True, "26.1.5", "", "/usr/bin/docker", True, ("/usr/bin/docker", "compose"), True, ("ops",), False,
    {"runc": {}}, False, 2, False, False,
)  # fmt: skip
NOTED = Record(made=True)
NONE = Toolkit(ENGINE, (), "", None, {}, {}, record=NOTED, running=("db", "web"))
INSTALLED = replace(NONE, source="x", versions=dict.fromkeys(PACKAGES, "1.20.0-1"))
SIGNED = "deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg] "
BASE = "https://nvidia.github.io/libnvidia-container"


def whys(plan: Sequence[Action]) -> list[str]:
    """The log lines of a plan."""
    return [action.why for action in plan]


def with_daemon(text: str | None, **more: Any) -> Toolkit:
    """An installed toolkit beside this daemon.json."""
    return replace(INSTALLED, daemon=DaemonFile(daemon.PATH, text), **more)


def on(facts: Toolkit, **machine: Any) -> Toolkit:
    """The same facts on another machine."""
    return replace(facts, engine=replace(facts.engine, machine=replace(facts.engine.machine, **machine)))
