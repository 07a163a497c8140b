"""Conversations: two people, their messages, and what each of them has read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from order_service.domain.file import FileLabel


@dataclass(frozen=True, slots=True)
class Person:
    """A user with the name of their latest access token; it is empty for an erased user."""

    id: UUID
    username: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `number` counts the messages of its conversation from 1. Of a removed one neither text nor files stay.

    `starter_wrote` and `owner_wrote` are how many messages each side had written with this one.
    """

    id: UUID
    conversation_id: UUID
    number: int
    sender: Person
    text: str
    at: datetime
    starter_wrote: int
    owner_wrote: int
    files: tuple[FileLabel, ...] = ()
    order_id: UUID | None = None
    offer_id: UUID | None = None
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """What two people say to each other, whatever gigs and orders it is about.

    `starter` began it, about the gig of `owner`. `starter_read` and `owner_read` are how many messages of the other
    side each has marked as read.
    """

    id: UUID
    starter: Person
    owner: Person
    gig_id: UUID
    created_at: datetime
    last_message: Message
    starter_read: int = 0
    owner_read: int = 0

    def unread(self, user_id: UUID) -> int:
        """Return the number of the other side's messages after the newest one that a side has marked as read."""
        if user_id == self.starter.id:
            return self.last_message.owner_wrote - self.starter_read
        return self.last_message.starter_wrote - self.owner_read
