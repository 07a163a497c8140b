"""Who may move an order where: one table, and what is read from it.

The check of an action, the answer to "what may I do now", the worker that acts when time has passed, the picture in
docs/order-lifecycle.md and the tests all read TRANSITIONS.

Time has the last word: from the moment at which the system's row for it holds, people have nothing more to do with the
order, whether a worker has got to it yet or not. So it never depends on a worker's haste what somebody may do.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum, auto

from order_service.domain import settlement
from order_service.domain.order import Change, Event, Order, Party, Status
from servicekit.errors import Conflict, Forbidden, InvalidArgument, Violation

# So long before a card's hold ends, an order that nobody has accepted is called off: no hold is left to lapse.
LAST_MOMENT = timedelta(hours=1)


class Action(StrEnum):
    """What can be done to an order, by the names that clients use."""

    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"
    DELIVER = "deliver"
    REVISE = "revise"
    COMPLETE = "complete"
    DISPUTE = "dispute"
    RESOLVE = "resolve"
    EXPIRE = "expire"
    AUTO_COMPLETE = "auto_complete"
    CAPTURE_FAILED = "capture_failed"
    CHARGEBACK = "chargeback"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an order waits for people: the seller's answer to a placing, the buyer's to the last delivery."""

    answer: timedelta
    approval: timedelta


@dataclass(frozen=True, slots=True)
class Command:
    """An action with what was said to it. A `resolve` also says where it leads, and what of the price goes back."""

    action: Action
    message: str = ""
    outcome: Status | None = None
    refund: Decimal = Decimal(0)


class When(Enum):
    """What must hold beside the state for a transition to be open."""

    ALWAYS = auto()
    OVERDUE_NEVER_DELIVERED = auto()
    OVERDUE_AFTER_A_REVISION = auto()
    REVISIONS_LEFT = auto()
    UNANSWERED_TOO_LONG = auto()
    UNAPPROVED_TOO_LONG = auto()
    THE_PROVIDER_SAYS_SO = auto()

    def holds(self, order: Order, now: datetime, timeouts: Timeouts) -> bool:
        """Whether it holds for this order at this moment."""
        match self:
            case When.ALWAYS:
                return True
            case When.OVERDUE_NEVER_DELIVERED:
                return order.is_overdue(now) and order.first_delivered_at is None
            case When.OVERDUE_AFTER_A_REVISION:
                return order.is_overdue(now) and order.first_delivered_at is not None
            case When.REVISIONS_LEFT:
                return order.revisions_left > 0
            case When.UNANSWERED_TOO_LONG:
                lapses = order.capture_before is not None and now >= order.capture_before - LAST_MOMENT
                return lapses or now >= order.created_at + timeouts.answer
            case When.UNAPPROVED_TOO_LONG:
                return order.last_delivered_at is not None and now >= order.last_delivered_at + timeouts.approval
            case When.THE_PROVIDER_SAYS_SO:
                # Not a matter of the order or the time: `end_capture` and `charge_back` are called when it does.
                return False


