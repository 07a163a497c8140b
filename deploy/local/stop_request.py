"""The signals that end `make run`."""

import signal
import time
from types import FrameType

from servicekit.signal_event import SignalEvent


class StopRequest:
    """True once SIGINT, SIGTERM or SIGHUP has arrived; `is_urgent` after a second SIGINT."""

    def __init__(self) -> None:
        self._requested = SignalEvent()
        self._requested_at = 0.0
        self.is_urgent = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        # Under nohup the stack outlives its terminal.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._requested.is_set():
            self._requested_at = time.monotonic()
            self._requested.set()
        # One Ctrl-C may arrive twice, from the terminal and from make.
        elif number == signal.SIGINT and time.monotonic() - self._requested_at > 0.5:
            self.is_urgent = True

    def __bool__(self) -> bool:
        return self._requested.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for a request to stop, at most so long; return whether there is one."""
        return self._requested.wait(seconds)
