"""Conversations, in PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from order_service.domain.conversation import Conversation, Person
from order_service.store.message_rows import message_json, to_message
from servicekit.database import Database, Row, Statement
from servicekit.errors import NotFound

_COLUMNS = "id, starter_id, owner_id, gig_id, created_at, last_number, last_at, starter_read, owner_read"
_LAST = "(SELECT id FROM messages WHERE conversation_id = conversation.id AND number = conversation.last_number)"


def _reading(rows: str) -> str:
    """Return the SQL that reads these rows of _COLUMNS with the names of both sides and the newest message."""
    return f"""
        SELECT conversation.*, starter.username AS starter_name, owner.username AS owner_name,
            {message_json(_LAST)} AS last_message
        FROM ({rows}) AS conversation
        LEFT JOIN people AS starter ON starter.id = conversation.starter_id
        LEFT JOIN people AS owner ON owner.id = conversation.owner_id
    """


def _of_side(side: str) -> str:
    """Return the SQL of the first conversations whose `side` is $1: a range of one index."""
    return f"""(
        SELECT {_COLUMNS} FROM conversations
        WHERE {side} = $1 AND (last_at, id) < ($2::timestamptz, $3::uuid)
        ORDER BY last_at DESC, id DESC LIMIT (SELECT $4::integer)
    )"""


ONE = Statement(_reading(f"SELECT {_COLUMNS} FROM conversations WHERE id = $1"))
# Nobody has a conversation with themselves. The limit is hidden from the planner, for the reason that
# store/order_lists.py gives.
PAGE = Statement(
    _reading(f"""
        SELECT * FROM ({_of_side("starter_id")} UNION ALL {_of_side("owner_id")}) AS both_sides
        ORDER BY last_at DESC, id DESC LIMIT (SELECT $4::integer)
    """)
    + "ORDER BY conversation.last_at DESC, conversation.id DESC"
)
# Locking and reading are two statements: one statement that waits for a lock reads the newest message as it was before.
LOCK = Statement("SELECT FROM conversations WHERE id = $1 FOR UPDATE")
LOCK_BETWEEN = Statement("""
    SELECT id FROM conversations
    WHERE least(starter_id, owner_id) = least($1::uuid, $2::uuid)
        AND greatest(starter_id, owner_id) = greatest($1::uuid, $2::uuid)
    FOR UPDATE
""")
SET_READ = Statement("UPDATE conversations SET starter_read = $2, owner_read = $3 WHERE id = $1")


class ConversationKey(NamedTuple):
    """The end of a page: the time (aware) of the newest message of its last conversation, and that one's id."""

    last_at: datetime
    id: UUID


# Newer than every conversation.
START = ConversationKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Conversations:
    """The conversations. `Messages` begins them, with their first message."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, conversation_id: UUID) -> Conversation:
        """Return the conversation. Raises NotFound("Conversation")."""
        row = self._database.fetch_one(ONE, conversation_id)
        if row is None:
            raise NotFound("Conversation")
        return to_conversation(row)

    def lock(self, conversation_id: UUID) -> Conversation:
        """Return the conversation, locked until the end of the transaction. Raises NotFound("Conversation")."""
        self._database.write(LOCK, conversation_id)
        return self.get(conversation_id)

    def lock_between(self, user_id: UUID, other_id: UUID) -> Conversation | None:
        """Return the conversation of two people, locked until the end of the transaction; None when they have none."""
        row = self._database.fetch_one(LOCK_BETWEEN, user_id, other_id)
        return self.get(row["id"]) if row else None

    def page(self, user_id: UUID, *, after: ConversationKey, limit: int) -> list[Conversation]:
        """Return the first `limit` conversations of a user after this one, the one with the newest message first."""
        return [to_conversation(row) for row in self._database.fetch_all(PAGE, user_id, *after, limit)]

    def set_read(self, conversation: Conversation) -> None:
        """Store what both sides have read of a conversation that the transaction has locked."""
        self._database.write(SET_READ, conversation.id, conversation.starter_read, conversation.owner_read)


def to_conversation(row: Row) -> Conversation:
    """Return the conversation of a row of `_reading`."""
    return Conversation(
        id=row["id"],
        starter=Person(row["starter_id"], row["starter_name"] or ""),
        owner=Person(row["owner_id"], row["owner_name"] or ""),
        gig_id=row["gig_id"],
        created_at=row["created_at"],
        last_message=to_message(row["last_message"]),
        starter_read=row["starter_read"],
        owner_read=row["owner_read"],
    )
