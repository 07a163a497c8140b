"""The notify listener: a thread sleeps until a row is committed, until it is woken, or until a time has passed."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Any

from servicekit.database import Database, DatabaseAway


class NotifyListener:
    """Lets one thread sleep until a NOTIFY arrives on the thread's own connection, or another thread calls `wake`.

    `channel` is a name of our own, not a client's.

    A notification that is lost with its connection does no harm: the thread looks for rows after every wait.
    """

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._listen = f"LISTEN {channel}"
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        # Any: a psycopg2 connection that comes through peewee.
        self._connection: Any = None

    def listen(self) -> bool:
        """Listen for rows that are committed from now on. The caller looks for earlier rows after this call.

        Returns whether the connection is another one than at the last call. Raises DatabaseAway.
        """
        try:
            self._database.execute(self._listen)
        except DatabaseAway:
            # Most likely the connection was lost during the sleep, and that has ended the sleep.
            self._database.execute(self._listen)
        connection = self._database.peewee.connection()
        is_new = connection is not self._connection
        self._connection = connection
        self._connection.notifies.clear()
        return is_new

    def wait(self, seconds: float) -> None:
        """Sleep until a row is committed or `wake` is called, for `seconds` at most.

        Returns at once when a row was committed since `listen`, or when the listening connection is lost.
        """
        if self._database.peewee.is_closed() or self._database.peewee.connection() is not self._connection:
            # Another statement has replaced a lost connection, and the new one does not listen.
            return
        # Notifications that came with the results of statements are in this list, and the socket is not readable for
        # them. It becomes readable for later ones, and when the connection is cut.
        if not self._connection.notifies:
            self._sleep(seconds, self._connection.fileno())

    def pause(self, seconds: float) -> None:
        """Sleep for `seconds`, whatever is committed meanwhile, or until `wake` is called."""
        self._sleep(seconds)

    def wake(self) -> None:
        """End the current sleep, or the next one when nothing sleeps now. Any thread may call this."""
        # OSError: the buffer is full of earlier calls, or the listener is closed and nothing sleeps.
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"!")

    def close(self) -> None:
        """Close the sockets. To be called when no thread sleeps any more."""
        self._wake_receiver.close()
        self._wake_sender.close()

    def _sleep(self, seconds: float, *descriptors: int) -> None:
        # Not select(): it cannot take file descriptors above 1023, and a process with many clients has such.
        poll = select.poll()
        for descriptor in (self._wake_receiver.fileno(), *descriptors):
            poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        # Nothing was sent, in most cases.
        with contextlib.suppress(BlockingIOError):
            self._wake_receiver.recv(4096)
