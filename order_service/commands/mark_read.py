"""Mark the messages of a conversation as read."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.conversation import Conversation
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.database import retry_conflicts
from servicekit.errors import InvalidArgument, Violation


class MarkRead:
    """Mark a message, and all before it, as read by one side."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, conversation_id: UUID, message_id: UUID, caller: Caller) -> Conversation:
        """Return the conversation after the mark. Raises NotFound, Forbidden, InvalidArgument."""
        assert caller.id is not None
        with self._store.transaction("read mark"):
            conversation = self._store.conversations.lock(conversation_id)
            conversation.check_side(caller)
            message = self._store.messages.find(conversation_id, message_id)
            if message is None:
                raise InvalidArgument([Violation("messageId", "is no message of this conversation")])
            marked = conversation.marked(caller.id, message)
            if marked != conversation:
                self._store.conversations.set_read(marked)
                self._store.feed.add_read_mark(marked, caller.id, message)
        return marked
