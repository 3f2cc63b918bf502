"""Fixtures of the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bootstrap


@pytest.fixture
def project(tmp_path: Path) -> bootstrap.Project:
    """Make a copy of the checkout with a tiny lock, for the bootstrap script to work in."""
    return bootstrap.make(tmp_path)
