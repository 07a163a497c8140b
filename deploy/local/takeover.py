"""A new Envoy takes over from the running one, which ends its requests: Envoy's hot restart, led by supervisord.

Both are children of supervisord. The new one gets the sockets of the old one, so that no connection is lost, and after
`PARENT_SECONDS` it ends the old one. If the new one was killed before that, supervisord ends the old one. This is the
namespace `edge` of supervisord's calls; docs/adr/0048 says why.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, RPCError

# The old Envoy may live for so long after the new one has taken over. It must not end before: the new one would abort.
PARENT_SECONDS = 60
# An Envoy that is still there then is ended by supervisord.
_LATEST_SECONDS = PARENT_SECONDS + 5
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # Envoy's
# The name of Envoy's process.
ENVOY = "envoy"


def options() -> list[str]:
    """Return the options of Envoy: those of hot restart, where this machine has what it takes."""
    if not os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
        return ["--disable-hot-restart"]
    return ["--parent-shutdown-time-s", str(PARENT_SECONDS)]


def numbered(words: Sequence[str], pid: int) -> list[str]:
    """Return the command of a process with this pid, which is the first of a row of Envoys if it is one.

    Each row needs a number that no other one on the machine has: its first pid.
    """
    return [*words, *(_numbers(pid, 0) if "--parent-shutdown-time-s" in words else [])]


def _numbers(base: int, epoch: int) -> list[str]:
    return ["--base-id", str(base), "--restart-epoch", str(epoch)]


class _EndCallback:
    """A stand-in for supervisord's process; supervisord calls its `finish` when the process has ended."""

    def __init__(self, callback: Callable[[int, int], None]) -> None:
        self._callback = callback

    def finish(self, pid: int, status: int) -> None:
        self._callback(pid, status)


class Takeover:
    """The calls `edge.begin` and `edge.complete`."""

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord
        self._base = self._epoch = 0
        # The process that supervisord knows, and the one that takes over from it.
        self._current = self._next = 0
        # Those that end their requests, and when each has to have ended.
        self._last: dict[int, float] = {}

    def begin(self) -> list[int]:
        """Start a new Envoy, which takes over once it has begun to serve. Return its pid and its epoch."""
        process = self._process
        # An old Envoy of another row hinders no takeover: the newest of its row was killed.
        if self._next or (self._last and process.pid == self._current):
            raise RPCError(Faults.FAILED, "an Envoy still ends its requests")
        filename, words = process.get_execv_args()
        if not process.pid:
            raise RPCError(Faults.NOT_RUNNING, ENVOY)
        if "--parent-shutdown-time-s" not in words:
            raise RPCError(
                Faults.FAILED, f"Envoy runs without hot restart, since {_SHARED_MEMORY} cannot be written to"
            )
        if process.pid != self._current:
            self._base = self._current = process.pid
            self._epoch = 0
        started = subprocess.Popen(
            [filename, *words[1:], *_numbers(self._base, self._epoch + 1)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        self._next = started.pid
        self._history[self._next] = _EndCallback(self._next_has_ended)
        self._history[process.pid] = _EndCallback(self._current_has_ended)
        return [self._next, self._epoch + 1]

    def complete(self) -> bool:
        """Make the new Envoy supervisord's, after it has taken over. Return whether it was still there."""
        if not self._next:
            return False
        last = self._current
        self._history[last] = _EndCallback(self._last_has_ended)
        self._last[last] = time.monotonic() + _LATEST_SECONDS
        self._adopt()
        return True

    def remember(self, bases: set[int]) -> None:
        """Add the number of the current row of Envoys, if there is one."""
        pid = self._process.pid if ENVOY in self._supervisord.process_groups else 0
        if pid and pid != self._current:
            bases.add(pid)

    def end_late_ones(self) -> None:
        """End each old Envoy whose time is over: when the one that took over was killed, it does not end otherwise."""
        for pid, latest in self._last.items():
            if time.monotonic() > latest:
                _terminate(pid)

    def _adopt(self) -> None:
        process = self._process
        process.pid, process.laststart = self._next, time.time()
        self._history[self._next] = process
        self._current, self._next = self._next, 0
        self._epoch += 1

    def _last_has_ended(self, pid: int, _status: int) -> None:
        del self._last[pid]

    def _next_has_ended(self, _pid: int, _status: int) -> None:
        self._next = 0
        self._history[self._current] = self._process

    def _current_has_ended(self, pid: int, status: int) -> None:
        """Adopt the new Envoy, as when `make restart` was killed; or end both when the stack stops."""
        if not self._next:
            self._process.finish(pid, status)
        elif self._process.killing:
            _terminate(self._next)
            self._process.finish(pid, status)
        else:
            self._adopt()

    @property
    def _process(self) -> Any:
        return self._supervisord.process_groups[ENVOY].processes[ENVOY]

    @property
    def _history(self) -> dict[int, Any]:
        history: dict[int, Any] = self._supervisord.options.pidhistory
        return history


def make_interface(supervisord: Any, **_: Any) -> Takeover:
    """Return the object whose methods supervisord serves."""
    interface = supervisord.edge = Takeover(supervisord)
    return interface


def remove_shared_memory(bases: set[int]) -> None:
    """Remove the files that Envoy leaves behind."""
    for base in bases:
        with contextlib.suppress(OSError):
            (_SHARED_MEMORY / f"envoy_shared_memory_{base * 10}").unlink()


def _terminate(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
