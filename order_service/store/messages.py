"""The messages of conversations, in PostgreSQL.

A conversation counts how many messages each side has written, and every message has these counts as they were with it:
what a side has not read is the difference of two counts, however long the conversation is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from order_service.domain.conversation import Conversation, Message, Person
from order_service.domain.feed import EventType
from order_service.store.conversations import Conversations
from order_service.store.feed import Feed
from order_service.store.files import Files
from order_service.store.message_rows import message_json, to_message
from order_service.store.people import People
from servicekit.database import Database, Statement
from servicekit.errors import NotFound
from servicekit.ids import new_id

_INSERT = """
    INSERT INTO messages (
        id, conversation_id, number, from_id, text, order_id, offer_id, at, starter_wrote, owner_wrote
    )
"""
# The time is read when the conversation is locked; a clock that was set back leaves the order as it is.
ADD = Statement(f"""
    WITH counted AS (
        UPDATE conversations SET last_number = last_number + 1, last_at = greatest(last_at, app_now()),
            starter_wrote = starter_wrote + (starter_id = $3)::integer,
            owner_wrote = owner_wrote + (owner_id = $3)::integer
        WHERE id = $2 RETURNING id, last_number, last_at, starter_wrote, owner_wrote
    )
    {_INSERT} SELECT $1, id, last_number, $3, $4, $5, $6, last_at, starter_wrote, owner_wrote FROM counted
""")
# Waits for another transaction that begins a conversation of the same two. Returns no row when they have one.
BEGIN = Statement(f"""
    WITH begun AS (
        INSERT INTO conversations (
            id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_wrote, owner_wrote
        )
        SELECT $2, $3, $5, $6, now, 1, now, 1, 0 FROM app_now() AS now
        ON CONFLICT (least(starter_id, owner_id), greatest(starter_id, owner_id)) DO NOTHING
        RETURNING id, created_at
    )
    {_INSERT} SELECT $1, id, 1, $3, $4, NULL, NULL, created_at, 1, 0 FROM begun RETURNING id
""")
ONE = Statement(f"SELECT {message_json('$1::uuid')} AS message")  # our own words
REMOVE = Statement("UPDATE messages SET text = '', is_removed = true WHERE id = $1")


def _page(comparison: str, order: str) -> Statement:
    """Return the statement of a page after or before the message $2, or the number $3, of the conversation $1.

    A row of it has the sides of the conversation, also when there is no message: one statement tells who may read it.
    """
    return Statement(f"""
        SELECT starter_id, owner_id, bound.number AS bound, page.message
        FROM conversations AS conversation
        LEFT JOIN messages AS bound ON bound.id = $2 AND bound.conversation_id = conversation.id
        LEFT JOIN LATERAL (
            SELECT number, {message_json("row.id")} AS message FROM (
                SELECT id, number FROM messages
                WHERE conversation_id = conversation.id AND number {comparison} coalesce($3::bigint, bound.number)
                ORDER BY number {order} LIMIT (SELECT $4::integer)
            ) AS row
        ) AS page ON true
        WHERE conversation.id = $1 ORDER BY page.number {order}
    """)


BEFORE = _page("<", "DESC")
AFTER = _page(">", "ASC")


# The bounds of a page without another one.
NEWEST, OLDEST = 2**31, 0


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages of a conversation between two people. `has_bound` says whether the message asked for is one of it."""

    sides: tuple[UUID, UUID]
    has_bound: bool
    messages: tuple[Message, ...]


class Messages:
    """The messages of conversations."""

    def __init__(
        self, database: Database, conversations: Conversations, people: People, files: Files, feed: Feed
    ) -> None:
        self._database = database
        self._conversations = conversations
        self._people = people
        self._files = files
        self._feed = feed

    def begin(
        self, starter_id: UUID, owner: Person, gig_id: UUID, text: str, file_ids: Sequence[UUID], message_id: UUID
    ) -> Conversation | None:
        """Store a new conversation about a gig of `owner`, with its first message, and its event. Return it.

        Return None when the two have one: another transaction has just begun it. Raises as `add` does.
        """
        conversation_id = new_id()
        if not self._database.fetch_all(BEGIN, message_id, conversation_id, starter_id, text, owner.id, gig_id):
            return None
        self._people.add(owner.id, owner.username)
        self._files.send_in_message(starter_id, file_ids, message_id)
        conversation = self._conversations.get(conversation_id)
        self._feed.add_of_message(EventType.MESSAGE_SENT, conversation.last_message, conversation)
        return conversation

    def add(
        self,
        conversation: Conversation,
        sender_id: UUID,
        text: str,
        *,
        file_ids: Sequence[UUID] = (),
        order_id: UUID | None = None,
        offer_id: UUID | None = None,
        message_id: UUID | None = None,
    ) -> Message:
        """Store a message, and its event, in a transaction that has locked the conversation. Return it.

        Raises NotFound for files of others, and Conflict (FILE_NOT_READY).
        """
        message_id = message_id or new_id()
        self._database.write(ADD, message_id, conversation.id, sender_id, text, order_id, offer_id)
        self._files.send_in_message(sender_id, file_ids, message_id)
        message = self.get(message_id)
        self._feed.add_of_message(EventType.MESSAGE_SENT, message, conversation)
        return message

    def get(self, message_id: UUID) -> Message:
        """Return the message. Raises NotFound("Message")."""
        row = self._database.fetch_one(ONE, message_id)
        if row is None or row["message"] is None:
            raise NotFound("Message")
        return to_message(row["message"])

    def find(self, conversation_id: UUID, message_id: UUID) -> Message | None:
        """Return the message, if it is one of this conversation."""
        row = self._database.fetch_one(ONE, message_id)
        if row is None or row["message"] is None:
            return None
        message = to_message(row["message"])
        return message if message.conversation_id == conversation_id else None

    def remove(self, message: Message, conversation: Conversation) -> None:
        """Remove the text and the files of a message, in a transaction that has locked its conversation.

        The files are gone from all messages and deliveries. The watches of both sides get the message again.
        """
        self._database.write(REMOVE, message.id)
        self._files.remove_of_message(message.id)
        self._feed.add_of_message(EventType.MESSAGE_REMOVED, message, conversation)

    def page(
        self, conversation_id: UUID, *, bound_id: UUID | None, number: int | None, is_forward: bool, limit: int
    ) -> MessagePage:
        """Return the first `limit` messages before a place, newest first; after it, oldest first, if `is_forward`.

        The place is the number of a message, else the message `bound_id`, else the end of the conversation. Raises
        NotFound("Conversation").
        """
        if number is None and bound_id is None:
            number = OLDEST if is_forward else NEWEST
        statement = AFTER if is_forward else BEFORE
        rows = self._database.fetch_all(statement, conversation_id, bound_id, number, limit)
        if not rows:
            raise NotFound("Conversation")
        first = rows[0]
        messages = tuple(to_message(row["message"]) for row in rows if row["message"] is not None)
        return MessagePage((first["starter_id"], first["owner_id"]), first["bound"] is not None, messages)
