"""What a machine is, by what its kernel, its tools and dpkg's files say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gpudock.steps import machine, ports
from tests.golden import recordings


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (recordings.LOADED_570, "570.133.20"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (dvs@U16)", "565.57.01"),
        ("580.173.02", "580.173.02"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", ""),
        ("", ""),
    ],
)
def test_the_driver_is_known_by_its_number(said: str, version: str) -> None:
    """From either kernel module or from nvidia-smi; what nvidia-smi says of a failure is no version."""
    found = machine.VERSION.search(said)
    assert (found.group(1) if found else "") == version


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(
    ("status", "update", "half"),
    [
        ("install ok installed", False, False),
        ("deinstall ok config-files", False, False),
        ("install ok half-configured", False, True),
        ("install ok triggers-pending", False, True),
        ("install reinstreq half-installed", False, True),
        ("install ok installed", True, True),
    ],
)
def test_what_dpkg_left_half_done_is_seen(tmp_path: Path, shell: str, status: str, update: bool, half: bool) -> None:
    """A state between two, or a journal that was not taken up: apt-get does nothing before it is finished."""
    (tmp_path / "status").write_text(f"Package: half-life\nStatus: {status}\nDescription: unpacked\n")
    (tmp_path / "updates").mkdir()
    if update:
        (tmp_path / "updates" / "0001").touch()
    script = machine.HALF_DONE.replace("/var/lib/dpkg", str(tmp_path))
    assert (subprocess.run([shell, "-c", script], check=False).returncode == 0) is half


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_processes_are_looked_for_only_where_a_wanted_port_is_no_containers(tmp_path: Path, shell: str) -> None:
    """To name them ss reads all that every process of the host has open: up to a second where there are many."""
    (tmp_path / "ss").write_text(
        "#!/bin/sh\necho \"LISTEN 0 4096 127.0.0.1:$PORT 0.0.0.0:* $*\"\necho 'LISTEN 0 4096 *:22 *:*'\n"
    )
    (tmp_path / "ss").chmod(0o755)
    engine = tmp_path / "engine"
    engine.write_text('[{"Ports":[{"PrivatePort":80,"PublicPort":8888,"Type":"tcp"},{"PublicPort":80220}]}]')

    def asked(port: str) -> str:
        """How ss was asked where it says that this port has a listener."""
        environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "engine": str(engine), "PORT": port}
        script = [shell, "-c", ports.LISTENERS, "sh", "8022", "8888"]
        return subprocess.run(script, env=environ, capture_output=True, text=True, check=True).stdout.split()[5]

    assert {port: asked(port) for port in ("8888", "8022", "88", "18888")} == {
        "8888": "-Hltn",
        "8022": "-Hltnp",
        "88": "-Hltn",
        "18888": "-Hltn",
    }
