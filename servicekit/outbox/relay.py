"""The outbox's delivering side."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from servicekit.database import Database, DatabaseAway, Row, Statement
from servicekit.errors import MarketplaceError
from servicekit.outbox.listener import NotifyListener

# The next row to send, due or not. Only the oldest row of a key is taken, and none that is behind a parked one. Other
# workers skip a row that is locked by one, and with it all rows of its key.
NEXT = Statement("""
    SELECT id, topic, key, version, payload, attempts, refusals,
        extract(epoch FROM next_attempt_at - app_now())::float8 AS wait_seconds
    FROM outbox AS head
    WHERE topic = ANY ($1::text[]) AND parked_at IS NULL AND NOT EXISTS (
        SELECT FROM outbox AS older WHERE older.topic = head.topic AND older.key = head.key AND older.id < head.id
    )
    ORDER BY next_attempt_at, id LIMIT 1
    FOR UPDATE SKIP LOCKED
""")
NEWEST = Statement("""
    SELECT id, topic, key, version, payload FROM outbox WHERE topic = $1 AND key = $2 ORDER BY id DESC LIMIT 1
""")
DROP_OLDER = Statement("DELETE FROM outbox WHERE topic = $1 AND key = $2 AND id < $3")
DELETE = Statement("DELETE FROM outbox WHERE id = $1")
RETRY = Statement("""
    UPDATE outbox SET attempts = $2, refusals = $3, error = $4, next_attempt_at = app_now() + $5::interval WHERE id = $1
""")
PARK = Statement("""
    UPDATE outbox SET attempts = $2, refusals = $3, error = $4, parked_at = app_now(), next_attempt_at = 'infinity'
    WHERE id = $1
""")
BACKLOG = Statement("""
    SELECT topic,
        count(*) FILTER (WHERE parked_at IS NULL) AS pending,
        count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked,
        coalesce(extract(epoch FROM app_now() - min(created_at) FILTER (WHERE parked_at IS NULL)), 0)::float8 AS oldest
    FROM outbox GROUP BY topic
