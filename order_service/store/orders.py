"""Orders and their history in PostgreSQL: the models, and every statement.

A change is stored whole: the order, its event, its ledger postings, and its payment task in the outbox.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple
from uuid import UUID

import peewee

from order_service.domain.chargeback import ChargebackState
from order_service.domain.listing import Scope
from order_service.domain.order import Change, Event, Order, PaidBy, Party, Status
from order_service.domain.payment import PaymentStatus
from order_service.store.ledger import Ledger
from servicekit.database import Database, Row, Statement
from servicekit.errors import NotFound
from servicekit.outbox import Outbox

# The outbox topic of payment tasks; its key is the order's id, its payload {"task"}.
PAYMENTS = "payment"


class OrderRow(peewee.Model):
    """A row of `orders`; its columns are the fields of domain.order.Order."""

    id = peewee.UUIDField(primary_key=True)
    version = peewee.IntegerField()
    status = peewee.TextField()
    buyer_id = peewee.UUIDField()
    seller_id = peewee.UUIDField()
    gig_id = peewee.UUIDField()
    gig_title = peewee.TextField()
    package_id = peewee.UUIDField()
    package_title = peewee.TextField()
    price = peewee.DecimalField(max_digits=12, decimal_places=2)
    currency = peewee.TextField()
    delivery_days = peewee.IntegerField()
    revisions_left = peewee.IntegerField()
    requirements = peewee.TextField()
    payment_method = peewee.TextField()
    due_at = peewee.DateTimeField()
    first_delivered_at = peewee.DateTimeField(null=True)
    last_delivered_at = peewee.DateTimeField(null=True)
    created_at = peewee.DateTimeField()
    updated_at = peewee.DateTimeField()
    payment_status = peewee.TextField(null=True)
    payment_reference = peewee.TextField()
    capture_before = peewee.DateTimeField(null=True)
    refund_due = peewee.DecimalField(max_digits=12, decimal_places=2)
    refunded = peewee.DecimalField(max_digits=12, decimal_places=2)
    charged_back = peewee.DecimalField(max_digits=12, decimal_places=2)
    commission_percent = peewee.DecimalField(max_digits=5, decimal_places=2)
    platform_refund = peewee.DecimalField(max_digits=12, decimal_places=2)
    fees = peewee.DecimalField(max_digits=12, decimal_places=2)
    postings = peewee.IntegerField()
    chargeback_amount = peewee.DecimalField(max_digits=12, decimal_places=2, null=True)
    chargeback_state = peewee.TextField(null=True)
    evidence_due_by = peewee.DateTimeField(null=True)

    class Meta:
        table_name = "orders"


class EventRow(peewee.Model):
    """A row of `order_events`: the change that led to the order's `version`."""

    order_id = peewee.UUIDField()
    version = peewee.IntegerField()
    at = peewee.DateTimeField()
    by = peewee.TextField()
    action = peewee.TextField()
    came_from = peewee.TextField(null=True)
    went_to = peewee.TextField()
    message = peewee.TextField()
    amount = peewee.DecimalField(max_digits=12, decimal_places=2, null=True)
    paid_by = peewee.TextField(null=True)

    class Meta:
        table_name = "order_events"
        primary_key = peewee.CompositeKey("order_id", "version")


# By name, not `*`: a prepared statement must not notice a column that a newer version adds.
COLUMNS = ", ".join(field.name for field in fields(Order))
READING = f"SELECT {COLUMNS}, (SELECT app_now()) AS now FROM orders"  # noqa: S608  # our own column names
ONE = Statement(f"{READING} WHERE id = $1")
BY_REFERENCE = Statement("SELECT id FROM orders WHERE payment_reference = $1 AND payment_reference <> ''")
HISTORY = Statement("""
    SELECT at, by, action, came_from, went_to, message, amount, paid_by
    FROM order_events WHERE order_id = $1 ORDER BY version
""")


def _locked(rows: str) -> Statement:
    """Return the statement that locks these orders and reads the time after the wait for the lock."""
    return Statement(f"""
        WITH locked AS (SELECT {COLUMNS} FROM orders WHERE {rows}) SELECT *, app_now() AS now FROM locked
    """)  # noqa: S608  # our own words


LOCK = _locked("id = $1 FOR UPDATE")
LOCK_IF_FREE = _locked("id = $1 FOR UPDATE SKIP LOCKED")


def _due(status: Status, since: str) -> Statement:
    """Return the statement for $4 orders of a status that began to wait $1 ago or earlier, after the one at ($2, $3).

    The one that has waited longest comes first. Orders that are being captured are left out.
    """
    return Statement(f"""
        SELECT id, {since} AS since FROM orders
        WHERE status = '{status}' AND {since} <= app_now() - $1::interval
        AND payment_status IS DISTINCT FROM 'CAPTURING' AND ({since}, id) > ($2::timestamptz, $3::uuid)
        ORDER BY {since}, id LIMIT $4::integer
    """)  # noqa: S608  # our own words


class Waiting(Enum):
    """A reason for orders to wait until a timeout. Each has its own index."""

    ANSWER = _due(Status.PENDING, "created_at")
    CAPTURE = _due(Status.PENDING, "capture_before")
    APPROVAL = _due(Status.DELIVERED, "last_delivered_at")


def _page(whose: str) -> str:
    """Return the SQL of a page: orders older than the one at ($3, $4) in a status of $2, newest first, $5 at most."""
    return f"""
        {READING} WHERE {whose} AND status = ANY ($2::text[])
        AND (created_at, id) < ($3::timestamptz, $4::uuid)
        ORDER BY created_at DESC, id DESC LIMIT $5::integer
    """


