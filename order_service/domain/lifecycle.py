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

from order_service.domain import extension, settlement
from order_service.domain.order import Change, Event, Order, PaidBy, Party, Status
from servicekit.errors import Conflict, Forbidden, InvalidArgument, Violation

# An order that nobody has accepted expires this long before its card authorization does.
AUTHORIZATION_MARGIN = timedelta(hours=1)


class Action(StrEnum):
    """What can be done to an order, by the names that clients use."""

    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"
    DELIVER = "deliver"
    EXTEND = "extend"
    ACCEPT_EXTENSION = "accept_extension"
    DECLINE_EXTENSION = "decline_extension"
    REVISE = "revise"
    COMPLETE = "complete"
    DISPUTE = "dispute"
    RESOLVE = "resolve"
    REFUND = "refund"
    EXPIRE = "expire"
    AUTO_COMPLETE = "auto_complete"
    ABANDON = "abandon"
    CAPTURE_FAILED = "capture_failed"
    CHARGEBACK = "chargeback"
    REFUND_FAILED = "refund_failed"

    @property
    def phrase(self) -> str:
        """The action in a sentence, before `this order`."""
        match self:
            case Action.ACCEPT_EXTENSION:
                return "accept more time for"
            case Action.DECLINE_EXTENSION:
                return "decline more time for"
            case _:
                return self.value


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an order waits: for the seller's answer after placing, for the buyer's approval after a delivery.

    `overdue` is how long it waits for a delivery after its due date.
    """

    answer: timedelta
    approval: timedelta
    overdue: timedelta

    def expiry(self, order: Order) -> datetime:
        """Return when the order expires, if it is PENDING until then."""
        unanswered = order.created_at + self.answer
        return min(unanswered, order.capture_before - AUTHORIZATION_MARGIN) if order.capture_before else unanswered

    def completion(self, order: Order) -> datetime | None:
        """Return when the order is completed by itself, if it is DELIVERED until then. None before a delivery."""
        return order.last_delivered_at and order.last_delivered_at + self.approval

    def abandonment(self, order: Order) -> datetime:
        """Return when the order is abandoned, if it is IN_PROGRESS until then."""
        return order.due_at + self.overdue


@dataclass(frozen=True, slots=True)
class Command:
    """An action and its message.

    A `resolve` also names the resulting status, and perhaps the refund; a `refund` the refund and who pays it; an
    `extend` the days. Refunds are in major units.
    """

    action: Action
    message: str = ""
    outcome: Status | None = None
    refund: Decimal | None = None
    paid_by: PaidBy | None = None
    days: int = 0


class Condition(Enum):
    """What must hold, beside the status, for a transition to be open."""

    ALWAYS = auto()
    OVERDUE_BEFORE_DELIVERY = auto()
    OVERDUE_AFTER_REVISION = auto()
    EXTENDABLE = auto()
    EXTENSION_OPEN = auto()
    REVISIONS_LEFT = auto()
    REFUNDABLE = auto()
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
            case Condition.EXTENDABLE:
                is_full = extension.days_left(order) <= 0 or extension.has_changed_too_often(order)
                return order.extension is None and not is_full
            case Condition.EXTENSION_OPEN:
                return order.extension is not None
            case Condition.REVISIONS_LEFT:
                return order.revisions_left > 0
            case Condition.REFUNDABLE:
                return settlement.refundable(order) > 0
            case Condition.ANSWER_OVERDUE:
                return now >= timeouts.expiry(order)
            case Condition.APPROVAL_OVERDUE:
                completion = timeouts.completion(order)
                return completion is not None and now >= completion
            case Condition.DELIVERY_OVERDUE:
                return now >= timeouts.abandonment(order)
            case Condition.REPORTED_BY_PROVIDER:
                # No state of the order opens these: `end_capture`, `record_chargeback` and `fail_refund` are called on
                # a report.
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
            case Condition.EXTENDABLE if order.extension is not None:
                return "the buyer has not answered the last request for more time"
            case Condition.EXTENDABLE if extension.has_changed_too_often(order):
                return f"it has had {extension.MOST_CHANGES} changes, the most before a request for more time"
            case Condition.EXTENDABLE:
                return f"its extensions together have {extension.MOST_DAYS} days, the most"
            case Condition.EXTENSION_OPEN:
                return "no request for more time is open"
            case Condition.REVISIONS_LEFT:
                return "no revisions are left"
            case Condition.REFUNDABLE:
                return "nothing is left to refund"
            case _:
                return ""


class Effect(Enum):
    """What a transition does beside changing the status: to the work, or to the money."""

    NOTHING = auto()
    RECORD_DELIVERY = auto()
    ASK_FOR_TIME = auto()
    MOVE_DUE_DATE = auto()
    KEEP_DUE_DATE = auto()
    USE_REVISION = auto()
    CAPTURE = auto()
    VOID = auto()
    REFUND = auto()
    RELEASE = auto()
    REFUND_MORE = auto()

    def apply(self, order: Order, now: datetime, command: Command) -> Change:
        """Return the order with the effect. Raises InvalidArgument or Conflict for a refund that is too large."""
        match self:
            case Effect.NOTHING:
                return Change(order)
            case Effect.RECORD_DELIVERY:
                return Change(replace(order, first_delivered_at=order.first_delivered_at or now, last_delivered_at=now))
            case Effect.ASK_FOR_TIME:
                return Change(extension.ask(order, command.days, command.message, now))
            case Effect.MOVE_DUE_DATE:
                return Change(extension.accept(order))
            case Effect.KEEP_DUE_DATE:
                return Change(extension.close(order))
            case Effect.USE_REVISION:
                due_at = now + timedelta(days=order.delivery_days)
                return Change(replace(order, revisions_left=order.revisions_left - 1, due_at=due_at))
            case Effect.CAPTURE:
                return settlement.capture(replace(order, due_at=now + timedelta(days=order.delivery_days)))
            case Effect.VOID:
                return settlement.void(order)
            case Effect.REFUND:
                return settlement.refund_in_full(order)
            case Effect.RELEASE:
                return settlement.release(order, command.refund or Decimal(0))
            case Effect.REFUND_MORE:
                assert command.refund is not None and command.paid_by is not None
                return settlement.refund(order, command.refund, command.paid_by)


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
    Transition(S.PENDING,     A.ACCEPT,            P.SELLER, S.IN_PROGRESS, C.ALWAYS, E.CAPTURE),
    Transition(S.PENDING,     A.DECLINE,           P.SELLER, S.CANCELLED,   C.ALWAYS, E.VOID),
    Transition(S.PENDING,     A.CANCEL,            P.BUYER,  S.CANCELLED,   C.ALWAYS, E.VOID),
    Transition(S.PENDING,     A.RESOLVE,           P.ADMIN,  S.CANCELLED,   C.ALWAYS, E.VOID),
    Transition(S.PENDING,     A.EXPIRE,            P.SYSTEM, S.CANCELLED,   C.ANSWER_OVERDUE, E.VOID),
    Transition(S.PENDING,     A.CAPTURE_FAILED,    P.SYSTEM, S.CANCELLED,   C.REPORTED_BY_PROVIDER, E.VOID),
    Transition(S.IN_PROGRESS, A.DELIVER,           P.SELLER, S.DELIVERED,   C.ALWAYS, E.RECORD_DELIVERY),
    Transition(S.IN_PROGRESS, A.CANCEL,            P.SELLER, S.CANCELLED,   C.ALWAYS, E.REFUND),
    Transition(S.IN_PROGRESS, A.CANCEL,            P.BUYER,  S.CANCELLED,   C.OVERDUE_BEFORE_DELIVERY, E.REFUND),
    Transition(S.IN_PROGRESS, A.DISPUTE,           P.BUYER,  S.DISPUTED,    C.OVERDUE_AFTER_REVISION),
    Transition(S.IN_PROGRESS, A.EXTEND,            P.SELLER, S.IN_PROGRESS, C.EXTENDABLE, E.ASK_FOR_TIME),
    Transition(S.IN_PROGRESS, A.ACCEPT_EXTENSION,  P.BUYER,  S.IN_PROGRESS, C.EXTENSION_OPEN, E.MOVE_DUE_DATE),
    Transition(S.IN_PROGRESS, A.DECLINE_EXTENSION, P.BUYER,  S.IN_PROGRESS, C.EXTENSION_OPEN, E.KEEP_DUE_DATE),
    Transition(S.IN_PROGRESS, A.RESOLVE,           P.ADMIN,  S.COMPLETED,   C.ALWAYS, E.RELEASE),
    Transition(S.IN_PROGRESS, A.RESOLVE,           P.ADMIN,  S.CANCELLED,   C.ALWAYS, E.REFUND),
    Transition(S.IN_PROGRESS, A.ABANDON,           P.SYSTEM, S.CANCELLED,   C.DELIVERY_OVERDUE, E.REFUND),
    Transition(S.IN_PROGRESS, A.CHARGEBACK,        P.SYSTEM, S.DISPUTED,    C.REPORTED_BY_PROVIDER),
    Transition(S.DELIVERED,   A.REVISE,            P.BUYER,  S.IN_PROGRESS, C.REVISIONS_LEFT, E.USE_REVISION),
    Transition(S.DELIVERED,   A.COMPLETE,          P.BUYER,  S.COMPLETED,   C.ALWAYS, E.RELEASE),
    Transition(S.DELIVERED,   A.AUTO_COMPLETE,     P.SYSTEM, S.COMPLETED,   C.APPROVAL_OVERDUE, E.RELEASE),
    Transition(S.DELIVERED,   A.DISPUTE,           P.BUYER,  S.DISPUTED),
    Transition(S.DELIVERED,   A.RESOLVE,           P.ADMIN,  S.COMPLETED,   C.ALWAYS, E.RELEASE),
    Transition(S.DELIVERED,   A.RESOLVE,           P.ADMIN,  S.CANCELLED,   C.ALWAYS, E.REFUND),
    Transition(S.DELIVERED,   A.CHARGEBACK,        P.SYSTEM, S.DISPUTED,    C.REPORTED_BY_PROVIDER),
    Transition(S.DISPUTED,    A.RESOLVE,           P.ADMIN,  S.COMPLETED,   C.ALWAYS, E.RELEASE),
    Transition(S.DISPUTED,    A.RESOLVE,           P.ADMIN,  S.CANCELLED,   C.ALWAYS, E.REFUND),
    Transition(S.COMPLETED,   A.REFUND,            P.ADMIN,  S.COMPLETED,   C.REFUNDABLE, E.REFUND_MORE),
    Transition(S.COMPLETED,   A.REFUND_FAILED,     P.SYSTEM, S.COMPLETED,   C.REPORTED_BY_PROVIDER),
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
    names what they can do, and from when), and InvalidArgument for a field that fits neither the status nor the price.
    """
    row = _find_row(order, command, parties, now, timeouts)
    if command.action is Action.RESOLVE:
        _check_resolution(order, command, row)
    if command.action is Action.EXTEND:
        _check_extension(order, command, open_actions(order, parties, now, timeouts))
    return _follow(row, order, command, now)


