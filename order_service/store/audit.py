"""The records that reconciliation compares, of some orders or payouts at a time, each time in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from order_service.domain.chargeback import Chargeback
from order_service.domain.order import Order
from order_service.domain.payout import Payout
from order_service.domain.payout import Status as PayoutStatus
from order_service.domain.refund import Refund
from order_service.store.orders import COLUMNS, PAYMENTS, to_order
from order_service.store.payouts import COLUMNS as PAYOUT_COLUMNS
from order_service.store.payouts import PAYOUTS
from order_service.store.provider_records import to_chargeback, to_refund
from order_service.store.put_off_orders import PutOffOrder, PutOffOrders
from servicekit.database import Database, Row, Statement

# Columns that nothing compares: texts can be long, and ids cost time to read.
NOT_READ = {
    "gig_title": "''",
    "package_title": "''",
    "requirements": "''",
    "payment_method": "''",
    "buyer_id": "NULL",
    "gig_id": "NULL",
    "package_id": "NULL",
    "offer_id": "NULL",
}
SHORT_COLUMNS = ", ".join(f"{NOT_READ[name]} AS {name}" if name in NOT_READ else name for name in COLUMNS.split(", "))
ORDER_COLUMNS = COLUMNS.split(", ")

# These bring a row or more for each order, so they are read as tuples, with ids as texts: half the time of all else.
ORDERS = f"SELECT id::text, has_lines, {SHORT_COLUMNS} FROM orders WHERE id = ANY (%s::uuid[])"
HISTORIES = """
    SELECT order_id::text, count(*), max(version),
        string_agg(
            concat_ws(
                ' ', coalesce(came_from, '-'), CASE WHEN is_reminder THEN 'reminder:' ELSE '' END || action, by, went_to
            ),
            ',' ORDER BY version
        ),
        coalesce(sum(CASE action WHEN 'refund' THEN amount WHEN 'refund_failed' THEN -amount END), 0)
    FROM order_events WHERE order_id = ANY (%s::uuid[]) GROUP BY order_id
"""
LINE_SUMS = """
    SELECT order_id::text, sum(unit_price * quantity) FROM order_lines
    WHERE order_id = ANY (%s::uuid[]) GROUP BY order_id
"""
FEES = "SELECT order_id::text, id, amount FROM provider_fees WHERE order_id = ANY (%s::uuid[])"
REFUNDS = Statement("""
    SELECT id, order_id, amount, state, provider_id FROM refunds WHERE order_id = ANY ($1::uuid[]) ORDER BY created_at
""")
CHARGEBACKS = Statement("""
    SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks
    WHERE order_id = ANY ($1::uuid[]) ORDER BY reported_at, id
""")


def _sums(column: str) -> str:
    """Return the statement for the sums of the ledger entries of orders or payouts, each as `account kind owner=sum`.

    As texts they come in one row each, and are compared without being read.
    """
    return f"""
        SELECT subject_id::text, array_agg(slot || '=' || amount) FROM (
            SELECT transaction.{column} AS subject_id,
                concat_ws(' ', account.name, coalesce(entry.kind, '-'), account.owner) AS slot,
                sum(entry.amount) AS amount
            FROM ledger_transactions AS transaction
            JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
            JOIN ledger_accounts AS account ON account.id = entry.account_id
            WHERE transaction.{column} = ANY (%s::uuid[])
            GROUP BY transaction.{column}, account.name, entry.kind, account.owner HAVING sum(entry.amount) <> 0
        ) AS slots GROUP BY subject_id
    """


ORDER_SUMS = _sums("order_id")
PAYOUT_SUMS = _sums("payout_id")
PENDING_ORDERS = Statement("""
    SELECT key::uuid AS id FROM outbox WHERE topic = $2 AND key = ANY (($1::uuid[])::text[])
    UNION SELECT order_id FROM attempts WHERE order_id = ANY ($1::uuid[])
""")
PENDING_PAYOUTS = Statement("""
    SELECT key::uuid AS id FROM outbox WHERE topic = $2 AND key = ANY (($1::uuid[])::text[])
""")
PAYOUT_ROWS = Statement(f"""
    SELECT {PAYOUT_COLUMNS}, updated_at,
        EXISTS (SELECT FROM payout_holds WHERE payout_holds.seller_id = payouts.seller_id) AS is_held
    FROM payouts WHERE id = ANY ($1::uuid[])
""")
ATTEMPTS = Statement("SELECT order_id AS id FROM attempts WHERE order_id = ANY ($1::uuid[])")
PARKED = Statement("""
    SELECT id, topic, key, error FROM outbox WHERE parked_at IS NOT NULL AND topic = ANY ($1::text[]) ORDER BY id
""")
TOTALS = Statement("""
    SELECT account.name, sums.amount FROM (
        SELECT account_id, sum(amount) AS amount FROM ledger_entries GROUP BY account_id
    ) AS sums JOIN ledger_accounts AS account ON account.id = sums.account_id
""")
TRANSACTIONS = Statement("SELECT count(*) AS number FROM ledger_transactions")


@dataclass(frozen=True, slots=True)
class History:
    """An order's history: its length, its last version, its steps in one text, and the refunds after the end."""

    length: int
    version: int
    steps: str
    refunded_later: Decimal