""")

# Notifications arrive within milliseconds. Polls find rows without one: those that a worker left when it died.
POLL_SECONDS = 1.0
# The pause of a topic whose receiver is unavailable, and of the relay when the database is.
AWAY_SECONDS = 0.2
MEASURE_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
# Refusals after which a row is parked. With the back-off that takes about a minute.
PARK_AFTER = 20
STOP_SECONDS = 1.0
ERROR_LENGTH = 1000
# Errors of a receiver that is down or too busy; any other error is a refusal of the row.
UNAVAILABLE_CODES = frozenset(("UNAVAILABLE", "OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"))

PENDING = Gauge("marketplace_outbox_pending", "Rows that wait in the outbox", ["topic"])
PARKED = Gauge("marketplace_outbox_parked", "Rows that are parked in the outbox, for people to look at", ["topic"])
OLDEST = Gauge("marketplace_outbox_oldest_seconds", "Age of the oldest row that waits in the outbox", ["topic"])
DELIVERED = Counter("marketplace_outbox_delivered_total", "Rows delivered by this worker", ["topic"])
FAILED = Counter("marketplace_outbox_failed_total", "Deliveries of this worker that failed", ["topic"])


@dataclass(frozen=True, slots=True)
class Message:
    """A row to deliver. `version` grows with every change of the object that `key` identifies.

    `attempts` is the number of deliveries that have failed.
    """

    topic: str
    key: str
    version: int
    payload: Any
    attempts: int


@dataclass(frozen=True, slots=True)
class Topic:
    """The delivery of a topic's rows. `deliver` raises an error when the row must be sent again.

    Writes of `deliver` to the relay's own database are committed with the delivery, or not at all. With `newest_only`
    each row contains the whole state of its key, so older rows are dropped.
    """

    deliver: Callable[[Message], None]
    newest_only: bool = False


class PutOff(Exception):
    """Raised by a delivery that was definitely not done, and that makes sense again only after `delay`.

    It is no refusal: the row never parks for it. `reason` is stored as the row's error.
    """

    def __init__(self, delay: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay
        self.reason = reason


class Relay:
    """A thread in every worker that delivers rows. While the database or a receiver is unavailable, it keeps trying."""

    def __init__(self, database: Database, topics: Mapping[str, Topic]) -> None:
        self._database = database
        self._topics = dict(topics)
        # The end of each topic's pause, by time.monotonic().
        self._paused_until = dict.fromkeys(self._topics, 0.0)
        self._stopping = False
        self._measured_at = 0.0
        self._log = structlog.get_logger()
        self._listener = NotifyListener(database)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Start to deliver, first the rows that earlier workers left."""
        self._thread.start()

    def stop(self) -> None:
        """Deliver no further row, and wait up to a second for the current delivery to finish.

        A delivery that takes longer ends with the process, and its row is left to another worker.
        """
        self._stopping = True
        self._listener.wake()
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._listener.close()

    def _run(self) -> None:
        is_away = False
        while not self._stopping:
            try:
                self._listener.listen()
                while (wait_seconds := self._deliver_next()) == 0 and not self._stopping:
                    pass
                self._measure()
                is_away = False
                self._listener.wait(min(wait_seconds, POLL_SECONDS))
            except DatabaseAway as error:
                if not is_away:
                    self._log.warning("outbox waits for the database", reason=str(error.__cause__).strip())
                is_away = True
                self._listener.pause(AWAY_SECONDS)
            except Exception:
                self._log.exception("outbox failed, trying again")
                self._database.close()
                self._listener.pause(AWAY_SECONDS)
        self._database.close()

    def deliver_one(self) -> bool:
        """Send one row that is due. Returns whether there was one. Raises DatabaseAway."""
        return self._deliver_next() == 0

    def _deliver_next(self) -> float:
        """Send one row that is due. Returns the seconds to wait for the next one: 0 when a row was sent."""
        now = time.monotonic()
        topics = [topic for topic, until in self._paused_until.items() if until <= now]
        wait_seconds = min((until - now for until in self._paused_until.values() if until > now), default=POLL_SECONDS)
        with self._database.transaction("outbox"):
            head = self._database.fetch_one(NEXT, topics)
            if head is None:
                return wait_seconds
            if head["wait_seconds"] > 0:
                return min(wait_seconds, float(head["wait_seconds"]))
            topic = self._topics[head["topic"]]
            row = self._coalesce(head) if topic.newest_only else head
            try:
                # A nested transaction: when a handler's statement fails, the outer one can still store the failure.
                with self._database.transaction():
                    topic.deliver(Message(row["topic"], row["key"], row["version"], row["payload"], head["attempts"]))
            except Exception as error:
                self._record_failure(head, row, error)
                return 0
            self._database.fetch_all(DELETE, row["id"])
        DELIVERED.labels(head["topic"]).inc()
        return 0

    def _coalesce(self, head: Row) -> Row:
        """Return the key's newest row and delete all older ones, which contain nothing that it does not."""
        newest = self._database.fetch_one(NEWEST, head["topic"], head["key"]) or head
        self._database.fetch_all(DROP_OLDER, head["topic"], head["key"], newest["id"])
        return newest

    def _record_failure(self, head: Row, row: Row, error: Exception) -> None:
        """Schedule the row's next delivery, or park it. `head` has the counts of earlier failures, `row` was sent."""
        if isinstance(error, PutOff):
            values = (head["attempts"] + 1, head["refusals"], error_text(error), error.delay)
            self._database.fetch_all(RETRY, row["id"], *values)
            return
        is_away = isinstance(error, MarketplaceError) and error.code in UNAVAILABLE_CODES
        attempts = head["attempts"] + 1
        refusals = head["refusals"] + (not is_away)
        text = error_text(error)
        FAILED.labels(row["topic"]).inc()
        log = self._log.bind(id=row["id"], topic=row["topic"], key=row["key"], version=row["version"], error=text)
        if is_away:
            self._paused_until[row["topic"]] = time.monotonic() + AWAY_SECONDS
        if refusals >= PARK_AFTER and not is_away:
            self._database.fetch_all(PARK, row["id"], attempts, refusals, text)
            log.error("outbox row parked", attempts=attempts)
            return
        if attempts == 1 or not is_away:
            log.warning("outbox delivery failed")
        self._database.fetch_all(RETRY, row["id"], attempts, refusals, text, backoff(refusals, is_away=is_away))

    def _measure(self) -> None:
        if time.monotonic() < self._measured_at + MEASURE_SECONDS:
            return
        self._measured_at = time.monotonic()
        backlog = {row["topic"]: row for row in self._database.fetch_all(BACKLOG)}
        for topic in {*self._topics, *backlog}:
            row = backlog.get(topic, {"pending": 0, "parked": 0, "oldest": 0.0})
            PENDING.labels(topic).set(row["pending"])
            PARKED.labels(topic).set(row["parked"])
            OLDEST.labels(topic).set(row["oldest"])


def backoff(refusals: int, *, is_away: bool) -> timedelta:
    """Return the time until a row's next delivery, with jitter, so that the workers do not act in step.

    It doubles with each refusal. While the receiver is unavailable (`is_away`), it stays short: each worker tries one
    row per pause, and all rows should go out soon after the receiver is back.
    """
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(refusals, 10)
    longest = AWAY_SECONDS if is_away else min(MAX_BACKOFF_SECONDS, doubled)
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311  # jitter is no secret


def error_text(error: Exception) -> str:
    """Return the error as one line that PostgreSQL can store."""
    text = str(error) if isinstance(error, (MarketplaceError, PutOff)) else repr(error)
    return " ".join(text.replace("\0", " ").split())[:ERROR_LENGTH]
