"""What another service must learn: written with the change itself, delivered afterwards, at least once.

`Outbox.add` writes a row in the transaction of the change. A `Relay` in every worker takes rows one at a time under a
row lock and hands them to the handler of their topic; the row goes in the transaction of the delivery, so a worker that
dies leaves it for the next. A key's rows go out in the order they were written, one at a time across all workers; a
receiver must take the same row twice, and ignore a version that is not newer than the one it knows.
"""

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
from psycopg2.extras import Json

from servicekit.database import Database, DatabaseAway, Row, Statement
from servicekit.errors import MarketplaceError

# For a service's migration, which must always do the same: never changed, only followed by another.
SCHEMA_1 = """
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    version bigint NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL
);
CREATE INDEX outbox_key ON outbox (topic, key, id);
CREATE INDEX outbox_due ON outbox (next_attempt_at, id);
"""

ADD = Statement("""
    INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at)
    SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now
""")
# Only the oldest row of a key is ever claimed. While a worker has it the others skip it, and so all of its key.
CLAIM = Statement("""
    SELECT id, topic, key, version, payload, attempts FROM outbox AS head
    WHERE topic = ANY ($1::text[]) AND next_attempt_at <= app_now() AND NOT EXISTS (
        SELECT FROM outbox AS older WHERE older.topic = head.topic AND older.key = head.key AND older.id < head.id
    )
    ORDER BY next_attempt_at, id LIMIT 1
    FOR UPDATE SKIP LOCKED
""")
NEWEST = Statement("""
    SELECT id, topic, key, version, payload, attempts FROM outbox
    WHERE topic = $1 AND key = $2 ORDER BY id DESC LIMIT 1
""")
DROP_OLDER = Statement("DELETE FROM outbox WHERE topic = $1 AND key = $2 AND id < $3")
DONE = Statement("DELETE FROM outbox WHERE id = $1")
AGAIN = Statement("UPDATE outbox SET attempts = $2, next_attempt_at = app_now() + $3::interval WHERE id = $1")
BACKLOG = Statement("""
    SELECT topic, count(*) AS pending, extract(epoch FROM app_now() - min(created_at))::float8 AS oldest
    FROM outbox GROUP BY topic
""")

POLL_SECONDS = 0.2
MEASURE_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
STOP_SECONDS = 1.0
# What a receiver that is away, or too busy, is known by.
AWAY = frozenset(("UNAVAILABLE", "DEADLINE_EXCEEDED"))

PENDING = Gauge("marketplace_outbox_pending", "Rows that wait in the outbox", ["topic"])
OLDEST = Gauge("marketplace_outbox_oldest_seconds", "Age of the oldest row in the outbox", ["topic"])
DELIVERED = Counter("marketplace_outbox_delivered_total", "Rows delivered by this worker", ["topic"])
FAILED = Counter("marketplace_outbox_failed_total", "Attempts of this worker that failed", ["topic"])


@dataclass(frozen=True, slots=True)
class Message:
    """A row on its way. `version` grows with every change of what `key` stands for; `attempts` failed before."""

    topic: str
    key: str
    version: int
    payload: Any
    attempts: int


@dataclass(frozen=True, slots=True)
class Topic:
    """How rows of a topic go out: `deliver` raises when one must be tried again.

    With `newest_only` a row tells all there is to know of its key, so the ones before it need not be sent.
    """

    deliver: Callable[[Message], None]
    newest_only: bool = False


class Outbox:
    """The writing side."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.woken = threading.Event()

    def add(self, topic: str, key: str, version: int, payload: object) -> None:
        """Writes a row; `payload` is what JSON can hold.

        To be called in the transaction of the change, after it has locked what `key` stands for: that lock is what puts
        a key's rows in order.
        """
        if not self._database.peewee.in_transaction():
            raise RuntimeError("an outbox row is written in the transaction of what it tells of")
        self._database.fetch_all(ADD, topic, key, version, Json(payload))

    def wake(self) -> None:
        """After the commit: has this worker's relay look at once."""
        self.woken.set()


class Relay:
    """The delivering side: a thread in every worker. It waits out a database or a receiver that is away."""

    def __init__(self, outbox: Outbox, database: Database, topics: Mapping[str, Topic]) -> None:
        self._database = database
        self._topics = dict(topics)
        self._woken = outbox.woken
        self._stopping = False
        self._measured_at = 0.0
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begins with what earlier workers left."""
        self._thread.start()

    def stop(self) -> None:
        """Lets a delivery under way end, for a second at most; one that hangs is left for the next worker."""
        self._stopping = True
        self._woken.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        away = False
        while not self._stopping:
            self._woken.clear()
            try:
                while not self._stopping and self.deliver_one():
                    pass
                self._measure()
                away = False
            except DatabaseAway as error:
                if not away:
                    self._log.warning("outbox waits for the database", reason=str(error.__cause__).strip())
                away = True
            except Exception:
                self._log.exception("outbox failed, trying again")
                self._database.close()
            if not self._stopping:
                self._woken.wait(POLL_SECONDS)
        self._database.close()

    def deliver_one(self) -> bool:
        """Takes one row that is due to its handler. Whether it is worthwhile to go on with the next one at once."""
        with self._database.transaction():
            head = self._database.fetch_one(CLAIM, list(self._topics))
            if head is None:
                return False
            topic = self._topics[head["topic"]]
            row = self._coalesce(head) if topic.newest_only else head
            try:
                topic.deliver(Message(row["topic"], row["key"], row["version"], row["payload"], head["attempts"]))
            except Exception as error:
                self._put_off(row, head["attempts"] + 1, error)
                return not _is_away(error)
            self._database.fetch_all(DONE, row["id"])
        DELIVERED.labels(head["topic"]).inc()
        return True

    def _coalesce(self, head: Row) -> Row:
        """The key's newest row, alone: whether it gets through or not, those before it have nothing to add."""
        newest = self._database.fetch_one(NEWEST, head["topic"], head["key"]) or head
        self._database.fetch_all(DROP_OLDER, head["topic"], head["key"], newest["id"])
        return newest

    def _put_off(self, row: Row, attempts: int, error: Exception) -> None:
        FAILED.labels(row["topic"]).inc()
        if attempts == 1 or not _is_away(error):
            self._log.warning("outbox delivery failed", topic=row["topic"], key=row["key"], error=repr(error))
        self._database.fetch_all(AGAIN, row["id"], attempts, backoff(attempts, away=_is_away(error)))

    def _measure(self) -> None:
        if time.monotonic() < self._measured_at + MEASURE_SECONDS:
            return
        self._measured_at = time.monotonic()
        backlog = {row["topic"]: row for row in self._database.fetch_all(BACKLOG)}
        for topic in {*self._topics, *backlog}:
            row = backlog.get(topic, {"pending": 0, "oldest": 0.0})
            PENDING.labels(topic).set(row["pending"])
            OLDEST.labels(topic).set(row["oldest"])


def backoff(attempts: int, *, away: bool) -> timedelta:
    """How long a row rests after its `attempts`th failure, with jitter so that workers do not march in step.

    A row that its receiver refuses rests longer each time. When the receiver is away every row is as good a probe as
    any other, a worker sends one a round, and all should go out promptly when it is back: they rest one round alone.
    """
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(attempts, 10)
    longest = FIRST_BACKOFF_SECONDS if away else min(MAX_BACKOFF_SECONDS, doubled)
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311  # jitter is no secret


def _is_away(error: Exception) -> bool:
    return isinstance(error, MarketplaceError) and error.code in AWAY
