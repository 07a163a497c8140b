"""The records that reconciliation compares, in one snapshot of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from order_service.domain.chargeback import Chargeback
from order_service.domain.ledger import Account, Kind, Line
from order_service.domain.order import Event, Order
from order_service.domain.payout import Payout
from order_service.domain.payout import Status as PayoutStatus
from order_service.store.orders import COLUMNS, to_event, to_reading
from order_service.store.payouts import COLUMNS as PAYOUT_COLUMNS
from order_service.store.provider_events import to_chargeback
from servicekit.database import Database, Row, Statement

BATCH = 500
LEAST_ID = UUID(int=0)

ORDERS = Statement(f"SELECT {COLUMNS}, app_now() AS now FROM orders WHERE id > $1 ORDER BY id LIMIT {BATCH}")  # noqa: S608
EVENTS = Statement("""
    SELECT order_id, version, at, by, action, came_from, went_to, message FROM order_events
    WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id, version
""")
PENDING = Statement("""
    SELECT key::uuid AS id FROM outbox WHERE topic IN ('payment', 'payout') AND key::uuid = ANY ($1::uuid[])
    UNION ALL SELECT order_id FROM attempts WHERE order_id = ANY ($1::uuid[])
    UNION ALL SELECT id FROM payouts JOIN payout_holds USING (seller_id) WHERE id = ANY ($1::uuid[])
    AND status = 'PENDING'
""")
CHARGEBACKS = Statement("SELECT id, order_id, amount, state FROM chargebacks WHERE order_id = ANY ($1::uuid[])")
LINES = Statement("""
    SELECT transaction.reference, transaction.order_id, transaction.payout_id,
        account.name, account.owner, entry.amount, entry.kind
    FROM ledger_transactions AS transaction
    JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
    JOIN ledger_accounts AS account ON account.id = entry.account_id
    WHERE transaction.order_id = ANY ($1::uuid[]) OR transaction.payout_id = ANY ($1::uuid[])
    ORDER BY entry.id
""")
PAYOUTS = Statement(f"SELECT {PAYOUT_COLUMNS} FROM payouts WHERE id > $1 ORDER BY id LIMIT {BATCH}")  # noqa: S608
ATTEMPTS = Statement("SELECT order_id FROM attempts")
STRAY = Statement("""
    SELECT reference FROM ledger_transactions AS transaction
    WHERE num_nonnulls(order_id, payout_id, adjustment_id) <> 1
    OR order_id IS NOT NULL AND NOT EXISTS (SELECT FROM orders WHERE id = transaction.order_id)
    OR payout_id IS NOT NULL AND NOT EXISTS (SELECT FROM payouts WHERE id = transaction.payout_id)
""")
WRONG_ADJUSTMENTS = Statement("""
    SELECT id FROM adjustments WHERE (
        SELECT array_agg((account.name, account.owner, entry.amount, entry.kind) ORDER BY account.name)
        FROM ledger_transactions AS transaction
        JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
        JOIN ledger_accounts AS account ON account.id = entry.account_id
        WHERE transaction.adjustment_id = adjustments.id
    ) IS DISTINCT FROM ARRAY[
        ('adjustments'::text, NULL::uuid, -amount, NULL::text),
        ('available'::text, seller_id, amount, 'ADJUSTMENT'::text)
    ]
""")
UNBALANCED = Statement("""
    SELECT transaction.reference, coalesce(sum(entry.amount), 0) AS sum, count(entry.id) AS entries
    FROM ledger_transactions AS transaction LEFT JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
    GROUP BY transaction.reference HAVING coalesce(sum(entry.amount), 1) <> 0
""")
# Balances are added up again from the first entry.
WRONG_CHAINS = Statement("""
    SELECT owner, name, number FROM (
        SELECT account.owner, account.name, entry.number, entry.balance,
            sum(entry.amount) OVER chain AS total, row_number() OVER chain AS place
        FROM ledger_entries AS entry JOIN ledger_accounts AS account ON account.id = entry.account_id
        WHERE account.owner IS NOT NULL
        WINDOW chain AS (PARTITION BY entry.account_id ORDER BY entry.number)
    ) AS entries
    WHERE balance <> total OR number <> place OR balance < 0
""")
TOTALS = Statement("""
    SELECT account.name, count(*) AS entries, sum(entry.amount) AS amount
    FROM ledger_entries AS entry JOIN ledger_accounts AS account ON account.id = entry.account_id
    GROUP BY account.name ORDER BY account.name
