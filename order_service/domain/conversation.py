"""Conversations: two people, their messages, what each of them has read, and who may write to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from order_service.domain.file import FileLabel
from order_service.domain.order import Order
from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, InvalidArgument, NotFound, Violation


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

    @property
    def sides(self) -> tuple[UUID, UUID]:
        """The ids of the two people, who started it first."""
        return self.starter.id, self.owner.id

    def is_side(self, user_id: UUID | None) -> bool:
        """Return whether the user is one of the two."""
        return user_id in self.sides

    def other(self, user_id: UUID) -> Person:
        """Return the other side than this one."""
        return self.owner if user_id == self.starter.id else self.starter

    def unread(self, user_id: UUID) -> int:
        """Return the number of the other side's messages after the newest one that this side has marked."""
        if user_id == self.starter.id:
            return self.last_message.owner_wrote - self.starter_read
        return self.last_message.starter_wrote - self.owner_read

    def marked(self, user_id: UUID, message: Message) -> Conversation:
        """Return the conversation after a side has read a message of it, and all before. A mark never goes back."""
        if user_id == self.starter.id:
            return replace(self, starter_read=max(self.starter_read, message.owner_wrote))
        return replace(self, owner_read=max(self.owner_read, message.starter_wrote))

    def check_side(self, caller: Caller) -> None:
        """Raise NotFound for a stranger, and Forbidden for an admin who is no side."""
        check_visible(self.sides, caller)
        if not self.is_side(caller.id):
            raise Forbidden("Only the two sides of a conversation can do this")

    def check_order(self, order: Order) -> None:
        """Raise NotFound unless the order is one between the two."""
        if {order.buyer_id, order.seller_id} != set(self.sides):
            raise NotFound("Order")


@dataclass(frozen=True, slots=True)
class DescribedGig:
    """A gig that a conversation can be started about, with its owner, as GigService has them."""

    id: UUID
    owner: Person
    is_active: bool

    def check_start(self, caller: Caller) -> None:
        """Raise Forbidden for the caller's own gig, and NotFound for one that is not visible to the caller."""
        if caller.id == self.owner.id:
            raise Forbidden("You can't start a conversation about your own gig")
        if not (self.is_active or caller.is_admin):
            raise NotFound("Gig")


@dataclass(frozen=True, slots=True)
class StartedConversation:
    """A conversation with the message that was added, as its writer sees it; `is_new` when it began with it."""

    conversation: Conversation
    writer: Caller
    is_new: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A user whom another one has blocked, since this time (aware, UTC)."""

    user_id: UUID
    since: datetime


@dataclass(frozen=True, slots=True)
class BlocksBetween:
    """The blocks between a user who wants to reach another one, and that one."""

    is_blocked: bool = False
    is_blocking: bool = False

    def check_blocked(self) -> None:
        """Raise Forbidden for a user whom the other one blocks."""
        if self.is_blocked:
            raise Forbidden("This user has blocked you")

    def check_blocking(self) -> None:
        """Raise Conflict for a user who blocks the other one."""
        if self.is_blocking:
            raise Conflict("You have blocked this user; end the block first")


def check_visible(sides: tuple[UUID, UUID], caller: Caller) -> None:
    """Raise NotFound unless the caller is a side of the conversation or an admin: a stranger must not learn of it."""
    if not (caller.id in sides or caller.is_admin):
        raise NotFound("Conversation")


def check_content(text: str, file_ids: Sequence[UUID]) -> None:
    """Raise InvalidArgument for a message that has neither a text nor files."""
    if not text and not file_ids:
        raise InvalidArgument([Violation("text", "must not be empty in a message without files")])


def check_range(after: str, before: str) -> None:
    """Raise InvalidArgument for a page of messages with both bounds."""
    if after and before:
        raise InvalidArgument([Violation("before", "must not stand beside `after`")])
