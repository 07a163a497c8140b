"""The events of the feed: what happened to orders, payouts, messages and offers, for everyone who follows along."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from order_service.domain.conversation import Message
from order_service.domain.lifecycle import Action
from order_service.domain.offer import Offer
from order_service.domain.order import Event, Order, Status
from order_service.domain.payout import Payout
from order_service.domain.payout import Status as PayoutStatus
from order_service.domain.reminders import Reminder


class EventType(StrEnum):
    """The types of events, by the names that clients use; clients do not see those that are INTERNAL."""

    ORDER_PLACED = "order.placed"
    ORDER_ACCEPTED = "order.accepted"
    ORDER_DECLINED = "order.declined"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_DELIVERED = "order.delivered"
    ORDER_REVISION_REQUESTED = "order.revision_requested"
    ORDER_COMPLETED = "order.completed"
    ORDER_DISPUTED = "order.disputed"
    ORDER_RESOLVED = "order.resolved"
    ORDER_REFUNDED = "order.refunded"
    ORDER_REFUND_FAILED = "order.refund_failed"
    ORDER_EXTENSION_REQUESTED = "order.extension_requested"
    ORDER_EXTENSION_ANSWERED = "order.extension_answered"
    ORDER_EXPIRING = "order.expiring"
    ORDER_DUE_SOON = "order.due_soon"
    ORDER_AUTO_COMPLETING = "order.auto_completing"
    PAYOUT_PAID = "payout.paid"
    PAYOUT_FAILED = "payout.failed"
    MESSAGE_SENT = "message.sent"
    MESSAGE_REMOVED = "message.removed"
    CONVERSATION_READ = "conversation.read"
    OFFER_MADE = "offer.made"
    OFFER_CLOSED = "offer.closed"


# For watches alone: these events are neither in the feed nor delivered to webhooks.
INTERNAL = frozenset((EventType.MESSAGE_REMOVED, EventType.CONVERSATION_READ))
# The types of the events that clients see.
PUBLIC_TYPES = frozenset(EventType) - INTERNAL

# Of each action in an order's history, and of each reminder.
TYPES: dict[str, EventType] = {
    "place": EventType.ORDER_PLACED,
    Action.ACCEPT: EventType.ORDER_ACCEPTED,
    Action.DECLINE: EventType.ORDER_DECLINED,
    Action.CANCEL: EventType.ORDER_CANCELLED,
    Action.EXPIRE: EventType.ORDER_CANCELLED,
    Action.ABANDON: EventType.ORDER_CANCELLED,
    Action.CAPTURE_FAILED: EventType.ORDER_CANCELLED,
    Action.DELIVER: EventType.ORDER_DELIVERED,
    Action.EXTEND: EventType.ORDER_EXTENSION_REQUESTED,
    Action.ACCEPT_EXTENSION: EventType.ORDER_EXTENSION_ANSWERED,
    Action.DECLINE_EXTENSION: EventType.ORDER_EXTENSION_ANSWERED,
    Action.REVISE: EventType.ORDER_REVISION_REQUESTED,
    Action.COMPLETE: EventType.ORDER_COMPLETED,
    Action.AUTO_COMPLETE: EventType.ORDER_COMPLETED,
    Action.DISPUTE: EventType.ORDER_DISPUTED,
    Action.CHARGEBACK: EventType.ORDER_DISPUTED,
    Action.RESOLVE: EventType.ORDER_RESOLVED,
    Action.REFUND: EventType.ORDER_REFUNDED,
    Action.REFUND_FAILED: EventType.ORDER_REFUND_FAILED,
    Reminder.EXPIRING: EventType.ORDER_EXPIRING,
    Reminder.DUE_SOON: EventType.ORDER_DUE_SOON,
    Reminder.AUTO_COMPLETING: EventType.ORDER_AUTO_COMPLETING,
}

# The statuses after which the watches of an order end.
FINAL = frozenset((Status.COMPLETED, Status.CANCELLED))


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event: its type, the time (aware, UTC), and the order, payout or offer as it was then.

    A message is as it is now: it never changes, but an admin can remove its text and files.
    """

    id: UUID
    at: datetime
    type: EventType
    subject: Order | Payout | Message | Offer


@dataclass(frozen=True, slots=True)
class PositionedEvent:
    """An event with its position in the feed."""

    position: int
    event: FeedEvent


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A row of an order's history, a change or a reminder, with its version."""

    order_id: UUID
    version: int
    event: Event

    @property
    def reminder_type(self) -> EventType | None:
        """The type of a reminder; None for a change."""
        return TYPES[self.event.action] if self.event.is_reminder else None

    @property
    def is_final(self) -> bool:
        """Whether the order ended with it. Refunds and chargebacks can follow; a watch does not tell of them."""
        return self.event.to_status in FINAL and self.event.from_status not in FINAL


@dataclass(frozen=True, slots=True)
class ReadMark:
    """A user has marked a message, and all before it, as read; `unread` is the number of the other's after it."""

    conversation_id: UUID
    message_id: UUID
    unread: int


@dataclass(frozen=True, slots=True)
class News:
    """Something new for those who watch, and its position in the feed; 0 where it was read from an order's history."""

    position: int
    subject: HistoryRow | Message | Offer | ReadMark


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """What those who follow the feed learn of an event: its position, whom it concerns, and the news.

    `news` is None for an event of a payout, which nobody watches.
    """

    position: int
    people: tuple[UUID, ...]
    news: News | None
    is_internal: bool = False


def outcome_type(payout: Payout) -> EventType:
    """Return the type of the event that tells of the outcome of a payout."""
    return EventType.PAYOUT_PAID if payout.status is PayoutStatus.PAID else EventType.PAYOUT_FAILED
