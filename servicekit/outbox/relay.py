"""The outbox's delivering side."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from prometheus_client import Counter

from servicekit.database import Database, DatabaseAway
from servicekit.errors import MarketplaceError, Unavailable
from servicekit.logs import describe
from servicekit.notify_listener import NotifyListener
from servicekit.outbox.backlog import Backlog
from servicekit.outbox.delivery_threads import DeliveryThreads
from servicekit.outbox.rows import Claim, Rows
from servicekit.outbox.schema import CHANNEL
from servicekit.outbox.topic import Message, PutOff, Topic
from servicekit.spans import spans

# Notifications arrive within milliseconds. Polls find rows without one: those that a worker left when it died.
POLL_SECONDS = 1.0
# The time between deliveries of a topic while its receiver is unavailable, and between looks while the database is.
AWAY_SECONDS = 0.2
FIRST_BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
# Refusals after which a row is parked. With the back-off that takes about a minute.
PARK_AFTER = 20
STOP_SECONDS = 1.0
ERROR_LENGTH = 1000
# Errors of a receiver that is down or too busy; any other error is a refusal of the row.
UNAVAILABLE_CODES = frozenset(("UNAVAILABLE", "OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"))

DELIVERED = Counter("marketplace_outbox_delivered_total", "Rows delivered by this worker", ["topic"])
FAILED = Counter("marketplace_outbox_failed_total", "Deliveries of this worker that failed", ["topic"])


@dataclass(slots=True)
class Lane:
    """The deliveries of one topic by this worker. They wait for no other topic's."""

    name: str
    topic: Topic
    threads: DeliveryThreads
    under_way: list[Claim] = field(default_factory=list)
    # While the receiver is away, one delivery starts at a time, by time.monotonic().
    is_away: bool = False
    next_start: float = 0.0

    def free(self) -> int:
        """Return how many deliveries may be started now."""
        if self.next_start > time.monotonic():
            return 0
        free = self.topic.concurrency - len(self.under_way)
        return min(free, 1) if self.is_away else free

    def back(self) -> None:
        """Note that the receiver answers."""
        self.is_away = False
        self.next_start = 0.0

    def away(self, started: float) -> None:
        """Note that the receiver was unavailable for a delivery that began at this time."""
        self.is_away = True
        self.next_start = max(self.next_start, started + AWAY_SECONDS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a delivery that began at `started`, by time.monotonic(). `error` is None when it was made."""

    lane: Lane
    claim: Claim
    started: float
    error: Exception | None


class Relay:
    """Delivers rows, in every worker. While the database or a receiver is unavailable, it keeps trying.

    One thread claims rows and stores the outcomes of their deliveries, on the one connection of the relay. Deliveries
    run in threads of their topic. A key is locked from the claim of its row until the outcome is stored, so no other
    worker delivers a row of it, and no transaction is open meanwhile.
    """

    def __init__(self, database: Database, topics: Mapping[str, Topic]) -> None:
        self._database = database
        self._rows = Rows(database)
        self._lanes = [Lane(name, topic, DeliveryThreads(f"outbox {name}", database)) for name, topic in topics.items()]
        self._outcomes: deque[Outcome] = deque()
        self._backlog = Backlog(database, topics)
        self._stopping = False
        self._log = structlog.get_logger()
        self._listener = NotifyListener(database, CHANNEL)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Start to deliver, first the rows that earlier workers left."""
        self._thread.start()

    def stop(self) -> None:
        """Start no further delivery, and wait up to a second for the current ones to finish.

        A delivery that takes longer ends with the process, and its row is left to another worker.
        """
        self._stopping = True
        self._listener.wake()
        self._thread.join(STOP_SECONDS)

    def deliver_one(self) -> bool:
        """Deliver one row that is due, in the caller's thread. Returns whether there was one. Raises DatabaseAway.

        For tests, and never beside `start`.
        """
        for lane in self._lanes:
            claims, _ = self._claim(lane, min(lane.free(), 1))
            if claims:
                self._deliver(lane, claims[0])
                self._store_outcomes()
                return True
        return False

    def _run(self) -> None:
        is_away = False
        while not self._is_done():
            try:
                if self._listener.listen():
                    self._rows.prepare([claim for lane in self._lanes for claim in lane.under_way])
                self._store_outcomes()
                wait_seconds = POLL_SECONDS if self._stopping else self._start_deliveries()
                self._backlog.measure()
                is_away = False
                self._listener.wait(wait_seconds)
            except DatabaseAway as error:
                if self._stopping:
                    break
                if not is_away:
                    self._log.warning("outbox waits for the database", reason=str(error.__cause__).strip())
                is_away = True
                self._pause()
            except Exception:
                self._log.exception("outbox failed, trying again")
                self._database.close()
                self._pause()
        for lane in self._lanes:
            lane.threads.stop()
        self._database.close()
        self._listener.close()

    def _is_done(self) -> bool:
        """Return whether the relay is to stop, and no delivery is under way or without a stored outcome."""
        return self._stopping and not any(lane.under_way for lane in self._lanes)

    def _pause(self) -> None:
        self._listener.pause(AWAY_SECONDS)

    def _start_deliveries(self) -> float:
        """Start as many deliveries as there may be. Returns the seconds to wait when nothing happens before."""
        wait_seconds = POLL_SECONDS
        for lane in self._lanes:
            claims, next_seconds = self._claim(lane, lane.free())
            for claim in claims:
                self._start_delivery(lane, claim)
            if claims and lane.is_away:
                lane.next_start = time.monotonic() + AWAY_SECONDS
            if next_seconds is not None:
                wait_seconds = min(wait_seconds, next_seconds)
            if (start_seconds := lane.next_start - time.monotonic()) > 0:
                wait_seconds = min(wait_seconds, start_seconds)
        return wait_seconds

    def _start_delivery(self, lane: Lane, claim: Claim) -> None:
        try:
            lane.threads.submit(partial(self._deliver, lane, claim))
        except RuntimeError:
            # The process cannot have another thread now.
            self._outcomes.append(Outcome(lane, claim, time.monotonic(), Unavailable()))
            self._listener.wake()

    def _claim(self, lane: Lane, limit: int) -> tuple[list[Claim], float | None]:
        if limit <= 0:
            return [], None
        claims, next_seconds = self._rows.claim(lane.name, limit, lane.under_way, newest_only=lane.topic.newest_only)
        lane.under_way.extend(claims)
        return claims, next_seconds

    def _deliver(self, lane: Lane, claim: Claim) -> None:
        """Make a delivery, outside of any transaction, and leave the outcome to the relay's thread."""
        started = time.monotonic()
        error = None
        try:
            with spans().work(f"deliver {claim.topic}", claim.span_attributes):
                lane.topic.deliver(Message(claim.topic, claim.key, claim.version, claim.payload, claim.attempts))
        except Exception as raised:
            error = raised
        self._outcomes.append(Outcome(lane, claim, started, error))
        self._listener.wake()

    def _store_outcomes(self) -> None:
        """Store the outcomes of finished deliveries and unlock their keys.

        Raises DatabaseAway, or another error of a database that is too busy; the outcomes are kept then.
        """
        while self._outcomes:
            outcome = self._outcomes[0]
            try:
                self._store(outcome)
            except MarketplaceError:
                raise
            except Exception:
                self._log.exception("outbox outcome not stored, delivering again", id=outcome.claim.id)
                outcome.lane.away(time.monotonic())
            self._outcomes.popleft()
            outcome.lane.under_way.remove(outcome.claim)
            self._rows.release([outcome.claim])

    def _store(self, outcome: Outcome) -> None:
        """Delete the row that was delivered, or schedule its next delivery, or park it."""
        claim, error = outcome.claim, outcome.error
        if error is None:
            self._rows.delete(claim)
            outcome.lane.back()
            DELIVERED.labels(claim.topic).inc()
            return
        text = error_text(error)
        logged = text if isinstance(error, (MarketplaceError, PutOff)) else describe(error)
        if isinstance(error, PutOff):
            self._rows.retry(claim, claim.refusals, text, error.delay)
            outcome.lane.back()
            return
        is_away = isinstance(error, MarketplaceError) and error.code in UNAVAILABLE_CODES
        attempts = claim.attempts + 1
        refusals = claim.refusals + (not is_away)
        log = self._log.bind(id=claim.id, topic=claim.topic, key=claim.key, version=claim.version, error=logged)
        if refusals >= PARK_AFTER and not is_away:
            self._rows.park(claim, refusals, text)
            log.error("outbox row parked", attempts=attempts)
        else:
            self._rows.retry(claim, refusals, text, backoff(refusals, is_away=is_away))
            if attempts == 1 or not is_away:
                log.warning("outbox delivery failed")
        FAILED.labels(claim.topic).inc()
        if is_away:
            outcome.lane.away(outcome.started)
        else:
            outcome.lane.back()


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
