"""The threads in which a relay makes the deliveries of one topic."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from servicekit.database import Database

# A thread that had nothing to do for this long ends, and with it its connection to the database.
IDLE_SECONDS = 5.0


class DeliveryThreads:
    """Threads that start when they are needed and end when they are idle. Each runs one job at a time.

    They are daemons: a job that hangs does not keep the process from ending.
    """

    def __init__(self, name: str, database: Database) -> None:
        self._name = name
        self._database = database
        self._changed = threading.Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle = 0
        self._stopping = False

    def submit(self, job: Callable[[], None]) -> None:
        """Run the job at once, in an idle thread or a new one. The job must not raise.

        Raises RuntimeError when no thread can be started; then the job does not run.
        """
        with self._changed:
            self._jobs.append(job)
            if len(self._jobs) <= self._idle:
                self._changed.notify()
                return
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:
            with self._changed:
                if job not in self._jobs:
                    # A thread that became idle has taken it.
                    return
                self._jobs.remove(job)
            raise

    def stop(self) -> None:
        """Let each thread end after its current job."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while job := self._next():
                job()
        finally:
            self._database.close()

    def _next(self) -> Callable[[], None] | None:
        """Wait for a job. Returns None when the thread is to end."""
        with self._changed:
            while not self._jobs:
                if self._stopping:
                    return None
                self._idle += 1
                notified = self._changed.wait(IDLE_SECONDS)
                self._idle -= 1
                if not notified and not self._jobs:
                    return None
            return self._jobs.popleft()
