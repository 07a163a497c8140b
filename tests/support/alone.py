"""Tests that need the machine for themselves: while one of them runs, no other test of the checkout does.

They measure how a stack serves others beside an attack, or load it with all that the machine has. What else runs would
decide how they end. `pytest.mark.alone` marks them.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until the tests of all processes that use this folder allow it: beside others, or alone.

    The turns are in the order of asking: whoever waits to be alone holds the door, so that nobody else comes in.
    """
    with (folder / "door").open("a") as door, (folder / "machine").open("a") as machine:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # A process that was forked meanwhile has the file, too: closing it would not be enough.
            fcntl.flock(machine, fcntl.LOCK_UN)