""")
TRANSACTIONS = Statement("SELECT count(*) AS number FROM ledger_transactions")


@dataclass(frozen=True, slots=True)
class OrderRecords:
    """All records of an order. `postings` are the lines of its ledger transactions by their references."""

    order: Order
    events: list[Event]
    chargebacks: list[Chargeback]
    postings: dict[str, list[Line]]
    is_pending: bool


@dataclass(frozen=True, slots=True)
class PayoutRecords:
    """All records of a payout."""

    payout: Payout
    postings: dict[str, list[Line]]
    is_pending: bool


class Audit:
    """Reads the records. Everything within one `snapshot` shows the same moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Open a read-only transaction that shows one moment."""
        with self._database.transaction():
            self._database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # A large ledger takes longer than any request may.
            self._database.execute("SET LOCAL statement_timeout = 0")
            yield

    def orders(self) -> Iterator[OrderRecords]:
        """Yield every order with its records, read in batches."""
        after = LEAST_ID
        while rows := self._database.fetch_all(ORDERS, after):
            orders = [to_reading(row).order for row in rows]
            after = orders[-1].id
            ids = [order.id for order in orders]
            events = _group_by("order_id", self._database.fetch_all(EVENTS, ids))
            chargebacks = _group_by("order_id", self._database.fetch_all(CHARGEBACKS, ids))
            lines = _group_by("order_id", self._database.fetch_all(LINES, ids))
            pending = self._pending(ids)
            for order in orders:
                yield OrderRecords(
                    order,
                    [to_event(row) for row in events.get(order.id, [])],
                    [to_chargeback(row) for row in chargebacks.get(order.id, [])],
                    _postings(lines.get(order.id, [])),
                    order.id in pending,
                )

    def payouts(self) -> Iterator[PayoutRecords]:
        """Yield every payout with its records."""
        after = LEAST_ID
        while rows := self._database.fetch_all(PAYOUTS, after):
            payouts = [Payout(**{**row, "status": PayoutStatus(row["status"])}) for row in rows]
            after = payouts[-1].id
            ids = [payout.id for payout in payouts]
            lines = _group_by("payout_id", self._database.fetch_all(LINES, ids))
            pending = self._pending(ids)
            for payout in payouts:
                yield PayoutRecords(payout, _postings(lines.get(payout.id, [])), payout.id in pending)

    def attempts(self) -> set[UUID]:
        """Return the ids of the orders that have an attempt."""
        return {row["order_id"] for row in self._database.fetch_all(ATTEMPTS)}

    def ledger_faults(self) -> Iterator[str]:
        """Yield the differences within the ledger."""
        for row in self._database.fetch_all(UNBALANCED):
            yield f"ledger: {row['reference']} sums to {row['sum']} over {row['entries']} entries, not to zero"
        for row in self._database.fetch_all(WRONG_CHAINS):
            yield f"ledger: the balance of {row['name']} of {row['owner']} is wrong at its entry {row['number']}"
        for row in self._database.fetch_all(STRAY):
            yield f"ledger: {row['reference']} belongs to no order, payout or adjustment"
        for row in self._database.fetch_all(WRONG_ADJUSTMENTS):
            yield f"ledger: adjustment {row['id']} is not in the ledger, or with other entries"

    def totals(self) -> dict[str, Decimal]:
        """Return the sum of all accounts of each name, in major units."""
        return {row["name"]: row["amount"] for row in self._database.fetch_all(TOTALS)}

    def transactions(self) -> int:
        """Return the number of ledger transactions."""
        return int(self._database.fetch_all(TRANSACTIONS)[0]["number"])

    def _pending(self, ids: list[UUID]) -> set[UUID]:
        return {row["id"] for row in self._database.fetch_all(PENDING, ids)}


def _group_by(column: str, rows: list[Row]) -> dict[UUID, list[Row]]:
    groups: dict[UUID, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def _postings(rows: list[Row]) -> dict[str, list[Line]]:
    postings: dict[str, list[Line]] = {}
    for row in rows:
        kind = Kind(row["kind"]) if row["kind"] else None
        line = Line(Account(row["name"]), row["amount"], row["owner"], kind)
        postings.setdefault(row["reference"], []).append(line)
    return postings