class Effect(Enum):
    """What a transition does beside changing the state: to the work, or to the money."""

    NOTHING = auto()
    HAND_OVER = auto()
    USE_REVISION = auto()
    CAPTURE = auto()
    VOID = auto()
    REFUND = auto()
    RELEASE = auto()

    def on(self, order: Order, now: datetime, refund: Decimal) -> Change:
        """What comes of it. `refund` is what a RELEASE gives back of the price, in major units."""
        match self:
            case Effect.NOTHING:
                return Change(order)
            case Effect.HAND_OVER:
                return Change(replace(order, first_delivered_at=order.first_delivered_at or now, last_delivered_at=now))
            case Effect.USE_REVISION:
                due_at = now + timedelta(days=order.delivery_days)
                return Change(replace(order, revisions_left=order.revisions_left - 1, due_at=due_at))
            case Effect.CAPTURE:
                return settlement.capture(order)
            case Effect.VOID:
                return settlement.void(order)
            case Effect.REFUND:
                return settlement.give_back(order)
            case Effect.RELEASE:
                return settlement.release(order, refund)


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: in `came_from`, `by` can do `action`, which leads to `to`, when `when` holds."""

    came_from: Status
    action: Action
    by: Party
    to: Status
    when: When = When.ALWAYS
    effect: Effect = Effect.NOTHING


S, A, P = Status, Action, Party

TRANSITIONS = (
    Transition(S.PENDING,     A.ACCEPT,         P.SELLER, S.IN_PROGRESS, When.ALWAYS, Effect.CAPTURE),
    Transition(S.PENDING,     A.DECLINE,        P.SELLER, S.CANCELLED,   When.ALWAYS, Effect.VOID),
    Transition(S.PENDING,     A.CANCEL,         P.BUYER,  S.CANCELLED,   When.ALWAYS, Effect.VOID),
    Transition(S.PENDING,     A.EXPIRE,         P.SYSTEM, S.CANCELLED,   When.UNANSWERED_TOO_LONG, Effect.VOID),
    Transition(S.PENDING,     A.CAPTURE_FAILED, P.SYSTEM, S.CANCELLED,   When.THE_PROVIDER_SAYS_SO, Effect.VOID),
    Transition(S.IN_PROGRESS, A.DELIVER,        P.SELLER, S.DELIVERED,   When.ALWAYS, Effect.HAND_OVER),
    Transition(S.IN_PROGRESS, A.CANCEL,         P.SELLER, S.CANCELLED,   When.ALWAYS, Effect.REFUND),
    Transition(S.IN_PROGRESS, A.CANCEL,         P.BUYER,  S.CANCELLED,   When.OVERDUE_NEVER_DELIVERED, Effect.REFUND),
    Transition(S.IN_PROGRESS, A.DISPUTE,        P.BUYER,  S.DISPUTED,    When.OVERDUE_AFTER_A_REVISION),
    Transition(S.IN_PROGRESS, A.CHARGEBACK,     P.SYSTEM, S.DISPUTED,    When.THE_PROVIDER_SAYS_SO),
    Transition(S.DELIVERED,   A.REVISE,         P.BUYER,  S.IN_PROGRESS, When.REVISIONS_LEFT, Effect.USE_REVISION),
    Transition(S.DELIVERED,   A.COMPLETE,       P.BUYER,  S.COMPLETED,   When.ALWAYS, Effect.RELEASE),
    Transition(S.DELIVERED,   A.AUTO_COMPLETE,  P.SYSTEM, S.COMPLETED,   When.UNAPPROVED_TOO_LONG, Effect.RELEASE),
    Transition(S.DELIVERED,   A.DISPUTE,        P.BUYER,  S.DISPUTED),
    Transition(S.DELIVERED,   A.CHARGEBACK,     P.SYSTEM, S.DISPUTED,    When.THE_PROVIDER_SAYS_SO),
    Transition(S.DISPUTED,    A.RESOLVE,        P.ADMIN,  S.COMPLETED,   When.ALWAYS, Effect.RELEASE),
    Transition(S.DISPUTED,    A.RESOLVE,        P.ADMIN,  S.CANCELLED,   When.ALWAYS, Effect.REFUND),
)  # fmt: skip

# What passing time does, and nobody else.
TIMED = tuple(row for row in TRANSITIONS if row.when in (When.UNANSWERED_TOO_LONG, When.UNAPPROVED_TOO_LONG))


def open_actions(order: Order, parties: frozenset[Party], now: datetime, timeouts: Timeouts) -> list[Action]:
    """What these parties may do with the order at this moment, in the table's order."""
    rows = (row for row in TRANSITIONS if row.came_from is order.status and row.by in parties)
    return list(dict.fromkeys(row.action for row in rows if _is_open(row, order, now, timeouts)))


def is_over(order: Order, now: datetime, timeouts: Timeouts) -> bool:
    """Whether the order has waited for people long enough, so that it is the system's turn."""
    return any(row.came_from is order.status and row.when.holds(order, now, timeouts) for row in TIMED)


