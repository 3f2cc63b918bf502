"""What tools print when they fail, and the next move that goes with it."""

from __future__ import annotations

import pytest

from gpudock.errors import paragraph
from gpudock.failures import next_move

SAID = {
    "No such command: versionlock. Please use /usr/bin/dnf --help": "dnf-command(versionlock)",
    "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)": "apt.lock_timeout",
    "E: Unable to locate package nvidia-container-toolkit": "mirrors.apt",
    "E: Packages need to be removed but remove is disabled.": "apt-get remove NAME",
    "  cause: Because wandbb was not found in the package registry and you require wandbb": "additions.pip",
    "E: Release file for http://mirror.test/dists/x/InRelease is not valid yet (invalid for another 2h)": "timedatectl",
    "Error starting userland proxy: listen tcp4 127.0.0.1:9001: bind: address already in use": "jupyter.port",
    "dpkg: error: cannot write to log file: No space left on device": "df -h",
    "docker: Error response from daemon: unknown or invalid runtime name: nvidia.": "toolkit.install",
    'Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]': "gpu.mode=runtime",
    "error: Failed to fetch: `https://mirror.test/simple/six/`": "network.https_proxy",
    "Unpacking torch\n\n(ended by SIGKILL)": "dmesg",
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError': /simple/uv/": "mirrors.apt=URL",
    "curl: (60) SSL certificate problem: self-signed certificate in certificate chain": "network.ca_bundle",
}


@pytest.mark.parametrize(("said", "advice"), SAID.items())
def test_the_next_move_fits_what_the_tool_said(said: str, advice: str) -> None:
    """The setting, command or task that helps is named, also where other lines stand around it."""
    assert advice in next_move(f"some line before\n{said}\nand one behind")


def test_what_nobody_knows_has_a_general_answer() -> None:
    """No guess."""
    assert next_move("segmentation fault").startswith("Mend what it says")


def test_a_tools_last_lines_are_shown_and_none_fills_the_screen() -> None:
    """Of a line with the names of all packages, as mmdebstrap has it, an error shows what one reads."""
    said = paragraph("make a base", "\n".join(["first", *["x" * 6000] * 12]), "Mend it.").splitlines()
    assert (len(said), "first" in said[1]) == (14, False)
    assert max(map(len, said)) < 320
