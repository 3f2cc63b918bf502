"""The start of the program, which is most of what a run with nothing to change costs. Import nothing of ours here."""

from __future__ import annotations

import sys
from types import ModuleType

ABSENT = ("unittest", "unittest.mock")


def import_invoke() -> None:
    """Import Invoke without unittest.mock, and so without asyncio: 60 ms for a class of its that only tests use.

    Whoever imports unittest.mock afterwards gets the real one.
    """
    if any(name in sys.modules for name in ABSENT):
        return
    for name in ABSENT:
        sys.modules[name] = ModuleType(name)
    sys.modules["unittest"].__path__ = []
    sys.modules["unittest.mock"].__dict__["Mock"] = object
    try:
        import invoke  # noqa: F401
    finally:
        for name in ABSENT:
            del sys.modules[name]