def move(order: Order, command: Command, parties: frozenset[Party], *, now: datetime, timeouts: Timeouts) -> Change:
    """The order after `parties` did this, with all that goes with it.

    A payment that has to be captured has been by now. Raises Forbidden when this is another's to do, Conflict
    (INVALID_TRANSITION) when nobody can do it in this state, or they cannot yet or no more, which names what they can
    do now, and InvalidArgument for a refund that does not go with the price or the outcome.
    """
    row = _row_for(order, command, parties, now, timeouts)
    _check_refund(order, command)
    return _along(row, order, command, now)


def end_capture(order: Order, command: Command, now: datetime) -> Change:
    """The order after the payment provider has answered: `command` is the seller's accept, or that the capture failed.

    Whatever time has passed meanwhile: the seller was in time.
    """
    rows = (row for row in TRANSITIONS if row.came_from is order.status and row.action is command.action)
    return _along(next(rows), order, command, now)


def charge_back(order: Order, chargeback_id: str, amount: Decimal, now: datetime) -> Change:
    """The order after the buyer's bank has taken this much back: disputed, unless it is already or nothing follows."""
    change = settlement.charge_back(order, chargeback_id, amount)
    row = next((row for row in TRANSITIONS if row.came_from is order.status and row.action is Action.CHARGEBACK), None)
    if row is not None:
        return replace(_along(row, change.order, Command(Action.CHARGEBACK), now), postings=change.postings)
    return change


def _along(row: Transition, order: Order, command: Command, now: datetime) -> Change:
    change = row.effect.on(order, now, command.refund)
    moved = replace(change.order, status=row.to, version=order.version + 1, updated_at=now)
    return replace(change, order=moved, event=Event(now, row.by, row.action, order.status, row.to, command.message))


def _is_open(row: Transition, order: Order, now: datetime, timeouts: Timeouts) -> bool:
    """Whether the row can be used at this moment by whom it is for."""
    if order.is_being_captured:
        return False
    return row.when.holds(order, now, timeouts) and (row.by is Party.SYSTEM or not is_over(order, now, timeouts))


def _row_for(
    order: Order, command: Command, parties: frozenset[Party], now: datetime, timeouts: Timeouts
) -> Transition:
    action = command.action
    here = [row for row in TRANSITIONS if row.came_from is order.status and row.action is action]
    theirs = [row for row in here if row.by in parties]
    for row in theirs:
        if _is_open(row, order, now, timeouts) and command.outcome in (None, row.to):
            return row
    if not theirs and (here or not _may_ever(action, parties)):
        raise Forbidden(f"You don't have permission to {action} this order")
    possible = open_actions(order, parties, now, timeouts)
    refusal = _refusal(order, action, possible, over=is_over(order, now, timeouts))
    raise Conflict(refusal, code="INVALID_TRANSITION")


def _may_ever(action: Action, parties: frozenset[Party]) -> bool:
    """An admin who is no side of the order has no business with what only its sides do, whatever its state."""
    if parties & {Party.BUYER, Party.SELLER}:
        return True
    return any(row.by in parties for row in TRANSITIONS if row.action is action)


def _check_refund(order: Order, command: Command) -> None:
    if command.refund > order.price:
        told = f"must be at most the price, {order.price}"
    elif command.refund and command.outcome is Status.CANCELLED and command.refund != order.price:
        told = "goes with the outcome COMPLETED; CANCELLED gives everything back"
    else:
        return
    raise InvalidArgument([Violation("refundAmount", told)])


def _refusal(order: Order, action: Action, possible: list[Action], *, over: bool) -> str:
    if order.is_being_captured:
        stands = "it is just being accepted"
    else:
        stands = f"it is {order.status} and its time is over" if over else f"it is {order.status}"
    choice = f"what you can do now: {', '.join(possible)}" if possible else "there is nothing you can do now"
    return f"You can't {action} this order now, {stands}; {choice}"
