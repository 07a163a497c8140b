"""Who may move an order where: one table, and the functions that read it.

The check of an action, the `actions` of a response, the worker for order timeouts, the page docs/order-lifecycle.md and
the tests all read TRANSITIONS.

A timeout closes an order to people: from the moment at which the system's transition is due, no other transition from
that state is open. Whether a worker has run yet does not change who may do what.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum, auto

from order_service.domain import settlement
from order_service.domain.order import Change, Event, Order, Party, Status
from servicekit.errors import Conflict, Forbidden, InvalidArgument, Violation

# An order that nobody has accepted expires this long before its card authorization does.
AUTHORIZATION_MARGIN = timedelta(hours=1)


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
    ABANDON = "abandon"
    CAPTURE_FAILED = "capture_failed"
    CHARGEBACK = "chargeback"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an order waits: for the seller's answer after placing, for the buyer's approval after a delivery.

    `overdue` is how long it waits for a delivery after its due date.
    """

    answer: timedelta
    approval: timedelta
    overdue: timedelta


@dataclass(frozen=True, slots=True)
class Command:
    """An action and its message. A `resolve` also names the resulting status and the refund, in major units."""

    action: Action
    message: str = ""
    outcome: Status | None = None
    refund: Decimal = Decimal(0)


class Condition(Enum):
    """What must hold, beside the status, for a transition to be open."""

    ALWAYS = auto()
    OVERDUE_BEFORE_DELIVERY = auto()
    OVERDUE_AFTER_REVISION = auto()
    REVISIONS_LEFT = auto()
    ANSWER_OVERDUE = auto()
    APPROVAL_OVERDUE = auto()
    DELIVERY_OVERDUE = auto()
    REPORTED_BY_PROVIDER = auto()

    def holds(self, order: Order, now: datetime, timeouts: Timeouts) -> bool:
        """Return whether the condition holds for this order at this moment."""
        match self:
            case Condition.ALWAYS:
                return True
            case Condition.OVERDUE_BEFORE_DELIVERY:
                return order.is_overdue(now) and order.first_delivered_at is None
            case Condition.OVERDUE_AFTER_REVISION:
                return order.is_overdue(now) and order.first_delivered_at is not None
            case Condition.REVISIONS_LEFT:
                return order.revisions_left > 0
            case Condition.ANSWER_OVERDUE:
                expires_at = order.capture_before and order.capture_before - AUTHORIZATION_MARGIN
                return now >= order.created_at + timeouts.answer or (expires_at is not None and now >= expires_at)
            case Condition.APPROVAL_OVERDUE:
                return order.last_delivered_at is not None and now >= order.last_delivered_at + timeouts.approval
            case Condition.DELIVERY_OVERDUE:
                return now >= order.due_at + timeouts.overdue
            case Condition.REPORTED_BY_PROVIDER:
                # No state of the order opens these: `end_capture` and `record_chargeback` are called on a report.
                return False

    def explanation(self, order: Order) -> str:
        """Return why the condition does not hold yet, and until when; empty where the status says it all."""
        due = order.due_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        match self:
            case Condition.OVERDUE_BEFORE_DELIVERY if order.first_delivered_at is None:
                return f"you can once it is overdue, after {due}"
            case Condition.OVERDUE_BEFORE_DELIVERY:
                return "its work was delivered before"
            case Condition.OVERDUE_AFTER_REVISION if order.first_delivered_at is not None:
                return f"you can once it is overdue, after {due}"
            case Condition.OVERDUE_AFTER_REVISION:
                return "its work was never delivered"
            case Condition.REVISIONS_LEFT:
                return "no revisions are left"
            case _:
                return ""


