"""Who may move an order where: one table, and what is read from it.

The check of an action, the answer to "what may I do now", the worker that acts when time has passed, the picture in
docs/order-lifecycle.md and the tests all read TRANSITIONS.

Time has the last word: from the moment at which the system's row for it holds, people have nothing more to do with the
order, whether a worker has got to it yet or not. So it never depends on a worker's haste what somebody may do.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

from order_service.domain.order import Change, Event, Order, Party, Status
from servicekit.errors import Conflict, Forbidden


class Action(StrEnum):
    """What can be done to an order, by the names that clients use."""

    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"
    DELIVER = "deliver"
    REVISE = "revise"
    COMPLETE = "complete"
    EXPIRE = "expire"
    AUTO_COMPLETE = "auto_complete"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an order waits for people: the seller's answer to a placing, the buyer's to the last delivery."""

    answer: timedelta
    approval: timedelta


class When(Enum):
    """What must hold beside the state for a transition to be open."""

    ALWAYS = auto()
    OVERDUE_AND_NEVER_DELIVERED = auto()
    REVISIONS_LEFT = auto()
    UNANSWERED_TOO_LONG = auto()
    UNAPPROVED_TOO_LONG = auto()

    def holds(self, order: Order, now: datetime, patience: Patience) -> bool:
        """Whether it holds for this order at this moment."""
        match self:
            case When.ALWAYS:
                return True
            case When.OVERDUE_AND_NEVER_DELIVERED:
                return order.is_overdue(now) and order.first_delivered_at is None
            case When.REVISIONS_LEFT:
                return order.revisions_left > 0
            case When.UNANSWERED_TOO_LONG:
                return now >= order.created_at + patience.answer
            case When.UNAPPROVED_TOO_LONG:
                return order.last_delivered_at is not None and now >= order.last_delivered_at + patience.approval


class Effect(Enum):
    """What a transition changes on the order beside its state."""

    NOTHING = auto()
    HAND_OVER = auto()
    USE_REVISION = auto()

    def on(self, order: Order, now: datetime) -> Order:
        """The order with the effect applied."""
        match self:
            case Effect.NOTHING:
                return order
            case Effect.HAND_OVER:
                return replace(order, first_delivered_at=order.first_delivered_at or now, last_delivered_at=now)
            case Effect.USE_REVISION:
                due_at = now + timedelta(days=order.delivery_days)
                return replace(order, revisions_left=order.revisions_left - 1, due_at=due_at)


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: in state `came_from`, `by` may do `action` while `when` holds, which leads to `to`."""

    came_from: Status
    action: Action
    by: Party
    to: Status
    when: When = When.ALWAYS
    effect: Effect = Effect.NOTHING


S, A, P = Status, Action, Party
TRANSITIONS = (
    #          from           action           by        to             when and effect
    Transition(S.PENDING,     A.ACCEPT,        P.SELLER, S.IN_PROGRESS),
    Transition(S.PENDING,     A.DECLINE,       P.SELLER, S.CANCELLED),
    Transition(S.PENDING,     A.CANCEL,        P.BUYER,  S.CANCELLED),
    Transition(S.PENDING,     A.EXPIRE,        P.SYSTEM, S.CANCELLED,   When.UNANSWERED_TOO_LONG),
    Transition(S.IN_PROGRESS, A.DELIVER,       P.SELLER, S.DELIVERED,   When.ALWAYS, Effect.HAND_OVER),
    Transition(S.IN_PROGRESS, A.CANCEL,        P.SELLER, S.CANCELLED),
    Transition(S.IN_PROGRESS, A.CANCEL,        P.BUYER,  S.CANCELLED,   When.OVERDUE_AND_NEVER_DELIVERED),
    Transition(S.DELIVERED,   A.REVISE,        P.BUYER,  S.IN_PROGRESS, When.REVISIONS_LEFT, Effect.USE_REVISION),
    Transition(S.DELIVERED,   A.COMPLETE,      P.BUYER,  S.COMPLETED),
    Transition(S.DELIVERED,   A.AUTO_COMPLETE, P.SYSTEM, S.COMPLETED,   When.UNAPPROVED_TOO_LONG),
)  # fmt: skip

# What passing time does, and nobody else.
TIMED = tuple(row for row in TRANSITIONS if row.when in (When.UNANSWERED_TOO_LONG, When.UNAPPROVED_TOO_LONG))


def open_actions(order: Order, parties: frozenset[Party], now: datetime, patience: Patience) -> list[Action]:
    """What these parties may do with the order at this moment, in the table's order."""
    rows = (row for row in TRANSITIONS if row.came_from is order.status and row.by in parties)
    return list(dict.fromkeys(row.action for row in rows if _is_open(row, order, now, patience)))


def is_over(order: Order, now: datetime, patience: Patience) -> bool:
    """Whether the order has waited for people long enough, so that it is the system's turn."""
    return any(row.came_from is order.status and row.when.holds(order, now, patience) for row in TIMED)


def move(
    order: Order,
    action: Action,
    parties: frozenset[Party],
    *,
    now: datetime,
    patience: Patience,
    message: str = "",
) -> Change:
    """The order after `parties` did `action`, and what its history says of it.

    Raises Forbidden when this is another's to do, and Conflict (INVALID_TRANSITION) when nobody can do it in this
    state, or they cannot yet or no more; the conflict names what they can do now.
    """
    row = _row_for(order, action, parties, now, patience)
    moved = replace(row.effect.on(order, now), status=row.to, version=order.version + 1, updated_at=now)
    return Change(moved, Event(now, row.by, row.action, order.status, row.to, message))


def _is_open(row: Transition, order: Order, now: datetime, patience: Patience) -> bool:
    """Whether the row can be used at this moment by whom it is for."""
    return row.when.holds(order, now, patience) and (row.by is Party.SYSTEM or not is_over(order, now, patience))


def _row_for(order: Order, action: Action, parties: frozenset[Party], now: datetime, patience: Patience) -> Transition:
    here = [row for row in TRANSITIONS if row.came_from is order.status and row.action is action]
    theirs = [row for row in here if row.by in parties]
    for row in theirs:
        if _is_open(row, order, now, patience):
            return row
    if not theirs and (here or not _may_ever(action, parties)):
        raise Forbidden(f"You don't have permission to {action} this order")
    possible = open_actions(order, parties, now, patience)
    refusal = _refusal(order, action, possible, over=is_over(order, now, patience))
    raise Conflict(refusal, code="INVALID_TRANSITION")


def _may_ever(action: Action, parties: frozenset[Party]) -> bool:
    """An admin who is no side of the order has no business with what only its sides do, whatever its state."""
    if parties & {Party.BUYER, Party.SELLER}:
        return True
    return any(row.by in parties for row in TRANSITIONS if row.action is action)


def _refusal(order: Order, action: Action, possible: list[Action], *, over: bool) -> str:
    stands = f"it is {order.status} and its time is over" if over else f"it is {order.status}"
    choice = f"what you can do now: {', '.join(possible)}" if possible else "there is nothing you can do now"
    return f"You can't {action} this order now, {stands}; {choice}"
