"""End a block."""

from __future__ import annotations

from uuid import UUID

from order_service.store.store import Store


class UnblockUser:
    """Let a user reach another one again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, blocker_id: UUID, blocked_id: UUID) -> None:
        """Do it, if there is a block."""
        self._store.blocks.remove(blocker_id, blocked_id)