def end_capture(order: Order, command: Command, now: datetime) -> Change:
    """Return the order after the provider's response: `command` is the seller's accept, or the failed capture.

    The time that has passed since the accept does not count: the seller was in time.
    """
    rows = (row for row in TRANSITIONS if row.from_status is order.status and row.action is command.action)
    return _follow(next(rows), order, command, now)


def record_chargeback(order: Order, now: datetime) -> Change:
    """Return the order after the first report of a chargeback: DISPUTED, unless no transition leads there.

    Its amount is not recorded yet; see `settlement.record`.
    """
    rows = (row for row in TRANSITIONS if row.from_status is order.status and row.action is Action.CHARGEBACK)
    to_status = next((row.to_status for row in rows), order.status)
    moved = replace(_to_status(order, order.status, to_status), version=order.version + 1, updated_at=now)
    event = Event(now, Party.SYSTEM, Action.CHARGEBACK, order.status, to_status, "")
    return Change(moved, event)


def _follow(row: Transition, order: Order, command: Command, now: datetime) -> Change:
    change = row.effect.apply(order, now, command)
    moved = replace(_to_status(change.order, order.status, row.to_status), version=order.version + 1, updated_at=now)
    amount = command.refund if row.action is Action.REFUND else None
    event = Event(now, row.by, row.action, order.status, row.to_status, command.message, amount, command.paid_by)
    return replace(change, order=moved, event=event)


