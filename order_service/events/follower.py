"""The follower: one thread of the process that numbers new events and reads them for all subscriptions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from order_service.events.hub import Hub
from order_service.store.feed_reader import CHANNEL, ROWS, FeedReader
from servicekit.database import Database, DatabaseAway
from servicekit.notify_listener import NotifyListener
from servicekit.spans import spans

# A look without a notification, in case one was lost.
POLL_SECONDS = 1.0
AWAY_SECONDS = 0.5
# After a look that has found something, so that many commits at once need few looks; and while transactions run that
# notify nobody.
PAUSE_SECONDS = 0.05
STOP_SECONDS = 1.0

T = TypeVar("T")


class Follower:
    """Follows the feed, on one listening connection, and publishes its events to the hub.

    A notification only wakes it. It reads all events after the last one that it has read, also those that were
    committed while its connection was lost. While events come it does not sleep, and asks for no notifications: commits
    that notify wait for each other (ADR 59).
    """

    def __init__(self, database: Database, reader: FeedReader, hub: Hub) -> None:
        self._database = database
        self._reader = reader
        self._hub = hub
        self._listener = NotifyListener(database, CHANNEL)
        self._position: int | None = None
        # The transaction after which all events notify; None while the follower is awake.
        self._asleep_after: int | None = None
        self._stopping = False
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Start, on the event loop of the hub."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Stop within a second."""
        self._stopping = True
        self._listener.wake()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        is_away = False
        while not self._stopping:
            try:
                self._look_and_sleep()
                is_away = False
            except DatabaseAway as error:
                if not is_away:
                    self._log.warning("the feed waits for the database", reason=str(error.__cause__).strip())
                is_away = True
                self._listener.pause(AWAY_SECONDS)
            except Exception:
                self._log.exception("the feed failed, trying again")
                self._database.close()
                self._listener.pause(AWAY_SECONDS)
        self._database.close()
        self._listener.close()

    def _look_and_sleep(self) -> None:
        if self._listener.listen():
            # The lock of sleepers was lost with the connection.
            self._asleep_after = None
        with spans().work("feed"):
            found, oldest = self._look()
        if found:
            if self._asleep_after is not None:
                self._asleep_after = None
                self._reader.end_sleep()
            self._listener.pause(PAUSE_SECONDS)
        elif self._asleep_after is None:
            # And look once more, for what was committed before.
            self._asleep_after = self._reader.begin_sleep()
        else:
            # An older transaction may have written an event when nobody slept, and commit it later.
            self._listener.wait(POLL_SECONDS if oldest > self._asleep_after else PAUSE_SECONDS)

    def _look(self) -> tuple[bool, int]:
        """Publish all new events. Return whether there were any, and the oldest transaction that was still running."""
        oldest = self._reader.number()
        if self._position is None:
            self._position = self._reader.newest()
            self._call(self._hub.begin, self._position)
        found = False
        while events := self._reader.tail(self._position):
            found = True
            self._position = events[-1].position
            self._call(self._hub.publish, events)
            if len(events) < ROWS:
                break
        return found, oldest

    def _call(self, function: Callable[[T], None], argument: T) -> None:
        # RuntimeError: the loop is closed, and nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, argument)
