"""The bootstrap script on machines that tests/unit/test_bootstrap.py cannot pretend: Debian's own Python, no pip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Hosts
from tests.testbed import TestHost


def run(host: TestHost, command: str, user: str = "root") -> tuple[int, list[str]]:
    """Run a command line as a user; return its exit code and all that it printed."""
    said = host.sh(f"su {user} -c '{command}' 2>&1 </dev/null; echo $?").splitlines()
    return int(said[-1]), said[:-1]


@pytest.fixture(scope="module")
def machine(hosts: Hosts, checkout: Path) -> TestHost:
    """Debian 12 with python3 alone, a checkout that nobody can write, and a user without sudo."""
    host = hosts("fresh", "-v", f"{checkout}:/srv/a clone:ro")
    host.sh("useradd --create-home --shell /bin/sh visitor")
    return host


def test_a_user_who_cannot_install_ensurepip_is_told_what_to_type(machine: TestHost) -> None:
    """Debian's python3 has no ensurepip: without root or sudo, one line holds the command, and the exit code is 2."""
    code, said = run(machine, '"/srv/a clone/inv" --version', "visitor")
    assert code == 2
    assert len(said) == 1, said
    assert "sudo apt-get install python3.11-venv" in said[0]


def test_root_gets_ensurepip_installed_and_a_read_only_checkout_works(machine: TestHost) -> None:
    """As root the package is installed, saying so; environment and key pair go to the user's folders, silently the next time."""
    code, said = run(machine, '"/srv/a clone/inv" --version')
    assert code == 0, said
    assert said[0] == "gpudock: installing python3.11-venv, which a virtual environment needs"
    assert said[1].startswith("gpudock: making /root/.cache/gpudock/")
    code, again = run(machine, '"/srv/a clone/fab" --list')
    assert code == 0, again
    assert again[0] == "Available tasks:"
    assert any("toolkit.install" in line for line in again)
    code, planned = run(machine, '"/srv/a clone/inv" plan')
    assert code == 0, planned
    assert machine.sh("ls /root/.local/state/gpudock").split()[:2] == ["id_ed25519", "id_ed25519.lock"]


def test_every_user_of_a_read_only_checkout_has_an_environment_of_their_own(machine: TestHost) -> None:
    """Another user's cache is used for that user, and what failed there is told in one more line."""
    code, said = run(machine, 'PIP_RETRIES=1 PIP_INDEX_URL=http://127.0.0.1:1/ "/srv/a clone/inv" --version', "visitor")
    assert code == 2
    assert len(said) == 2, said
    assert said[0].startswith("gpudock: making /home/visitor/.cache/gpudock/")
    assert "Connection refused" in said[1]


def test_without_a_network_the_first_use_says_what_failed(hosts: Hosts, checkout: Path) -> None:
    """apt-get cannot reach its mirror: one line with the cause and where the whole log is."""
    host = hosts("fresh", "--network", "none", "-v", f"{checkout}:/srv/a clone:ro")
    code, said = run(host, '"/srv/a clone/inv" --version')
    assert code == 2
    assert len(said) == 2, said
    assert said[1].startswith("gpudock: could not install python3.11-venv: Temporary failure resolving ")
    assert said[1].endswith(".log.")
