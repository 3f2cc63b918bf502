"""What holds for all tests on hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# paramiko leaves sockets to the garbage collector, which may come upon them in any later test of the process.
PARAMIKO = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no test answer for what another has left to the garbage collector."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(PARAMIKO)
