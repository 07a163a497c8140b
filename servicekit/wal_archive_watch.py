"""The periodic task that tells whether PostgreSQL archives its log: a metric, and a line in the log."""

from __future__ import annotations

import structlog
from prometheus_client import Gauge

from servicekit.database import Database, Statement
from servicekit.periodic import PeriodicTask

EVERY_SECONDS = 5.0
STATE = Statement("""
    SELECT last_failed_wal AS file, failed_count AS failures,
        coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS is_failing
    FROM pg_stat_archiver
""")
FAILING = Gauge(
    "marketplace_wal_archive_failing", "Whether the last try of the database's server to archive its log failed (1)"
)


class WalArchiveWatch:
    """Looks every few seconds. A server that archives nothing fails nothing."""

    def __init__(self, database: Database, every_seconds: float = EVERY_SECONDS) -> None:
        self._database = database
        self._was_failing = False
        self._log = structlog.get_logger()
        self._task = PeriodicTask("WAL archive watch", self._run, every_seconds, database)

    def start(self) -> None:
        """Begin with a look."""
        self._task.start()

    def stop(self) -> None:
        """Stop within a second."""
        self._task.stop()

    def look(self) -> bool:
        """Set the gauge, log a change, and return whether archiving fails. Raises DatabaseAway."""
        (state,) = self._database.fetch_all(STATE)
        is_failing: bool = state["is_failing"]
        FAILING.set(int(is_failing))
        if is_failing and not self._was_failing:
            # The server keeps the log until it is archived: nothing is lost as long as its disk has room.
            self._log.error("the write-ahead log is not archived", file=state["file"], failures=state["failures"])
        elif self._was_failing and not is_failing:
            self._log.info("the write-ahead log is archived again")
        self._was_failing = is_failing
        return is_failing

    def _run(self) -> None:
        try:
            self.look()
        finally:
            # The pause is too long to keep a connection.
            self._database.close()
