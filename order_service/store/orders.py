"""Orders, their lines and their history in PostgreSQL: every statement.

A change is stored whole: the order, its event in the history and in the feed, its ledger postings, and its payment task
in the outbox.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from order_service.domain.feed import TYPES
from order_service.domain.lifecycle import Action
from order_service.domain.order import Change, Event, Line, Order, PaidBy, Party, Status
from order_service.domain.payment import PaymentStatus
from order_service.store.attempts import ENDING, IS_PLACING, attempt_lock
from order_service.store.feed import ORDER
from order_service.store.files import labels_of_delivery, to_labels
from order_service.store.ledger import Ledger
from order_service.store.put_off_orders import IS_PUT_OFF
from order_service.store.webhook_deliveries import DELIVERIES
from servicekit.advisory_lock import RELEASE, name_if_held, note_release
from servicekit.database import Database, Row, Statement, placeholders
from servicekit.errors import NotFound, Unavailable
from servicekit.idempotency import FINISHING
from servicekit.ids import new_id
from servicekit.outbox import Outbox

# The outbox topic of payment tasks; its key is the order's id, its payload {"task"}.
PAYMENTS = "payment"


# By name, not `*`: a prepared statement must not notice a column that a newer version adds. Lines are in order_lines.
NAMES = [field.name for field in fields(Order) if field.name != "lines"]
COLUMNS = ", ".join(NAMES)
# The order of $1, which is the JSON of its event in the feed. As a parameter for each column it would cost more to read
# than to store.
_NEW = "jsonb_populate_record(NULL::orders, $1::jsonb)"
_ID = "($1::jsonb ->> 'id')::uuid"
_INSERT = f"""
    INSERT INTO orders ({COLUMNS}, has_lines)
    SELECT {COLUMNS}, $1::jsonb -> 'lines' <> '[]' FROM {_NEW}, ended
"""
_UPDATE = f"""
    UPDATE orders SET {", ".join(f"{name} = new.{name}" for name in NAMES[1:])} FROM {_NEW} AS new
    WHERE orders.id = {_ID}
"""
# The lines of a row that has `has_lines` beside COLUMNS. Most orders have none, and looking for them takes 5 µs each.
# Prices are texts, since JSON has binary fractions only.
LINES = """
    CASE WHEN {0}.has_lines THEN (
        SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position)
        FROM order_lines WHERE order_id = {0}.id
    ) END AS lines
"""
READING = f"""
    SELECT {COLUMNS}, {LINES.format("orders")}, (SELECT app_now()) AS now FROM orders
"""
ONE = Statement(f"{READING} WHERE id = $1")
# In one statement, so that a placing that ends at this moment is seen either here or there.
BY_REFERENCE = Statement("""
    SELECT (SELECT id FROM orders WHERE payment_reference = $1 AND payment_reference <> '') AS id,
        EXISTS (SELECT FROM attempts WHERE kind = 'capture' AND reference = $1 AND reference <> '') AS is_being_placed
""")
HAS_SOLD = Statement("SELECT EXISTS (SELECT FROM orders WHERE seller_id = $1) AS has_sold")
EVENT_COLUMNS = "at, by, action, came_from, went_to, message, amount, paid_by, is_reminder"
# For `to_event`. Only a delivery can have files, so no other row looks for them.
EVENT_READING = f"""
    {EVENT_COLUMNS},
    CASE WHEN action = '{Action.DELIVER}' THEN
        {labels_of_delivery("order_events.order_id", "order_events.version")}
    END AS files
"""
HISTORY = Statement(f"""
    SELECT {EVENT_READING} FROM order_events WHERE order_id = $1 AND NOT is_reminder ORDER BY version
""")


def _with_event(write: str) -> str:
    """Return the parts of a statement that store an order and its event in the history and in the feed.

    $2 and $3 are the id and the type of the event in the feed; the EVENT_COLUMNS follow.
    """
    return f"""
        changed AS (
            {write} RETURNING orders.id, orders.version, orders.buyer_id, orders.seller_id
        ), history AS (
            INSERT INTO order_events (order_id, version, {EVENT_COLUMNS})
            SELECT id, version, {placeholders(9, first=4)} FROM changed
        ), event AS (
            INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject)
            SELECT $2, $4, $3, id, version, buyer_id, seller_id, $1::jsonb FROM changed
        )
    """


_INSERT_LINES = """
    INSERT INTO order_lines (order_id, position, title, unit_price, quantity)
    SELECT changed.id, position, title, unit_price, quantity FROM changed, ROWS FROM (
        jsonb_to_recordset($1::jsonb -> 'lines') AS (title text, unit_price numeric, quantity integer)
    ) WITH ORDINALITY AS line (title, unit_price, quantity, position)
