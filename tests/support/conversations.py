"""A conversation in the store, as commands write it: messages, marks of reading, removals and events of offers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from order_service.domain.conversation import Conversation, Message, Person
from order_service.domain.feed import EventType
from order_service.domain.file import FileLabel
from order_service.domain.offer import Offer, OfferStatus
from order_service.store.store import Store
from servicekit.ids import new_id


class Talk:
    """A conversation of two users. `starter` has begun it about a gig of `owner`, who is the seller of its offers."""

    def __init__(self, store: Store, starter: Person, owner: Person) -> None:
        self._store = store
        store.people.remember(starter.id, starter.username)
        with store.transaction("begin"):
            begun = store.messages.begin(starter.id, owner, new_id(), "Hello", [], new_id())
        assert begun is not None
        self.id, self.starter, self.owner, self.gig_id = begun.id, starter, owner, begun.gig_id

    @property
    def conversation(self) -> Conversation:
        """The conversation as it is now."""
        return self._store.conversations.get(self.id)

    def say(self, sender: Person, text: str, *, offer_id: UUID | None = None, file: FileLabel | None = None) -> Message:
        """Send a message, with a file that its sender has just uploaded."""
        if file is not None:
            with self._store.transaction("upload"):
                self._store.files.add(file, sender.id, str(file.id))
        with self._store.transaction("say"):
            conversation = self._store.conversations.lock(self.id)
            file_ids = [file.id] if file else []
            return self._store.messages.add(conversation, sender.id, text, file_ids=file_ids, offer_id=offer_id)

    def read(self, reader: Person, message: Message) -> None:
        """Mark a message as read."""
        with self._store.transaction("read"):
            marked = self._store.conversations.lock(self.id).marked(reader.id, message)
            self._store.conversations.set_read(marked)
            self._store.feed.add_read_mark(marked, reader.id, message)

    def remove(self, message: Message) -> None:
        """Remove a message's text and files, as an admin does."""
        with self._store.transaction("remove"):
            self._store.messages.remove(message, self._store.conversations.lock(self.id))

    def offer(self) -> Offer:
        """Tell of an offer."""
        offer = self.an_offer()
        with self._store.transaction("offer"):
            self._store.feed.add_of_offer(EventType.OFFER_MADE, offer)
        return offer

    def an_offer(self) -> Offer:
        """Return an offer of the owner that was just made."""
        now = self._store.now()
        return Offer(
            id=new_id(),
            conversation_id=self.id,
            gig_id=self.gig_id,
            seller_id=self.owner.id,
            buyer_id=self.starter.id,
            title="A shop in two languages",
            description="With a blog",
            price=Decimal("700.00"),
            delivery_days=10,
            revisions=1,
            status=OfferStatus.OPEN,
            expires_at=now + timedelta(days=7),
            created_at=now,
        )

    def close(self, offer: Offer, status: OfferStatus, order_id: UUID | None = None) -> Offer:
        """Tell of the end of an offer."""
        closed = replace(offer, status=status, order_id=order_id)
        with self._store.transaction("close"):
            self._store.feed.add_of_offer(EventType.OFFER_CLOSED, closed)
        return closed
