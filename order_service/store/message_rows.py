"""A message as a part of a row: with its sender's name and its files, in one step of a statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from order_service.domain.conversation import Message, Person
from order_service.store.files import labels_of_message, to_labels


def message_json(message_id: str) -> str:
    """Return the SQL of a message as JSON, for `to_message`; null without one. `message_id` is SQL too."""
    return f"""(
        SELECT json_build_object(
            'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number,
            'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at,
            'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote,
            'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed,
            'files', {labels_of_message("messages.id")}
        )
        FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = {message_id}
    )"""


def to_message(row: Mapping[str, Any]) -> Message:
    """Return the message that the SQL of `message_json` has read."""
    return Message(
        id=UUID(row["id"]),
        conversation_id=UUID(row["conversation_id"]),
        number=row["number"],
        sender=Person(UUID(row["from_id"]), row["username"] or ""),
        text=row["text"],
        at=datetime.fromisoformat(row["at"]),
        starter_wrote=row["starter_wrote"],
        owner_wrote=row["owner_wrote"],
        files=to_labels(row["files"]),
        order_id=_to_id(row["order_id"]),
        offer_id=_to_id(row["offer_id"]),
        is_removed=row["is_removed"],
    )


def _to_id(text: str | None) -> UUID | None:
    return UUID(text) if text else None
