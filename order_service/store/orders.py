"""Orders and their history in PostgreSQL: the models, and every statement.

A change is stored whole: the order, the row of its history, what goes to the ledger, and what the payment provider is
to do, which waits in the outbox.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple
from uuid import UUID

import peewee

from order_service.domain.listing import Scope
from order_service.domain.order import Change, Event, Order, Party, Status
from order_service.domain.payment import PaymentStatus
from order_service.store.ledger import Ledger
from servicekit.clock import Clock
from servicekit.database import Database, Row, Statement
from servicekit.errors import NotFound
from servicekit.outbox import Outbox

# The outbox's topic for what the payment provider is to do; its key is the order's id, its payload {"task"}.
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

    class Meta:
        table_name = "order_events"
        primary_key = peewee.CompositeKey("order_id", "version")


# By name, not `*`: a prepared statement must not notice a column that a newer version adds.
COLUMNS = ", ".join(field.name for field in fields(Order))
READING = f"SELECT {COLUMNS}, (SELECT app_now()) AS now FROM orders"  # noqa: S608  # our own column names
ONE = Statement(f"{READING} WHERE id = $1")
BY_REFERENCE = Statement("SELECT id FROM orders WHERE payment_reference = $1 AND payment_reference <> ''")
HISTORY = Statement("""
    SELECT at, by, action, came_from, went_to, message FROM order_events WHERE order_id = $1 ORDER BY version
""")


def _locked(rows: str) -> Statement:
    """These orders, locked, and the time at which they were: `now` comes after the wait for the lock."""
    return Statement(f"""
        WITH locked AS (SELECT {COLUMNS} FROM orders WHERE {rows}) SELECT *, app_now() AS now FROM locked
    """)  # noqa: S608  # our own words


ONE_LOCKED = _locked("id = $1 FOR UPDATE")


def _waiting(status: Status, since: str) -> Statement:
    """The $2 orders whose time was $1 ago or earlier, the first of them first, but for those that are being accepted.

    Those that another worker holds are left to it.
    """
    return _locked(f"""
        status = '{status}' AND {since} <= app_now() - $1::interval AND payment_status IS DISTINCT FROM 'CAPTURING'
        ORDER BY {since}, id LIMIT $2::integer FOR UPDATE SKIP LOCKED
    """)


class Waiting(Enum):
    """Orders that may be ripe for what passing time does; the table of transitions decides. Each has its own index."""

    UNANSWERED = _waiting(Status.PENDING, "created_at")
    LAPSING = _waiting(Status.PENDING, "capture_before")
    UNAPPROVED = _waiting(Status.DELIVERED, "last_delivered_at")


def _page(whose: str) -> str:
    """A page of orders older than the one at ($3, $4), newest first, $5 at most, in one of the states $2."""
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
    """Where a page ended: when its last order was placed (aware), and that order's id."""

    created_at: datetime
    id: UUID


class Reading(NamedTuple):
    """An order and the time at which it was read (aware, UTC), which is what tells whether it is overdue."""

    order: Order
    now: datetime


# Newer than every order.
START = PageKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class Orders:
    """Orders and their history."""

    def __init__(self, database: Database, ledger: Ledger, outbox: Outbox) -> None:
        self._database = database
        self._clock = Clock(database)
        self._ledger = ledger
        self._outbox = outbox

    def place(self, make: Callable[[datetime], Change]) -> Order:
        """Stores the new order that `make` makes of the present time, and the first row of its history."""
        with self._database.transaction():
            now = self._clock.now()
            change = make(now)
            OrderRow.insert(asdict(change.order)).execute(self._database.peewee)
            self._write_rest(change, now)
        return change.order

    def change(self, order_id: UUID, decide: Callable[[Order, datetime], Change]) -> Order:
        """Stores what `decide` makes of the order and the present time, and the row of its history.

        The order is locked meanwhile, so of two at once the second decides upon what the first has left. What `decide`
        raises goes through, and nothing is written. Raises NotFound("Order").
        """
        with self._database.transaction("order"):
            found = _found(self._database.fetch_one(ONE_LOCKED, order_id))
            change = decide(*found)
            self._write(change, found.now)
        return change.order

    def change_waiting(
        self, waiting: Waiting, timeouts: timedelta, decide: Callable[[Order, datetime], Change], *, limit: int
    ) -> list[Order]:
        """Does to the `limit` orders that have waited longest what `change` does to one, all of them or none.

        `timeouts` is how long they have waited at least. Orders that somebody else is changing right now are left out.
        """
        with self._database.transaction("time"):
            readings = [to_reading(row) for row in self._database.fetch_all(waiting.value, timeouts, limit)]
            changes = [decide(*reading) for reading in readings]
            for change, reading in zip(changes, readings, strict=True):
                self._write(change, reading.now)
        return [change.order for change in changes]

    def with_payment(self, reference: str) -> UUID | None:
        """The id of the order that was paid by the payment with this name, if there is one."""
        row = self._database.fetch_one(BY_REFERENCE, reference)
        return row["id"] if row else None

    def get(self, order_id: UUID) -> Reading:
        """The order as it is now. Raises NotFound("Order")."""
        return _found(self._database.fetch_one(ONE, order_id))

    def history(self, order_id: UUID) -> list[Event]:
        """What happened to the order, oldest first."""
        return [to_event(row) for row in self._database.fetch_all(HISTORY, order_id)]

    def page(
        self, scope: Scope, user_id: UUID, *, statuses: Sequence[Status], after: PageKey, limit: int
    ) -> list[Reading]:
        """The newest `limit` orders of this scope that are older than `after` and in one of these states."""
        states = [str(status) for status in statuses]
        return [to_reading(row) for row in self._database.fetch_all(PAGES[scope], user_id, states, *after, limit)]

    def _write(self, change: Change, now: datetime) -> None:
        changed = asdict(change.order)
        OrderRow.update(changed).where(OrderRow.id == changed.pop("id")).execute(self._database.peewee)
        self._write_rest(change, now)

    def _write_rest(self, change: Change, now: datetime) -> None:
        if change.event is not None:
            self._write_event(change.order, change.event)
        if change.task is not None:
            self._outbox.add(PAYMENTS, str(change.order.id), change.order.version, {"task": change.task})
        # Last: the ledger's locks are the ones that others wait for.
        for posting in change.postings:
            self._ledger.post(posting, now)

    def _write_event(self, order: Order, event: Event) -> None:
        EventRow.insert(
            order_id=order.id,
            version=order.version,
            at=event.at,
            by=event.by,
            action=event.action,
            came_from=event.came_from,
            went_to=event.to,
            message=event.message,
        ).execute(self._database.peewee)


def _found(row: Row | None) -> Reading:
    if row is None:
        raise NotFound("Order")
    return to_reading(row)


def to_reading(row: Row) -> Reading:
    """A row of COLUMNS and `now`."""
    now = row.pop("now")
    payment = PaymentStatus(row["payment_status"]) if row["payment_status"] else None
    return Reading(Order(**{**row, "status": Status(row["status"]), "payment_status": payment}), now)


def to_event(row: Row) -> Event:
    """A row of the history."""
    came_from = Status(row["came_from"]) if row["came_from"] else None
    return Event(row["at"], Party(row["by"]), row["action"], came_from, Status(row["went_to"]), row["message"])
