"""The relay that deletes files from their storage, after the transaction that deleted their rows; the wait for it."""

from __future__ import annotations

import time

from servicekit.database import Database, Statement
from servicekit.errors import MarketplaceError
from servicekit.outbox import Message, Relay, Topic
from servicekit.progress import Progress
from servicekit.storage.storage import Storage

# Rows whose files a process deletes at once: a call to S3 takes tens of milliseconds.
DELETIONS_AT_ONCE = 4
# The time in which the processes of a service delete the files of a user.
DELETION_SECONDS = 60.0

LAST = Statement("SELECT coalesce(max(id), 0) AS last FROM outbox WHERE topic = $1")
LEFT = Statement("SELECT count(*) AS number FROM outbox WHERE topic = $1 AND id <= $2")


def file_deletion(database: Database, storage: Storage, topic: str) -> Relay:
    """Return the relay of this topic, whose payloads are {"keys": [...]}. Any process with the storage may run one."""

    def delete(message: Message) -> None:
        for key in message.payload["keys"]:
            storage.delete(key)

    return Relay(database, {topic: Topic(delete, concurrency=DELETIONS_AT_ONCE)})


class Deletions:
    """The wait for the deletions of a topic. `things` is the name of the files in texts."""

    def __init__(self, database: Database, topic: str, things: str, seconds: float = DELETION_SECONDS) -> None:
        self._database = database
        self._topic = topic
        self._things = things
        self._seconds = seconds

    def wait(self, progress: Progress) -> int:
        """Wait until all deletions of this moment are done, and return their number.

        Raises MarketplaceError when they are not done in time: then no process of the service runs.
        """
        last = int(self._database.fetch_all(LAST, self._topic)[0]["last"])
        number = left = self._left(last)
        progress.begin(number, self._things)
        deadline = time.monotonic() + self._seconds
        while left:
            if time.monotonic() > deadline:
                raise MarketplaceError(
                    "UNAVAILABLE",
                    f"{left} deletions of {self._things} are not done yet: the service does them when it runs"
                    " (make outbox); then run the command again",
                )
            time.sleep(0.1)
            before, left = left, self._left(last)
            progress.advance(before - left)
        return number

    def _left(self, last: int) -> int:
        return int(self._database.fetch_all(LEFT, self._topic, last)[0]["number"])
