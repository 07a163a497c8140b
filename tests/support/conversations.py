"""A conversation with its rows, as commands store it: messages, marks of reading, removals and offers."""

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
from servicekit.database import Database
from servicekit.ids import new_id


class Talk:
    """A conversation of two users, by their names and ids: who started it, and the owner of the gig."""

    def __init__(self, database: Database, store: Store, starter: Person, owner: Person) -> None:
        self._database = database
        self._store = store
        now = store.now()
        first = Message(new_id(), new_id(), 1, starter, "Hello", now, starter_wrote=1, owner_wrote=0)
        self.conversation = Conversation(first.conversation_id, starter, owner, new_id(), now, first)
        with store.transaction("test"):
            for person in (starter, owner):
                database.execute(
                    "INSERT INTO people VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET username = excluded.username",
                    (person.id, person.username),
                )
            database.execute(
                """
                INSERT INTO conversations (id, starter_id, owner_id, gig_id, created_at, last_number, last_at,
                    starter_wrote, owner_wrote)
                VALUES (%s, %s, %s, %s, %s, 1, %s, 1, 0)
                """,
                (first.conversation_id, starter.id, owner.id, self.conversation.gig_id, now, now),
            )
            self._store_message(first)

    def say(self, sender: Person, text: str, *, offer_id: UUID | None = None, file: FileLabel | None = None) -> Message:
        """Send a message."""
        last, is_starter = self.conversation.last_message, sender == self.conversation.starter
        message = Message(
            new_id(),
            self.conversation.id,
            last.number + 1,
            sender,
            text,
            self._store.now(),
            last.starter_wrote + is_starter,
            last.owner_wrote + (not is_starter),
            files=(file,) if file else (),
            offer_id=offer_id,
        )
        with self._store.transaction("test"):
            self._store_message(message)
            self._database.execute(
                """
                UPDATE conversations SET last_number = %s, last_at = %s, starter_wrote = %s, owner_wrote = %s
                WHERE id = %s
                """,
                (message.number, message.at, message.starter_wrote, message.owner_wrote, message.conversation_id),
            )
        self.conversation = replace(self.conversation, last_message=message)
        return message

    def read(self, reader: Person, message: Message) -> None:
        """Mark a message as read."""
        if reader == self.conversation.starter:
            self.conversation = replace(self.conversation, starter_read=message.owner_wrote)
        else:
            self.conversation = replace(self.conversation, owner_read=message.starter_wrote)
        with self._store.transaction("test"):
            self._store.feed.add_read_mark(self.conversation, reader.id, message)

    def remove(self, message: Message) -> None:
        """Remove a message's text and files, as an admin does."""
        with self._store.transaction("test"):
            self._database.execute("UPDATE messages SET text = '', is_removed = true WHERE id = %s", (message.id,))
            self._store.files.remove_of_message(message.id)
            self._store.feed.add_of_message(EventType.MESSAGE_REMOVED, message, self.conversation)

    def offer(self) -> Offer:
        """Make an offer of the gig's owner, with its message."""
        now = self._store.now()
        offer = Offer(
            id=new_id(),
            conversation_id=self.conversation.id,
            gig_id=self.conversation.gig_id,
            seller_id=self.conversation.owner.id,
            buyer_id=self.conversation.starter.id,
            title="A shop in two languages",
            description="With a blog",
            price=Decimal("700.00"),
            delivery_days=10,
            revisions=1,
            status=OfferStatus.OPEN,
            expires_at=now + timedelta(days=7),
            created_at=now,
        )
        with self._store.transaction("test"):
            self._store.feed.add_of_offer(EventType.OFFER_MADE, offer)
        return offer

    def close(self, offer: Offer, status: OfferStatus) -> Offer:
        """Close an offer."""
        closed = replace(offer, status=status)
        with self._store.transaction("test"):
            self._store.feed.add_of_offer(EventType.OFFER_CLOSED, closed)
        return closed

    def _store_message(self, message: Message) -> None:
        self._database.execute(
            """
            INSERT INTO messages (id, conversation_id, number, from_id, text, offer_id, at, starter_wrote, owner_wrote)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            (
                message.id,
                message.conversation_id,
                message.number,
                message.sender.id,
                message.text,
                message.offer_id,
                message.at,
                message.starter_wrote,
                message.owner_wrote,
            ),
        )
        for label in message.files:
            file = self._store.files.add(label, message.sender.id, str(label.id))
            self._store.files.send_in_message(message.sender.id, [file.label.id], message.id)
        self._store.feed.add_of_message(EventType.MESSAGE_SENT, message, self.conversation)