class Effect(Enum):
    """What a transition does beside changing the status: to the work, or to the money."""

    NOTHING = auto()
    RECORD_DELIVERY = auto()
    USE_REVISION = auto()
    CAPTURE = auto()
    VOID = auto()
    REFUND = auto()
    RELEASE = auto()

    def apply(self, order: Order, now: datetime, refund: Decimal) -> Change:
        """Return the order with the effect. `refund` is the part of the price that RELEASE refunds, in major units."""
        match self:
            case Effect.NOTHING:
                return Change(order)
            case Effect.RECORD_DELIVERY:
                return Change(replace(order, first_delivered_at=order.first_delivered_at or now, last_delivered_at=now))
            case Effect.USE_REVISION:
                due_at = now + timedelta(days=order.delivery_days)
                return Change(replace(order, revisions_left=order.revisions_left - 1, due_at=due_at))
            case Effect.CAPTURE:
                return settlement.capture(order)
            case Effect.VOID:
                return settlement.void(order)
            case Effect.REFUND:
                return settlement.refund_in_full(order)
            case Effect.RELEASE:
                return settlement.release(order, refund)


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: `by` moves an order by `action` from one status to the next, when the condition holds."""

    from_status: Status
    action: Action
    by: Party
    to_status: Status
    condition: Condition = Condition.ALWAYS
    effect: Effect = Effect.NOTHING


S, A, P, C, E = Status, Action, Party, Condition, Effect

TRANSITIONS = (
    Transition(S.PENDING,     A.ACCEPT,         P.SELLER, S.IN_PROGRESS, C.ALWAYS, E.CAPTURE),
    Transition(S.PENDING,     A.DECLINE,        P.SELLER, S.CANCELLED,   C.ALWAYS, E.VOID),
    Transition(S.PENDING,     A.CANCEL,         P.BUYER,  S.CANCELLED,   C.ALWAYS, E.VOID),
    Transition(S.PENDING,     A.EXPIRE,         P.SYSTEM, S.CANCELLED,   C.ANSWER_OVERDUE, E.VOID),
    Transition(S.PENDING,     A.CAPTURE_FAILED, P.SYSTEM, S.CANCELLED,   C.REPORTED_BY_PROVIDER, E.VOID),
    Transition(S.IN_PROGRESS, A.DELIVER,        P.SELLER, S.DELIVERED,   C.ALWAYS, E.RECORD_DELIVERY),
    Transition(S.IN_PROGRESS, A.CANCEL,         P.SELLER, S.CANCELLED,   C.ALWAYS, E.REFUND),
    Transition(S.IN_PROGRESS, A.CANCEL,         P.BUYER,  S.CANCELLED,   C.OVERDUE_BEFORE_DELIVERY, E.REFUND),
    Transition(S.IN_PROGRESS, A.DISPUTE,        P.BUYER,  S.DISPUTED,    C.OVERDUE_AFTER_REVISION),
    Transition(S.IN_PROGRESS, A.ABANDON,        P.SYSTEM, S.CANCELLED,   C.DELIVERY_OVERDUE, E.REFUND),
    Transition(S.IN_PROGRESS, A.CHARGEBACK,     P.SYSTEM, S.DISPUTED,    C.REPORTED_BY_PROVIDER),
    Transition(S.DELIVERED,   A.REVISE,         P.BUYER,  S.IN_PROGRESS, C.REVISIONS_LEFT, E.USE_REVISION),
    Transition(S.DELIVERED,   A.COMPLETE,       P.BUYER,  S.COMPLETED,   C.ALWAYS, E.RELEASE),
    Transition(S.DELIVERED,   A.AUTO_COMPLETE,  P.SYSTEM, S.COMPLETED,   C.APPROVAL_OVERDUE, E.RELEASE),
    Transition(S.DELIVERED,   A.DISPUTE,        P.BUYER,  S.DISPUTED),
    Transition(S.DELIVERED,   A.CHARGEBACK,     P.SYSTEM, S.DISPUTED,    C.REPORTED_BY_PROVIDER),
    Transition(S.DISPUTED,    A.RESOLVE,        P.ADMIN,  S.COMPLETED,   C.ALWAYS, E.RELEASE),
    Transition(S.DISPUTED,    A.RESOLVE,        P.ADMIN,  S.CANCELLED,   C.ALWAYS, E.REFUND),
)  # fmt: skip

# The transitions of passing time.
TIMED = tuple(row for row in TRANSITIONS if row.condition in (C.ANSWER_OVERDUE, C.APPROVAL_OVERDUE, C.DELIVERY_OVERDUE))


def open_actions(order: Order, parties: frozenset[Party], now: datetime, timeouts: Timeouts) -> list[Action]:
    """Return the actions that these parties may take at this moment, in the table's order."""
    rows = (row for row in TRANSITIONS if row.from_status is order.status and row.by in parties)
    return list(dict.fromkeys(row.action for row in rows if _is_open(row, order, now, timeouts)))


