"""How a relay sleeps: until somebody commits a row, until it is told to stop, or until some time has passed."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Any

from servicekit.database import Database, DatabaseAway
from servicekit.outbox.schema import CHANNEL

LISTEN = f"LISTEN {CHANNEL}"


class NotifyListener:
    """Wakes one thread, by NOTIFY on the connection that the thread has anyway, or by `ring` from another thread.

    A notification that is lost with its connection is no harm: whoever has waited looks for rows after every wait.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inside, self._outside = socket.socketpair()
        self._outside.setblocking(False)
        # Any: a psycopg2 connection that comes through peewee.
        self._heard_on: Any = None

    def listen(self) -> None:
        """Hears of what is committed from here on; what was committed before is for the caller to look for now.

        Raises DatabaseAway. On a connection that listens already it changes nothing.
        """
        try:
            self._database.execute(LISTEN)
        except DatabaseAway:
            # The connection died while the thread slept, most likely: that is what has woken it.
            self._database.execute(LISTEN)
        self._heard_on = self._database.peewee.connection()
        self._heard_on.notifies.clear()

    def wait(self, seconds: float) -> None:
        """Returns after this time at most; at once when something was committed since `listen`, or cannot be heard."""
        if self._database.peewee.is_closed() or self._database.peewee.connection() is not self._heard_on:
            # The statements since then found their connection lost, and have another one, on which nobody listens.
            return
        # What came with the answers of statements stands here already; for that the socket does not call again.
        # It calls for what comes now, and when the connection is cut.
        if not self._heard_on.notifies:
            self._sleep(seconds, self._heard_on.fileno())

    def rest(self, seconds: float) -> None:
        """Returns after this time, whatever is committed meanwhile; earlier when it rings."""
        self._sleep(seconds)

    def ring(self) -> None:
        """From any thread: ends the wait under way, and every one that follows."""
        # When it is full it has been rung, and when it is closed nobody waits.
        with contextlib.suppress(OSError):
            self._outside.send(b"!")

    def close(self) -> None:
        """Once nobody waits any more."""
        self._inside.close()
        self._outside.close()

    def _sleep(self, seconds: float, *others: int) -> None:
        # Not select(): a process with many clients has file numbers that are too large for it.
        poll = select.poll()
        for number in (self._inside.fileno(), *others):
            poll.register(number, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
