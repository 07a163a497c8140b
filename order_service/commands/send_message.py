"""Send a message in a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from order_service.commands.writing import Writing
from order_service.domain.conversation import Message, check_content
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.database import retry_conflicts


class SendMessage:
    """Add a message of one side."""

    def __init__(self, store: Store, writing: Writing) -> None:
        self._store = store
        self._writing = writing

    @retry_conflicts
    def execute(
        self, conversation_id: UUID, text: str, file_ids: Sequence[UUID], order_id: UUID | None, caller: Caller
    ) -> Message:
        """Return the message.

        Raises InvalidArgument, NotFound (Conversation, Order, File), Forbidden, RateLimited and Conflict (also
        FILE_NOT_READY).
        """
        check_content(text, file_ids)
        assert caller.id is not None
        with self._store.transaction("message"):
            self._writing.begin(caller.id)
            conversation = self._store.conversations.lock(conversation_id)
            conversation.check_side(caller)
            if order_id is not None:
                conversation.check_order(self._store.orders.get(order_id).order)
            self._store.files.check_own(caller.id, file_ids)
            self._writing.count(caller.id, conversation.other(caller.id).id)
            return self._store.messages.add(conversation, caller.id, text, file_ids=file_ids, order_id=order_id)
