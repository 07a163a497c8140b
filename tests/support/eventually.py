"""The one way in which tests wait for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = 30.0, every: float = 0.02) -> T:
    """Return the condition's first truthy value. Raises AssertionError with its last value after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} s it is still {value!r}"
        time.sleep(every)
    return value