def _to_status(order: Order, before: Status, status: Status) -> Order:
    """Return the order in this status, after the one before. A new status closes a request for more time.

    It also waits for something new, even if by chance since the same moment as the old one.
    """
    return order if status is before else replace(extension.close(order), status=status, reminded_of=None)


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
    open_rows = [row for row in own_rows if _is_open(row, order, now, timeouts)]
    if open_rows:
        return next((row for row in open_rows if command.outcome in (None, row.to_status)), open_rows[0])
    if not own_rows and (rows or not _may_ever(command.action, parties)):
        raise Forbidden(f"You don't have permission to {command.action.phrase} this order")
    possible = open_actions(order, parties, now, timeouts)
    reason = _reason(order, own_rows, timed_out=is_timed_out(order, now, timeouts))
    raise Conflict(_refusal(command.action, reason, possible), code="INVALID_TRANSITION")


def _may_ever(action: Action, parties: frozenset[Party]) -> bool:
    """Return whether the parties can take the action in any status. A side counts for every action of a side."""
    takers = {row.by for row in TRANSITIONS if row.action is action}
    sides = {Party.BUYER, Party.SELLER}
    return bool(parties & takers) or bool(parties & sides and takers != {Party.ADMIN})


def _check_resolution(order: Order, command: Command, row: Transition) -> None:
    """Refuse a resolution that does not fit the order's status and price. Raises InvalidArgument."""
    violations = []
    if command.outcome is not row.to_status:
        violations.append(Violation("outcome", f"must be {row.to_status} for an order that is {order.status}"))
    if order.status in (Status.IN_PROGRESS, Status.DELIVERED) and not command.message:
        violations.append(Violation("message", f"is required for an order that is {order.status}"))
    if command.refund is not None:
        if order.status is Status.PENDING:
            violations.append(Violation("refundAmount", "does not go with an order that is PENDING: nothing was paid"))
        elif command.refund > order.price:
            violations.append(Violation("refundAmount", f"must be at most the price, {order.price}"))
        elif command.outcome is Status.CANCELLED and command.refund != order.price:
            message = "goes with the outcome COMPLETED; CANCELLED gives everything back"
            violations.append(Violation("refundAmount", message))
    if violations:
        raise InvalidArgument(violations)


def _check_extension(order: Order, command: Command, possible: list[Action]) -> None:
    """Refuse more days than are left. Raises Conflict (INVALID_TRANSITION)."""
    left = extension.days_left(order)
    if command.days > left:
        reason = f"it can be extended by {left} more days at most"
        raise Conflict(_refusal(command.action, reason, possible), code="INVALID_TRANSITION")


def _reason(order: Order, own_rows: list[Transition], *, timed_out: bool) -> str:
    if order.is_being_captured:
        return "it is just being accepted"
    if timed_out:
        return f"it is {order.status} and its time is over"
    explanations = [row.condition.explanation(order) for row in own_rows]
    return ", ".join([f"it is {order.status}", *filter(None, explanations)])


def _refusal(action: Action, reason: str, possible: list[Action]) -> str:
    choice = f"what you can do now: {', '.join(possible)}" if possible else "there is nothing you can do now"
    return f"You can't {action.phrase} this order now, {reason}; {choice}"