"""
_DELIVERIES = DELIVERIES.format("$2, $3, buyer_id, seller_id")
UPDATE = Statement(_UPDATE)
UPDATE_WITH_EVENT = Statement(f"WITH {_with_event(_UPDATE)} {_DELIVERIES} FROM changed")
# A whole placing: the attempt ends, the order, its lines and its event are stored, the idempotency key gets the
# response $13, and the lock of the name $14 is released. That is a moment before the commit, and does no harm: the next
# holder waits for the row of the attempt, and then finds that it is gone. Returns no row when it was gone before.
PLACE = Statement(f"""
    WITH ended AS ({ENDING.format(_ID, IS_PLACING)}), {_with_event(_INSERT)}, lines AS ({_INSERT_LINES}),
    answered AS ({FINISHING.format("$13", "(SELECT id FROM changed)")})
    {_DELIVERIES}, {RELEASE.format("$14")} FROM changed
""")


def _locked(rows: str) -> Statement:
    """Return the statement that locks these orders and reads the time after the wait for the lock."""
    return Statement(f"""
        WITH locked AS (SELECT {COLUMNS}, has_lines FROM orders WHERE {rows})
        SELECT {COLUMNS}, {LINES.format("locked")}, app_now() AS now FROM locked
    """)


LOCK = _locked("id = $1 FOR UPDATE")


def _next_due(status: Status, since: str, unreminded_of: str = "") -> Statement:
    """Return the statement that locks the next order of a status that began to wait $1 ago or earlier.

    It is the one that has waited longest after the one at ($2, $3). Orders that are locked, put off or being captured
    are left out; with `unreminded_of`, a column, also those whose sides were reminded of that.
    """
    without_reminder = f"AND reminded_of IS DISTINCT FROM {unreminded_of}" if unreminded_of else ""
    return Statement(f"""
        WITH locked AS (
            SELECT {COLUMNS}, has_lines, {since} AS since FROM orders
            WHERE status = '{status}' AND {since} <= app_now() - $1::interval
            AND payment_status IS DISTINCT FROM 'CAPTURING' AND ({since}, id) > ($2::timestamptz, $3::uuid)
            AND NOT {IS_PUT_OFF} {without_reminder}
            ORDER BY {since}, id LIMIT 1 FOR UPDATE OF orders SKIP LOCKED
        )
        SELECT {COLUMNS}, {LINES.format("locked")}, since, app_now() AS now FROM locked
    """)


class Waiting(Enum):
    """A reason for orders to wait, for a timeout or for the reminder before it.

    Each has its own index, but CAPTURE_REMINDER, which uses that of CAPTURE: few orders are still PENDING when their
    authorization is about to end.
    """

    ANSWER = _next_due(Status.PENDING, "created_at")
    CAPTURE = _next_due(Status.PENDING, "capture_before")
    APPROVAL = _next_due(Status.DELIVERED, "last_delivered_at")
    DELIVERY = _next_due(Status.IN_PROGRESS, "due_at")
    ANSWER_REMINDER = _next_due(Status.PENDING, "created_at", unreminded_of="created_at")
    CAPTURE_REMINDER = _next_due(Status.PENDING, "capture_before", unreminded_of="created_at")
    APPROVAL_REMINDER = _next_due(Status.DELIVERED, "last_delivered_at", unreminded_of="last_delivered_at")
    DELIVERY_REMINDER = _next_due(Status.IN_PROGRESS, "due_at", unreminded_of="due_at")


class OrderReading(NamedTuple):
    """An order and the time at which it was read (aware, UTC)."""

    order: Order
    now: datetime


class DueOrder(NamedTuple):
    """A locked order that has waited long enough, since when, and the time at which it was read (aware)."""

    order: Order
    since: datetime
    now: datetime

    @property
    def key(self) -> DueKey:
        """Its place among the orders that are due."""
        return DueKey(self.since, self.order.id)


class DueKey(NamedTuple):
    """A place among the orders that are due: since when the order waits (aware), and its id."""

    since: datetime
    id: UUID


# Due before every order.
FIRST_DUE = DueKey(datetime.min.replace(tzinfo=UTC), UUID(int=0))


class Orders:
    """Orders and their history."""

    def __init__(self, database: Database, ledger: Ledger, outbox: Outbox) -> None:
        self._database = database
        self._ledger = ledger
        self._outbox = outbox

    def place(self, change: Change, response: bytes) -> bool:
        """Commit a new order, with the end of its attempt and the response for its idempotency key, if it has one.

        Return False when the attempt was not there, or is given up: then nothing is stored. Raises OutcomeUnknown when
        the commit's response is lost.
        """
        order, event = change.order, change.event
        assert event is not None
        assert (change.payment_task, change.postings) == (None, ())
        lock = attempt_lock(order.id)
        held = name_if_held(self._database, lock)
        is_placed = self._database.commit_one("placed", PLACE, *_with_event_params(order, event), response, held)
        if is_placed:
            note_release(self._database, lock)
        return is_placed is not None

    def add_captured(self, change: Change, response: bytes) -> bool:
        """Store a new order whose payment is captured, as `place` does, in the caller's transaction.

        The caller posts the change's postings. Return False when the attempt was not there: then nothing is stored.
        """
        assert change.event is not None
        params = _with_event_params(change.order, change.event)
        return self._database.fetch_one(PLACE, *params, response, None) is not None

    def lock(self, order_id: UUID) -> OrderReading:
        """Return the order, locked until the end of the transaction. Raises NotFound("Order")."""
        return _required(self._database.fetch_one(LOCK, order_id))

    def lock_next_due(self, waiting: Waiting, wait: timedelta, after: DueKey) -> DueOrder | None:
        """Return the order that has waited longest, for `wait` at least, of those after this place; locked.

        A negative `wait` looks ahead, to orders that begin to wait within that time.

        Orders that somebody else has locked are left to them, so that workers share the orders between them.
        """
        row = self._database.fetch_one(waiting.value, wait, *after)
        if row is None:
            return None
        since = row.pop("since")
        order, now = to_reading(row)
        return DueOrder(order, since, now)

    def save(self, change: Change, now: datetime) -> None:
        """Store the change of an order that this transaction has locked. Ledger accounts are locked last."""
        if change.event is None:
            self._database.write(UPDATE, ORDER.dump_json(change.order).decode())
        else:
            self._database.write(UPDATE_WITH_EVENT, *_with_event_params(change.order, change.event))
        if change.payment_task is not None:
            self._outbox.add(PAYMENTS, str(change.order.id), change.order.version, {"task": change.payment_task})
        # Last, since other transactions wait for these locks.
        for posting in change.postings:
            self._ledger.post(posting, now)

    def id_by_payment(self, reference: str) -> UUID | None:
        """Return the id of the order with this payment reference, if there is one.

        Raises Unavailable while the payment is captured for an order that is not stored yet.
        """
        [row] = self._database.fetch_all(BY_REFERENCE, reference)
        if row["is_being_placed"]:
            raise Unavailable
        order_id: UUID | None = row["id"]
        return order_id

    def get(self, order_id: UUID) -> OrderReading:
        """Return the order. Raises NotFound("Order")."""
        return _required(self._database.fetch_one(ONE, order_id))

    def has_sold(self, seller_id: UUID) -> bool:
        """Return whether the seller has any order."""
        return bool(self._database.fetch_all(HAS_SOLD, seller_id)[0]["has_sold"])

    def history(self, order_id: UUID) -> list[Event]:
        """Return the events of the order, oldest first, without reminders."""
        return [to_event(row) for row in self._database.fetch_all(HISTORY, order_id)]


def _with_event_params(order: Order, event: Event) -> tuple[object, ...]:
    """Return the parameters of `_with_event`."""
    return (
        ORDER.dump_json(order).decode(),
        new_id(),
        TYPES[event.action],
        event.at,
        event.by,
        event.action,
        event.from_status,
        event.to_status,
        event.message,
        event.amount,
        event.paid_by,
        event.is_reminder,
    )


def _required(row: Row | None) -> OrderReading:
    if row is None:
        raise NotFound("Order")
    return to_reading(row)


def to_reading(row: Row) -> OrderReading:
    """Return the order of a row of COLUMNS, LINES and `now`."""
    now = row.pop("now")
    lines = (Line(title, Decimal(unit_price), quantity) for title, unit_price, quantity in row.pop("lines") or ())
    return OrderReading(to_order({**row, "lines": tuple(lines)}), now)


def to_order(row: Row) -> Order:
    """Return the order of a row of COLUMNS, and perhaps its lines."""
    payment = PaymentStatus(row["payment_status"]) if row["payment_status"] else None
    chargeback = ChargebackState(row["chargeback_state"]) if row["chargeback_state"] else None
    states = {"status": Status(row["status"]), "payment_status": payment, "chargeback_state": chargeback}
    return Order(**{**row, **states})


def to_event(row: Row) -> Event:
    """Return the event of a row of EVENT_READING."""
    came_from = Status(row["came_from"]) if row["came_from"] else None
    paid_by = PaidBy(row["paid_by"]) if row["paid_by"] else None
    return Event(
        at=row["at"],
        by=Party(row["by"]),
        action=row["action"],
        from_status=came_from,
        to_status=Status(row["went_to"]),
        message=row["message"],
        amount=row["amount"],
        paid_by=paid_by,
        is_reminder=row["is_reminder"],
        files=to_labels(row["files"]),
    )