@dataclass(frozen=True, slots=True)
class OrderRecords:
    """All records of an order, the provider's `fees` by their ids.

    `sums` are the sums of its ledger entries, each as `account kind owner=sum`. `lines_sum` is the sum of its lines;
    None for an order without.
    """

    order: Order
    history: History | None
    lines_sum: Decimal | None
    refunds: list[Refund]
    chargebacks: list[Chargeback]
    fees: dict[str, Decimal]
    sums: list[str]
    is_pending: bool


@dataclass(frozen=True, slots=True)
class PayoutRecords:
    """All records of a payout; `sums` as those of an order. `updated_at` is the time of its last change (aware).

    `is_held` says whether its seller's payouts are held.
    """

    payout: Payout
    updated_at: datetime
    sums: list[str]
    is_pending: bool
    is_held: bool


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A parked outbox row of an order (`subject` is `order …`) or of a payout."""

    id: int
    subject: str
    error: str


class Audit:
    """Reads the records. Everything that one call returns shows the same moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Open a read-only transaction that shows one moment."""
        with self._database.transaction():
            self._database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # Sums over a large ledger take longer than any request may.
            self._database.execute("SET LOCAL statement_timeout = 0")
            yield

    def orders(self, ids: list[UUID]) -> dict[UUID, OrderRecords]:
        """Return the records of these orders, without those that do not exist."""
        with self.snapshot():
            rows = self._rows(ORDERS, ids)
            histories = {row[0]: History(*row[1:]) for row in self._rows(HISTORIES, ids)}
            line_sums = dict(self._rows(LINE_SUMS, ids))
            fees: dict[str, dict[str, Decimal]] = {}
            for order_id, fee_id, amount in self._rows(FEES, ids):
                fees.setdefault(order_id, {})[fee_id] = amount
            sums = dict(self._rows(ORDER_SUMS, ids))
            refunds = _group(self._database.fetch_all(REFUNDS, ids))
            chargebacks = _group(self._database.fetch_all(CHARGEBACKS, ids))
            pending = self._ids(PENDING_ORDERS, ids, PAYMENTS)
        records = {}
        for key, has_lines, *columns in rows:
            order = to_order(dict(zip(ORDER_COLUMNS, columns, strict=True)))
            records[order.id] = OrderRecords(
                order,
                histories.get(key),
                line_sums.get(key, Decimal(0)) if has_lines or key in line_sums else None,
                [to_refund(row) for row in refunds.get(order.id, ())],
                [to_chargeback(row) for row in chargebacks.get(order.id, ())],
                fees.get(key, {}),
                sums.get(key, []),
                order.id in pending,
            )
        return records

    def payouts(self, ids: list[UUID]) -> dict[UUID, PayoutRecords]:
        """Return the records of these payouts, without those that do not exist."""
        with self.snapshot():
            rows = self._database.fetch_all(PAYOUT_ROWS, ids)
            sums = dict(self._rows(PAYOUT_SUMS, ids))
            pending = self._ids(PENDING_PAYOUTS, ids, PAYOUTS)
        records = {}
        for row in rows:
            updated_at, is_held, payout_id = row.pop("updated_at"), row.pop("is_held"), row["id"]
            payout = Payout(**{**row, "status": PayoutStatus(row["status"])})
            own_sums = sums.get(str(payout_id), [])
            records[payout_id] = PayoutRecords(payout, updated_at, own_sums, payout_id in pending, is_held)
        return records

    def with_attempts(self, ids: list[UUID]) -> set[UUID]:
        """Return the ids of those orders that have an attempt."""
        return self._ids(ATTEMPTS, ids)

    def put_off_orders(self) -> Iterator[PutOffOrder]:
        """Yield the orders that could not be moved by time."""
        yield from PutOffOrders(self._database).open()

    def parked(self) -> list[ParkedRow]:
        """Return the parked outbox rows of payments and payouts."""
        names = {PAYMENTS: "order", PAYOUTS: "payout"}
        rows = self._database.fetch_all(PARKED, list(names))
        return [ParkedRow(row["id"], f"{names[row['topic']]} {row['key']}", row["error"]) for row in rows]

    def totals(self) -> tuple[dict[str, Decimal], int]:
        """Return the sum of all accounts of each name, in major units, and the number of ledger transactions."""
        totals: dict[str, Decimal] = {}
        with self.snapshot():
            for row in self._database.fetch_all(TOTALS):
                totals[row["name"]] = totals.get(row["name"], Decimal(0)) + row["amount"]
            transactions = int(self._database.fetch_all(TRANSACTIONS)[0]["number"])
        return dict(sorted(totals.items())), transactions

    def _rows(self, sql: str, ids: list[UUID]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that is not prepared, as tuples."""
        rows: list[tuple[Any, ...]] = self._database.peewee.execute_sql(sql, ([str(each) for each in ids],)).fetchall()
        return rows

    def _ids(self, statement: Statement, *parameters: object) -> set[UUID]:
        return {row["id"] for row in self._database.fetch_all(statement, *parameters)}


def _group(rows: list[Row]) -> dict[UUID, list[Row]]:
    """Return the rows by their orders."""
    groups: dict[UUID, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["order_id"], []).append(row)
    return groups
