"""Block a user."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.conversation import Block
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import InvalidArgument, Violation


class BlockUser:
    """Keep a user from writing to another one, from making them offers, and from ordering from them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, blocker_id: UUID, blocked_id: UUID) -> Block:
        """Return the block. One that stands keeps its time. Raises InvalidArgument for oneself."""
        if blocker_id == blocked_id:
            raise InvalidArgument([Violation("userId", "must be another user's")])
        with self._store.transaction("block"):
            # A message that is being written is there before the block, or is refused.
            self._store.conversations.lock_between(blocker_id, blocked_id)
            return self._store.blocks.add(blocker_id, blocked_id)
