"""Waiting for a condition that another thread or process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = 30.0, every: float = 0.02) -> T:
    """Call the condition until its value is truthy, and return the value.

    Raises AssertionError with the last value after `seconds`; the condition is called at least once.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s it is still {value!r}")
        time.sleep(every)
    return value