def is_timed_out(order: Order, now: datetime, timeouts: Timeouts) -> bool:
    """Return whether a transition of passing time is due, which closes the order to people."""
    return any(row.from_status is order.status and row.condition.holds(order, now, timeouts) for row in TIMED)


def move(order: Order, command: Command, parties: frozenset[Party], *, now: datetime, timeouts: Timeouts) -> Change:
    """Return the order after `parties` did this, with everything that is stored along with it.

    A payment that has to be captured has been captured before. Raises Forbidden when the action belongs to another
    party, Conflict (INVALID_TRANSITION) when nobody can take it in this status, or they cannot take it now (the message
    names what they can do, and from when), and InvalidArgument for a refund that fits neither price nor outcome.
    """
    row = _find_row(order, command, parties, now, timeouts)
    _check_refund(order, command)
    return _follow(row, order, command, now)


def end_capture(order: Order, command: Command, now: datetime) -> Change:
    """Return the order after the provider's response: `command` is the seller's accept, or the failed capture.

    The time that has passed since the accept does not count: the seller was in time.
    """
    rows = (row for row in TRANSITIONS if row.from_status is order.status and row.action is command.action)
    return _follow(next(rows), order, command, now)


def record_chargeback(order: Order, chargeback_id: str, amount: Decimal, now: datetime) -> Change:
    """Return the order after the buyer's bank took `amount` back: DISPUTED, unless no transition leads there."""
    change = settlement.record_chargeback(order, chargeback_id, amount)
    for row in TRANSITIONS:
        if row.from_status is order.status and row.action is Action.CHARGEBACK:
            return replace(_follow(row, change.order, Command(Action.CHARGEBACK), now), postings=change.postings)
    return change


def _follow(row: Transition, order: Order, command: Command, now: datetime) -> Change:
    change = row.effect.apply(order, now, command.refund)
    moved = replace(change.order, status=row.to_status, version=order.version + 1, updated_at=now)
    event = Event(now, row.by, row.action, order.status, row.to_status, command.message)
    return replace(change, order=moved, event=event)


def _is_open(row: Transition, order: Order, now: datetime, timeouts: Timeouts) -> bool:
    """Return whether the row's party can use it at this moment."""
    if order.is_being_captured or not row.condition.holds(order, now, timeouts):
        return False
    return row.by is Party.SYSTEM or not is_timed_out(order, now, timeouts)


def _find_row(
    order: Order, command: Command, parties: frozenset[Party], now: datetime, timeouts: Timeouts
) -> Transition:
    rows = [row for row in TRANSITIONS if row.from_status is order.status and row.action is command.action]
    own_rows = [row for row in rows if row.by in parties]
    for row in own_rows:
        if _is_open(row, order, now, timeouts) and command.outcome in (None, row.to_status):
            return row
    if not own_rows and (rows or not _may_ever(command.action, parties)):
        raise Forbidden(f"You don't have permission to {command.action} this order")
    possible = open_actions(order, parties, now, timeouts)
    reason = _reason(order, own_rows, timed_out=is_timed_out(order, now, timeouts))
    raise Conflict(_refusal(command.action, reason, possible), code="INVALID_TRANSITION")


def _may_ever(action: Action, parties: frozenset[Party]) -> bool:
    """Return whether the parties can take the action in any status. An admin has none of the sides' actions."""
    if parties & {Party.BUYER, Party.SELLER}:
        return True
    return any(row.by in parties for row in TRANSITIONS if row.action is action)


def _check_refund(order: Order, command: Command) -> None:
    if command.refund > order.price:
        message = f"must be at most the price, {order.price}"
    elif command.refund and command.outcome is Status.CANCELLED and command.refund != order.price:
        message = "goes with the outcome COMPLETED; CANCELLED gives everything back"
    else:
        return
    raise InvalidArgument([Violation("refundAmount", message)])


def _reason(order: Order, own_rows: list[Transition], *, timed_out: bool) -> str:
    if order.is_being_captured:
        return "it is just being accepted"
    if timed_out:
        return f"it is {order.status} and its time is over"
    explanations = [row.condition.explanation(order) for row in own_rows]
    return ", ".join([f"it is {order.status}", *filter(None, explanations)])


def _refusal(action: Action, reason: str, possible: list[Action]) -> str:
    choice = f"what you can do now: {', '.join(possible)}" if possible else "there is nothing you can do now"
    return f"You can't {action} this order now, {reason}; {choice}"
