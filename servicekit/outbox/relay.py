"""The delivering side of the outbox."""

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

# The first row that is to be sent, due or not. Only the oldest row of a key is ever claimed, and none behind one that
# is parked. While a worker has a row the others skip it, and so all of its key.
CLAIM = Statement("""
    SELECT id, topic, key, version, payload, attempts, refusals,
        extract(epoch FROM next_attempt_at - app_now())::float8 AS rests
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
DONE = Statement("DELETE FROM outbox WHERE id = $1")
AGAIN = Statement("""
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

# A notification comes within milliseconds. This finds what none told of: rows that another worker left when it died.
POLL_SECONDS = 1.0
# How long a topic's rows, or all of them, wait after its receiver, or the database, was found to be away.
AWAY_SECONDS = 0.2
MEASURE_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
# So often a receiver refuses a row before it is parked: with the back-off, for about a minute.
PARK_AFTER = 20
STOP_SECONDS = 1.0
ERROR_LENGTH = 1000
# What a receiver that is away, or too busy, is known by.
AWAY = frozenset(("UNAVAILABLE", "DEADLINE_EXCEEDED"))

PENDING = Gauge("marketplace_outbox_pending", "Rows that wait in the outbox", ["topic"])
PARKED = Gauge("marketplace_outbox_parked", "Rows that are parked in the outbox, for people to look at", ["topic"])
OLDEST = Gauge("marketplace_outbox_oldest_seconds", "Age of the oldest row that waits in the outbox", ["topic"])
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

    What `deliver` writes to the relay's own database is kept together with the delivery, or not at all.
    With `newest_only` a row tells all there is to know of its key, so the ones before it need not be sent.
    """

    deliver: Callable[[Message], None]
    newest_only: bool = False


class Relay:
    """A thread in every worker that delivers. It waits out a database or a receiver that is away."""

    def __init__(self, database: Database, topics: Mapping[str, Topic]) -> None:
        self._database = database
        self._topics = dict(topics)
        # Until when (time.monotonic) the topics rest whose receiver is away.
        self._away_until = dict.fromkeys(self._topics, 0.0)
        self._stopping = False
        self._measured_at = 0.0
        self._log = structlog.get_logger()
        self._doorbell = NotifyListener(database)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begins with what earlier workers left."""
        self._thread.start()

    def stop(self) -> None:
        """Lets a delivery under way end, for a second at most; one that hangs is left for the next worker."""
        self._stopping = True
        self._doorbell.ring()
        self._thread.join(STOP_SECONDS)
        if not self._thread.is_alive():
            self._doorbell.close()

    def _run(self) -> None:
        away = False
        while not self._stopping:
            try:
                self._doorbell.listen()
                while (rests := self._attempt()) == 0 and not self._stopping:
                    pass
                self._measure()
                away = False
                self._doorbell.wait(min(rests, POLL_SECONDS))
            except DatabaseAway as error:
                if not away:
                    self._log.warning("outbox waits for the database", reason=str(error.__cause__).strip())
                away = True
                self._doorbell.rest(AWAY_SECONDS)
            except Exception:
                self._log.exception("outbox failed, trying again")
                self._database.close()
                self._doorbell.rest(AWAY_SECONDS)
        self._database.close()

    def deliver_one(self) -> bool:
        """Takes one row that is due to its handler; whether there was one. Raises DatabaseAway."""
        return self._attempt() == 0

    def _attempt(self) -> float:
        """Takes one row that is due to its handler. The seconds until there may be another: zero after a delivery."""
        now = time.monotonic()
        topics = [topic for topic, until in self._away_until.items() if until <= now]
        rests = min((until - now for until in self._away_until.values() if until > now), default=POLL_SECONDS)
        with self._database.transaction("outbox"):
            head = self._database.fetch_one(CLAIM, topics)
            if head is None:
                return rests
            if head["rests"] > 0:
                return min(rests, float(head["rests"]))
            topic = self._topics[head["topic"]]
            row = self._coalesce(head) if topic.newest_only else head
            try:
                # A transaction of its own inside: a handler's statement that fails must not take the failure's
                # record with it.
                with self._database.transaction():
                    topic.deliver(Message(row["topic"], row["key"], row["version"], row["payload"], head["attempts"]))
            except Exception as error:
                self._failed(head, row, error)
                return 0
            self._database.fetch_all(DONE, row["id"])
        DELIVERED.labels(head["topic"]).inc()
        return 0

    def _coalesce(self, head: Row) -> Row:
        """The key's newest row, alone: whether it gets through or not, those before it have nothing to add."""
        newest = self._database.fetch_one(NEWEST, head["topic"], head["key"]) or head
        self._database.fetch_all(DROP_OLDER, head["topic"], head["key"], newest["id"])
        return newest

    def _failed(self, head: Row, row: Row, error: Exception) -> None:
        """Puts a row off, or parks it. `head` knows what was tried before, also where `row` has taken its place."""
        away = isinstance(error, MarketplaceError) and error.code in AWAY
        attempts = head["attempts"] + 1
        refusals = head["refusals"] + (not away)
        text = error_text(error)
        FAILED.labels(row["topic"]).inc()
        log = self._log.bind(id=row["id"], topic=row["topic"], key=row["key"], version=row["version"], error=text)
        if away:
            self._away_until[row["topic"]] = time.monotonic() + AWAY_SECONDS
        if refusals >= PARK_AFTER and not away:
            self._database.fetch_all(PARK, row["id"], attempts, refusals, text)
            log.error("outbox row parked", attempts=attempts)
            return
        if attempts == 1 or not away:
            log.warning("outbox delivery failed")
        self._database.fetch_all(AGAIN, row["id"], attempts, refusals, text, backoff(refusals, away=away))

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


def backoff(refusals: int, *, away: bool) -> timedelta:
    """How long a row rests after its receiver has refused it so often, with jitter so that workers are out of step.

    A row that its receiver refuses rests longer each time. When the receiver is away every row is as good a probe as
    any other, a worker sends one a round, and all should go out promptly when it is back: they rest one round alone.
    """
    doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(refusals, 10)
    longest = AWAY_SECONDS if away else min(MAX_BACKOFF_SECONDS, doubled)
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311  # jitter is no secret


def error_text(error: Exception) -> str:
    """What a person reads of an error: a line that PostgreSQL can hold."""
    text = str(error) if isinstance(error, MarketplaceError) else repr(error)
    return " ".join(text.replace("\0", " ").split())[:ERROR_LENGTH]
