"""Periodic tasks: work that every worker repeats in a thread, beside its calls."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from servicekit.database import Database, DatabaseAway
from servicekit.spans import spans

STOP_SECONDS = 1.0


class PeriodicTask:
    """A thread called `name` that calls `work` and then waits for `seconds`, again and again.

    An error of the work is logged, and the next run comes. While the database is unavailable, that is logged once.
    """

    def __init__(self, name: str, work: Callable[[], object], seconds: float, database: Database) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._database = database
        self._stopping = threading.Event()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, whose first run begins at once."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further run, and wait up to a second for the current one to finish.

        A run that takes longer ends with the process; what it leaves is up to the next worker.
        """
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        is_away = False
        while not self._stopping.is_set():
            try:
                with spans().work(self._name):
                    self._work()
                is_away = False
            except DatabaseAway as error:
                if not is_away:
                    self._log.warning(f"{self._name} waits for the database", reason=str(error.__cause__).strip())
                is_away = True
            except Exception:
                self._log.exception(f"{self._name} failed, trying again")
                self._database.close()
            self._stopping.wait(self._seconds)
        self._database.close()
