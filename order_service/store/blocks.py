"""Blocks between users, in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from order_service.domain.conversation import Block, BlocksBetween
from servicekit.database import Database, Statement

ADD = Statement("""
    INSERT INTO blocks (blocker_id, blocked_id, since) VALUES ($1, $2, app_now()) ON CONFLICT DO NOTHING
""")
ONE = Statement("SELECT blocked_id AS user_id, since FROM blocks WHERE blocker_id = $1 AND blocked_id = $2")
REMOVE = Statement("DELETE FROM blocks WHERE blocker_id = $1 AND blocked_id = $2")
BETWEEN = Statement("""
    SELECT EXISTS (SELECT FROM blocks WHERE blocker_id = $2 AND blocked_id = $1) AS is_blocked,
        EXISTS (SELECT FROM blocks WHERE blocker_id = $1 AND blocked_id = $2) AS is_blocking
""")
# The limit is hidden from the planner, for the reason that store/order_lists.py gives.
PAGE = Statement("""
    SELECT blocked_id AS user_id, since FROM blocks
    WHERE blocker_id = $1 AND (since, blocked_id) < ($2::timestamptz, $3::uuid)
    ORDER BY since DESC, blocked_id DESC LIMIT (SELECT $4::integer)
""")


class BlockKey(NamedTuple):
    """The end of a page: the time (aware) of its last block, and who is blocked."""

    since: datetime
    user_id: UUID


# Newer than every block.
START = BlockKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Blocks:
    """Who has blocked whom."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, blocker_id: UUID, blocked_id: UUID) -> Block:
        """Store a block and return it. One that stands already keeps its time."""
        self._database.write(ADD, blocker_id, blocked_id)
        [row] = self._database.fetch_all(ONE, blocker_id, blocked_id)
        return Block(**row)

    def remove(self, blocker_id: UUID, blocked_id: UUID) -> None:
        """Delete a block, if there is one."""
        self._database.write(REMOVE, blocker_id, blocked_id)

    def between(self, writer_id: UUID, other_id: UUID) -> BlocksBetween:
        """Return the blocks between a user who wants to reach another one, and that one."""
        [row] = self._database.fetch_all(BETWEEN, writer_id, other_id)
        return BlocksBetween(**row)

    def page(self, blocker_id: UUID, *, after: BlockKey, limit: int) -> list[Block]:
        """Return the newest `limit` blocks of a user that are older than `after`."""
        return [Block(**row) for row in self._database.fetch_all(PAGE, blocker_id, *after, limit)]
