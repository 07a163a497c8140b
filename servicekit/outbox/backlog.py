"""The gauges of an outbox."""

from __future__ import annotations

import time
from collections.abc import Collection

from prometheus_client import Gauge

from servicekit.database import Database, Statement

BACKLOG = Statement("""
    SELECT topic,
        count(*) FILTER (WHERE parked_at IS NULL) AS pending,
        count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked,
        coalesce(extract(epoch FROM app_now() - min(created_at) FILTER (WHERE parked_at IS NULL)), 0)::float8 AS oldest
    FROM outbox GROUP BY topic
""")

MEASURE_SECONDS = 1.0
# Counting a long outbox takes time, in which the relay starts no delivery; the pause is this many times as long.
PAUSE_RATIO = 20

PENDING = Gauge("marketplace_outbox_pending", "Rows that wait in the outbox", ["topic"])
PARKED = Gauge("marketplace_outbox_parked", "Rows that are parked in the outbox, for people to look at", ["topic"])
OLDEST = Gauge("marketplace_outbox_oldest_seconds", "Age of the oldest row that waits in the outbox", ["topic"])


class Backlog:
    """Counts the rows of an outbox. Topics without rows count zero."""

    def __init__(self, database: Database, topics: Collection[str]) -> None:
        self._database = database
        self._topics = set(topics)
        self._next = 0.0

    def measure(self) -> None:
        """Set the gauges, if the last time was at least a second ago. Raises DatabaseAway."""
        began = time.monotonic()
        if began < self._next:
            return
        backlog = {row["topic"]: row for row in self._database.fetch_all(BACKLOG)}
        for topic in self._topics | backlog.keys():
            row = backlog.get(topic, {"pending": 0, "parked": 0, "oldest": 0.0})
            PENDING.labels(topic).set(row["pending"])
            PARKED.labels(topic).set(row["parked"])
            OLDEST.labels(topic).set(row["oldest"])
        ended = time.monotonic()
        self._next = max(began + MEASURE_SECONDS, ended + PAUSE_RATIO * (ended - began))
