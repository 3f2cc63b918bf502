"""Whom the build and the container's tools trust: the authorities of the host, or those of a file of the operator's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gpudock.actions import Action, Run, Write
from gpudock.files import text
from gpudock.settings import Settings
from gpudock.steps.machine import Machine

AUTO = "auto"
VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")  # where Python's tools look for a CA bundle


def given(settings: Settings, machine: Machine) -> bool:
    """Whether there are certificates to hand on."""
    return bool(machine.authorities) if settings.network.ca_bundle == AUTO else bool(settings.network.ca_bundle)


def digest(settings: Settings, machine: Machine) -> str:
    """The SHA-256 of the certificates to hand on; empty where there are none."""
    if settings.network.ca_bundle == AUTO:
        return machine.authorities_hash
    return hashlib.sha256(_text(settings).encode()).hexdigest() if settings.network.ca_bundle else ""


def place(settings: Settings, machine: Machine, why: str, path: str) -> Action:
    """Put the certificates at a path of the host; they are no secret, and too long to show."""
    if settings.network.ca_bundle == AUTO:
        return Run(why, ("install", "-D", "-m", "0644", machine.authorities, path))
    return Write(why, path, _text(settings), secret=True)


def _text(settings: Settings) -> str:
    return text(Path(settings.network.ca_bundle).expanduser(), "network.ca_bundle")
