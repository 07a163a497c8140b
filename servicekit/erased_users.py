"""Users whose accounts are erased: their tokens are refused, so that no late one brings a name back.

Each service has the table `erased_users`. Every process reads its changes at the start and then every two seconds, so a
call asks nobody. `make erase-user` closes an account before it erases, and waits until all processes know.
"""

from __future__ import annotations

from uuid import UUID

from servicekit.database import Database, DatabaseAway, Statement
from servicekit.periodic import PeriodicTask
from servicekit.signal_event import SignalEvent

# Between two looks at the table.
LOAD_SECONDS = 2.0
RETRY_SECONDS = 0.2

# Part of the services' migrations. It must always do the same, so it is never changed, only followed by another.
SCHEMA_1 = """
CREATE TABLE erased_users (
    user_id uuid PRIMARY KEY,
    -- Whether the account is closed. It is opened again only when an erasure could not begin.
    is_closed boolean NOT NULL,
    -- Grows with every change, in the order of commits: processes read the changes since their last look.
    number bigint NOT NULL UNIQUE,
    since timestamptz NOT NULL
);
"""

CHANGES = Statement("SELECT user_id, is_closed, number FROM erased_users WHERE number > $1 ORDER BY number")
# Writers come one after the other, so that no number becomes visible after a greater one.
LOCK = Statement("SELECT pg_advisory_xact_lock(hashtextextended('erased_users', 0))")
SET_CLOSED = Statement("""
    INSERT INTO erased_users AS known (user_id, is_closed, number, since)
    SELECT $1, $2, (SELECT coalesce(max(number), 0) + 1 FROM erased_users), app_now()
    ON CONFLICT (user_id) DO UPDATE SET is_closed = excluded.is_closed, number = excluded.number, since = excluded.since
    WHERE known.is_closed <> excluded.is_closed
    RETURNING user_id
""")
IS_CLOSED = Statement("SELECT is_closed FROM erased_users WHERE user_id = $1")


def is_erased(user_id: str) -> str:
    """Return the SQL of whether a user's account is closed; `user_id` is SQL too.

    For a write that may end long after its token was checked.
    """
    return f"EXISTS (SELECT FROM erased_users WHERE user_id = {user_id} AND is_closed)"


class ErasedUsers:
    """The users whose accounts are closed, as this process knows them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Integers: they take half the memory of UUIDs.
        self._ids: set[int] = set()
        self._reached = 0

    def __contains__(self, user_id: object) -> bool:
        return isinstance(user_id, UUID) and user_id.int in self._ids

    def load(self) -> None:
        """Read what has changed since the last call. Raises DatabaseAway."""
        for row in self._database.fetch_all(CHANGES, self._reached):
            change = self._ids.add if row["is_closed"] else self._ids.discard
            change(row["user_id"].int)
            self._reached = row["number"]

    def load_when_reachable(self, stop: SignalEvent) -> None:
        """Load for the first time, when the database answers or `stop` is set: a process serves nobody before."""
        while not stop.is_set():
            try:
                self.load()
                break
            except DatabaseAway:
                stop.wait(RETRY_SECONDS)
        # The caller's thread has a connection that it needs no more.
        self._database.close()

    def task(self) -> PeriodicTask:
        """Return the periodic task that loads; every process runs it."""
        return PeriodicTask("erased users", self.load, LOAD_SECONDS, self._database)


class Accounts:
    """The accounts of erased users, for the commands that close them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self, user_id: UUID) -> bool:
        """Refuse the user's tokens from now on, within LOAD_SECONDS. Return whether they were not refused before."""
        return self._set(user_id, is_closed=True)

    def open(self, user_id: UUID) -> bool:
        """Take the user's tokens again, when an erasure could not begin. Return whether they were refused before."""
        return self._set(user_id, is_closed=False) if self.is_closed(user_id) else False

    def is_closed(self, user_id: UUID) -> bool:
        """Return whether the account is closed."""
        row = self._database.fetch_one(IS_CLOSED, user_id)
        return row is not None and bool(row["is_closed"])

    def _set(self, user_id: UUID, *, is_closed: bool) -> bool:
        with self._database.transaction():
            self._database.write(LOCK)
            return bool(self._database.fetch_all(SET_CLOSED, user_id, is_closed))
