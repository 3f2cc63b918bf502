"""Faults for doctor to find: how each is made on a real host, how it is undone, and what doctor must say of it.

They come in batches that can be made at once, so that one look finds all of a batch. Where the fault lies in a
program that a test host cannot have (snap, SELinux), a stand-in prints what the real one prints.
"""

from __future__ import annotations

from tests.hosts.faults import containers, host, toolkit
from tests.hosts.faults.fault import Batch, Fault

BATCHES = {batch.name: batch for batch in (toolkit.BATCH, host.BATCH, containers.BATCH, host.STOPPED)}

__all__ = ["BATCHES", "Batch", "Fault"]