# For admins; $1 has no meaning there, but every page takes the same parameters.
EVERYONE = "$1::uuid IS NOT NULL"
PAGES = {
    Scope.BOUGHT: Statement(_page("buyer_id = $1::uuid")),
    Scope.SOLD: Statement(_page("seller_id = $1::uuid")),
    # Nobody buys from themselves, so the two halves have nothing in common.
    Scope.OWN: Statement(f"""
        ({_page("buyer_id = $1::uuid")}) UNION ALL ({_page("seller_id = $1::uuid")})
        ORDER BY created_at DESC, id DESC LIMIT $5::integer
    """),
    Scope.ALL: Statement(_page(EVERYONE)),
}


class PageKey(NamedTuple):
    """The end of a page: the time (aware) and the id of its last order."""

    created_at: datetime
    id: UUID


class Reading(NamedTuple):
    """An order and the time at which it was read (aware, UTC)."""

    order: Order
    now: datetime


class DueOrder(NamedTuple):
    """An order that waits, and since when (aware)."""

    id: UUID
    since: datetime


# Newer than every order.
START = PageKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
# Due before every order.
FIRST_DUE = DueOrder(UUID(int=0), datetime.min.replace(tzinfo=UTC))


class Orders:
    """Orders and their history."""

    def __init__(self, database: Database, ledger: Ledger, outbox: Outbox) -> None:
        self._database = database
        self._ledger = ledger
        self._outbox = outbox

    def insert(self, change: Change, now: datetime) -> None:
        """Store a new order and everything that its change says."""
        OrderRow.insert(asdict(change.order)).execute(self._database.peewee)
        self._write_rest(change, now)

    def lock(self, order_id: UUID) -> Reading:
        """Return the order, locked until the end of the transaction. Raises NotFound("Order")."""
        return _required(self._database.fetch_one(LOCK, order_id))

    def lock_if_free(self, order_id: UUID) -> Reading | None:
        """Return the order, locked, or None when somebody else has locked it."""
        row = self._database.fetch_one(LOCK_IF_FREE, order_id)
        return to_reading(row) if row else None

    def save(self, change: Change, now: datetime) -> None:
        """Store the change of an order that this transaction has locked. Ledger accounts are locked last."""
        columns = asdict(change.order)
        OrderRow.update(columns).where(OrderRow.id == columns.pop("id")).execute(self._database.peewee)
        self._write_rest(change, now)

    def due(self, waiting: Waiting, timeout: timedelta, *, after: DueOrder, limit: int) -> list[DueOrder]:
        """Return the `limit` orders that have waited longest, for `timeout` at least, and come after this one."""
        rows = self._database.fetch_all(waiting.value, timeout, after.since, after.id, limit)
        return [DueOrder(**row) for row in rows]

    def id_by_payment(self, reference: str) -> UUID | None:
        """Return the id of the order with this payment reference, if there is one."""
        row = self._database.fetch_one(BY_REFERENCE, reference)
        return row["id"] if row else None

    def get(self, order_id: UUID) -> Reading:
        """Return the order. Raises NotFound("Order")."""
        return _required(self._database.fetch_one(ONE, order_id))

    def history(self, order_id: UUID) -> list[Event]:
        """Return the events of the order, oldest first."""
        return [to_event(row) for row in self._database.fetch_all(HISTORY, order_id)]

    def page(
        self, scope: Scope, user_id: UUID, *, statuses: Sequence[Status], after: PageKey, limit: int
    ) -> list[Reading]:
        """Return the newest `limit` orders of this scope that are older than `after` and have one of these statuses."""
        names = [str(status) for status in statuses]
        return [to_reading(row) for row in self._database.fetch_all(PAGES[scope], user_id, names, *after, limit)]

    def _write_rest(self, change: Change, now: datetime) -> None:
        if change.event is not None:
            self._write_event(change.order, change.event)
        if change.payment_task is not None:
            self._outbox.add(PAYMENTS, str(change.order.id), change.order.version, {"task": change.payment_task})
        # Last, since other transactions wait for these locks.
        for posting in change.postings:
            self._ledger.post(posting, now)

    def _write_event(self, order: Order, event: Event) -> None:
        EventRow.insert(
            order_id=order.id,
            version=order.version,
            at=event.at,
            by=event.by,
            action=event.action,
            came_from=event.from_status,
            went_to=event.to_status,
            message=event.message,
            amount=event.amount,
            paid_by=event.paid_by,
        ).execute(self._database.peewee)


def _required(row: Row | None) -> Reading:
    if row is None:
        raise NotFound("Order")
    return to_reading(row)


def to_reading(row: Row) -> Reading:
    """Return the order of a row of COLUMNS and `now`."""
    now = row.pop("now")
    return Reading(to_order(row), now)


def to_order(row: Row) -> Order:
    """Return the order of a row of COLUMNS."""
    payment = PaymentStatus(row["payment_status"]) if row["payment_status"] else None
    chargeback = ChargebackState(row["chargeback_state"]) if row["chargeback_state"] else None
    states = {"status": Status(row["status"]), "payment_status": payment, "chargeback_state": chargeback}
    return Order(**{**row, **states})


def to_event(row: Row) -> Event:
    """Return the event of a row of the history."""
    came_from = Status(row["came_from"]) if row["came_from"] else None
    paid_by = PaidBy(row["paid_by"]) if row["paid_by"] else None
    statuses = (came_from, Status(row["went_to"]))
    return Event(row["at"], Party(row["by"]), row["action"], *statuses, row["message"], row["amount"], paid_by)
