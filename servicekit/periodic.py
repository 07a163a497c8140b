"""Work that is done again and again beside the calls, by a thread in every worker."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from servicekit.database import Database, DatabaseAway

STOP_SECONDS = 1.0


class PeriodicTask:
    """Calls `work` every `seconds`, in a thread called `name`. It waits out a database that is away.

    What the work raises is logged, and the next round comes.

    A round under way is not cut off by `stop` for a second at most; one that hangs is left for the next worker.
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
        """Begins with a round."""
        self._thread.start()

    def stop(self) -> None:
        """No round begins any more."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        away = False
        while not self._stopping.is_set():
            try:
                self._work()
                away = False
            except DatabaseAway as error:
                if not away:
                    self._log.warning(f"{self._name} waits for the database", reason=str(error.__cause__).strip())
                away = True
            except Exception:
                self._log.exception(f"{self._name} failed, trying again")
                self._database.close()
            self._stopping.wait(self._seconds)
        self._database.close()
