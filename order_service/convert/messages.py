"""Messages: domain to proto."""

from __future__ import annotations

from marketplace.conversation.v1 import conversation_pb2
from order_service.convert.files import to_file
from order_service.domain.conversation import Message, Person
from servicekit.times import to_timestamp


def to_person(person: Person) -> conversation_pb2.Person:
    """Convert a side of a conversation."""
    return conversation_pb2.Person(id=str(person.id), username=person.username)


def to_message(message: Message) -> conversation_pb2.Message:
    """Convert a message. It is the same for both sides and admins."""
    converted = conversation_pb2.Message(
        id=str(message.id),
        conversation_id=str(message.conversation_id),
        text=message.text,
        files=map(to_file, message.files),
        order_id=str(message.order_id) if message.order_id else None,
        offer_id=str(message.offer_id) if message.offer_id else None,
        at=to_timestamp(message.at),
        removed=True if message.is_removed else None,
    )
    # `from` is a keyword of Python.
    getattr(converted, "from").CopyFrom(to_person(message.sender))
    return converted
