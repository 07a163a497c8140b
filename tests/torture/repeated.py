"""A thread that does something again and again while clients trade."""

from __future__ import annotations

import contextlib
import random
import threading
from abc import ABC, abstractmethod

from tests.torture.retries import Counts


class Repeated(ABC):
    """Calls `act` every so many seconds, until it is stopped. Errors of these kinds are expected, and passed over."""

    seconds: float
    expected: tuple[type[Exception], ...]

    def __init__(self, seed: int, counts: Counts) -> None:
        self._random = random.Random(seed)  # no secret
        self._counts = counts
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread when its current act is over."""
        self._stopping.set()
        self._thread.join()

    @abstractmethod
    def act(self) -> None:
        """Do it once."""

    def _run(self) -> None:
        while not self._stopping.wait(self.seconds):
            with contextlib.suppress(*self.expected):
                self.act()
