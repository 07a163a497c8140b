"""The outbox's SQL for relays: claiming rows, and storing the outcome of their deliveries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from servicekit.database import Database, Row, Statement
from servicekit.outbox.key_locks import KeyLocks

# PostgreSQL ends a session that is idle for so long, such as a suspended process's or a lost machine's, and so releases
# its keys to other workers.
#
# An outbox fills sooner than statistics of it are made. So each statement is planned anew, for the size that the table
# has now, since a plan made for an empty table would be kept; and the planner has one way, an index. `_FIRST` compares
# rows, because only the index on (topic, key, id) can serve that; with equality, the planner might look through the
# primary key instead.
SESSION = """
    SET idle_session_timeout = '10s'; SET plan_cache_mode = force_custom_plan;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off
"""
_FIRST = """(
    SELECT older.id FROM outbox AS older WHERE (older.topic, older.key, older.id) > (item.topic, item.key, 0)
    ORDER BY older.topic, older.key, older.id LIMIT 1
)"""
# The next rows of a topic, due or not, after a row of an earlier page. `first_id` is their key's first row.
NEXT = Statement(f"""
    SELECT item.id, topic, key, next_attempt_at, {_FIRST} AS first_id,
        extract(epoch FROM next_attempt_at - app_now())::float8 AS wait_seconds
    FROM outbox AS item
    WHERE topic = $1 AND NOT is_behind AND parked_at IS NULL AND (next_attempt_at, item.id) > ($2, $3::bigint)
        AND item.id <> ALL ($4::bigint[])
    ORDER BY next_attempt_at, item.id LIMIT $5
""")  # noqa: S608  # a constant
# Read once their keys are locked: another worker may have delivered them, or put them off, a moment before. A worker of
# a version without these locks holds the row itself while it delivers.
CLAIM = Statement(f"""
    SELECT item.id, topic, key, version, payload, attempts, refusals FROM outbox AS item
    WHERE item.id = ANY ($1::bigint[]) AND parked_at IS NULL AND next_attempt_at <= app_now() AND item.id = {_FIRST}
    FOR NO KEY UPDATE OF item SKIP LOCKED
""")  # noqa: S608  # a constant
# While these locks are held nobody can delete the row that another one is marked to wait for, and so promote it, before
# the mark is seen. Nothing here waits for a lock, so relays cannot deadlock.
HOLD_FIRST = Statement("SELECT id FROM outbox WHERE id = ANY ($1::bigint[]) FOR KEY SHARE SKIP LOCKED")
PUT_BEHIND = Statement("""
    UPDATE outbox SET is_behind = true WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE id = ANY ($1::bigint[]) FOR NO KEY UPDATE SKIP LOCKED
    )) RETURNING id
""")
NEWEST = Statement("""
    SELECT id, topic, key, version, payload FROM outbox
    WHERE (topic, key, id) > ($1, $2, 0) AND (topic, key, id) < ($1, $2, 9223372036854775807)
    ORDER BY topic DESC, key DESC, id DESC LIMIT 1
""")
INHERIT = Statement("UPDATE outbox SET attempts = $2, refusals = $3 WHERE id = $1")
DROP_OLDER = Statement("DELETE FROM outbox WHERE (topic, key, id) > ($1, $2, 0) AND (topic, key, id) < ($1, $2, $3)")
DELETE = Statement("DELETE FROM outbox WHERE id = $1")
# Not when another worker has meanwhile stored the outcome of the same delivery, after this one had lost its lock.
RETRY = Statement("""
    UPDATE outbox SET attempts = attempts + 1, refusals = $3, error = $4, next_attempt_at = app_now() + $5::interval
    WHERE id = $1 AND attempts = $2
""")
PARK = Statement("""
    UPDATE outbox SET attempts = attempts + 1, refusals = $3, error = $4, parked_at = app_now(),
        next_attempt_at = 'infinity'
    WHERE id = $1 AND attempts = $2
""")

# The rows of the first page of a claim. Further pages, each twice as long, are needed when rows wait behind others of
# their key and are not marked yet, or when other workers have locked their keys.
FIRST_PAGE = 25
MAX_PAGES = 5
# The wait before the next look, when this one met rows that others were changing.
AGAIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Claim:
    """A row that this worker delivers, with its key locked. `attempts` and `refusals` count earlier failures."""

    id: int
    topic: str
    key: str
    version: int
    payload: Any
    attempts: int
    refusals: int

    @property
    def lock(self) -> str:
        """The name of the key's lock."""
        return _lock_name(self.topic, self.key)

    @property
    def span_attributes(self) -> dict[str, str | int]:
        """The attributes of the span of its delivery."""
        return {"outbox.topic": self.topic, "outbox.attempts": self.attempts}


