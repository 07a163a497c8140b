"""An event that a signal's handler may set."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

# A signal that comes just before the thread sleeps does not wake it: its handler runs when the sleep is over.
_LONGEST_SLEEP_SECONDS = 0.5


class SignalEvent:
    """Like `threading.Event`, but its `set` may be called by the handler of a signal.

    A handler runs in the main thread, between any two of its instructions. When those are in `Event.wait`, which holds
    a lock, `Event.set` waits for that lock, and the process hangs.
    """

    def __init__(self) -> None:
        self._is_set = False
        # Held until the event is set: a thread that waits sleeps until it gets it.
        self._lock = threading.Lock()
        self._lock.acquire()

    def is_set(self) -> bool:
        """Return whether `set` was called."""
        return self._is_set

    def set(self) -> None:
        """End all waits, now and later."""
        self._is_set = True
        self._release()

    def wait(self, seconds: float = float("inf")) -> bool:
        """Wait until the event is set, or for so long; return whether it is set."""
        end = time.monotonic() + seconds
        while not self._is_set and (left := end - time.monotonic()) > 0:
            if self._lock.acquire(timeout=min(left, _LONGEST_SLEEP_SECONDS)):
                self._release()
        return self._is_set

    def _release(self) -> None:
        # A second `set`, or one while another thread ends its wait, finds the lock released.
        with suppress(RuntimeError):
            self._lock.release()
