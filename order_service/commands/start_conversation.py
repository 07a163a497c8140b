"""Start a conversation with the owner of a gig, or add a message to the one that the two have."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from order_service.commands.writing import Writing
from order_service.domain.conversation import Conversation, DescribedGig, StartedConversation, check_content
from order_service.domain.limits import LimitKind
from order_service.gigs import Gigs
from order_service.store.store import Store
from servicekit.call import Caller, IdempotencyClaim
from servicekit.database import TransactionConflict, retry_conflicts
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.ids import new_id


class StartConversation:
    """Write to the owner of a gig."""

    def __init__(
        self,
        store: Store,
        gigs: Gigs,
        writing: Writing,
        idempotency_keys: IdempotencyKeys,
        responses: ResponseStore[StartedConversation],
    ) -> None:
        self._store = store
        self._gigs = gigs
        self._writing = writing
        self._idempotency_keys = idempotency_keys
        self._responses = responses

    def execute(
        self, gig_id: UUID, text: str, file_ids: Sequence[UUID], caller: Caller, claim: IdempotencyClaim | None
    ) -> StartedConversation:
        """Return the conversation.

        Raises InvalidArgument, NotFound (Gig, File), Forbidden, RateLimited and Conflict (also FILE_NOT_READY).
        """
        check_content(text, file_ids)
        gig = self._gigs.describe(gig_id)
        gig.check_start(caller)
        return self._write(gig, text, file_ids, caller, claim)

    @retry_conflicts
    def _write(
        self, gig: DescribedGig, text: str, file_ids: Sequence[UUID], caller: Caller, claim: IdempotencyClaim | None
    ) -> StartedConversation:
        assert caller.id is not None
        message_id = new_id()
        with self._store.transaction("conversation"):
            self._idempotency_keys.begin(claim, message_id)
            self._writing.begin(caller.id)
            self._store.files.check_own(caller.id, file_ids)
            known = self._store.conversations.lock_between(caller.id, gig.owner.id)
            if known is None:
                conversation = self._begin(gig, text, file_ids, caller.id, message_id)
            else:
                self._writing.count(caller.id, gig.owner.id)
                self._store.messages.add(known, caller.id, text, file_ids=file_ids, message_id=message_id)
                conversation = self._store.conversations.get(known.id)
            started = StartedConversation(conversation, caller, is_new=known is None)
            self._responses.store(message_id, started)
        return started

    def _begin(
        self, gig: DescribedGig, text: str, file_ids: Sequence[UUID], starter_id: UUID, message_id: UUID
    ) -> Conversation:
        self._writing.count(starter_id, gig.owner.id, (LimitKind.CONVERSATION, LimitKind.MESSAGE))
        conversation = self._store.messages.begin(starter_id, gig.owner, gig.id, text, file_ids, message_id)
        if conversation is None:
            # Another transaction has just begun it: this one is run again, and adds a message.
            raise TransactionConflict
        return conversation
