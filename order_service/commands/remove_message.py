"""Remove a message, as an admin."""

from __future__ import annotations

from uuid import UUID

from order_service.store.store import Store
from servicekit.database import retry_conflicts


class RemoveMessage:
    """Remove the text and the files of a message. Its row stays."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, message_id: UUID) -> None:
        """Do it, unless it is done already. Raises NotFound."""
        with self._store.transaction("removal"):
            conversation = self._store.conversations.lock(self._store.messages.get(message_id).conversation_id)
            message = self._store.messages.get(message_id)
            if not message.is_removed:
                self._store.messages.remove(message, conversation)