class Rows:
    """The rows of an outbox, for one thread of a relay."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locks = KeyLocks(database)

    def prepare(self, under_way: Collection[Claim]) -> None:
        """Set up a new connection, and lock the keys again that a lost one had locked. Raises DatabaseAway."""
        self._database.execute(SESSION)
        self._locks.restore([claim.lock for claim in under_way])

    def claim(
        self, topic: str, limit: int, under_way: Collection[Claim], *, newest_only: bool
    ) -> tuple[list[Claim], float | None]:
        """Claim up to `limit` due rows, each the first of its key, and of no key that is locked or `under_way`.

        Returns the claims, and the seconds until the next look when it is known that one is worthwhile. Claims are
        released with `release`. Raises DatabaseAway.
        """
        claims: list[Claim] = []
        keys = {claim.key for claim in under_way}
        ids = [claim.id for claim in under_way]
        next_seconds: float | None = AGAIN_SECONDS
        after: tuple[object, int] = ("-infinity", 0)
        for number in range(MAX_PAGES):
            size = FIRST_PAGE * 2**number
            page = self._database.fetch_all(NEXT, topic, *after, ids, size)
            due = [row for row in page if row["wait_seconds"] <= 0]
            if self._put_behind([row for row in due if row["id"] != row["first_id"]]):
                next_seconds = 0.0
            firsts = [row for row in due if row["id"] == row["first_id"] and row["key"] not in keys]
            if self._lock(firsts, limit, claims):
                next_seconds = AGAIN_SECONDS
                break
            if len(claims) == limit or len(page) < size or len(due) < len(page):
                next_seconds = page[len(due)]["wait_seconds"] if len(due) < len(page) else None
                break
            after = (page[-1]["next_attempt_at"], page[-1]["id"])
        if newest_only:
            claims = [self._coalesce(claim) for claim in claims]
        return claims, next_seconds

    def release(self, claims: Collection[Claim]) -> None:
        """Unlock the keys of claims whose outcome is stored. Raises DatabaseAway."""
        self._locks.unlock([claim.lock for claim in claims])

    def delete(self, claim: Claim) -> None:
        """Delete a row that was delivered. Raises DatabaseAway."""
        with self._database.transaction("outbox"):
            self._database.fetch_all(DELETE, claim.id)

    def retry(self, claim: Claim, refusals: int, error: str, delay: timedelta) -> None:
        """Count a failed delivery and schedule the next one. Raises DatabaseAway."""
        self._database.fetch_all(RETRY, claim.id, claim.attempts, refusals, error, delay)

    def park(self, claim: Claim, refusals: int, error: str) -> None:
        """Count a failed delivery and park the row. Raises DatabaseAway."""
        self._database.fetch_all(PARK, claim.id, claim.attempts, refusals, error)

    def _put_behind(self, rows: list[Row]) -> bool:
        """Mark rows that wait behind the first row of their key, so that no later claim meets them.

        Returns whether a row was marked; those that somebody has locked are left to a later claim.
        """
        if not rows:
            return False
        with self._database.transaction():
            held = {row["id"] for row in self._database.fetch_all(HOLD_FIRST, list({row["first_id"] for row in rows}))}
            return bool(self._database.fetch_all(PUT_BEHIND, [row["id"] for row in rows if row["first_id"] in held]))

    def _lock(self, rows: list[Row], limit: int, claims: list[Claim]) -> bool:
        """Lock the keys of rows and add the rows to `claims`, until there are `limit`.

        Returns whether a row had changed since it was read.
        """
        while rows and len(claims) < limit:
            count = limit - len(claims)
            wanted, rows = {_lock_name(row["topic"], row["key"]): row["id"] for row in rows[:count]}, rows[count:]
            locked = self._locks.try_lock(wanted)
            ids = [row_id for name, row_id in wanted.items() if name in locked]
            found = {row["id"]: Claim(**row) for row in self._database.fetch_all(CLAIM, ids)} if ids else {}
            claims.extend(found[row_id] for row_id in ids if row_id in found)
            if len(found) < len(ids):
                self._locks.unlock([name for name in locked if wanted[name] not in found])
                return True
        return False

    def _coalesce(self, claim: Claim) -> Claim:
        """Return the key's newest row, and delete all older ones, which contain nothing that it does not."""
        with self._database.transaction():
            newest = self._database.fetch_one(NEWEST, claim.topic, claim.key)
            if newest is None or newest["id"] == claim.id:
                return claim
            self._database.fetch_all(INHERIT, newest["id"], claim.attempts, claim.refusals)
            self._database.fetch_all(DROP_OLDER, claim.topic, claim.key, newest["id"])
        return replace(claim, id=newest["id"], version=newest["version"], payload=newest["payload"])


def _lock_name(topic: str, key: str) -> str:
    return f"outbox {topic} {key}"
