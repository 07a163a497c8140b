"""The migration that mends orders whose refunds counted on money that a bank did not keep, or never held."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from order_service.domain.settlement import position
from order_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from servicekit.migrations import migrate
from tests.support.postgres import PostgresServer, migrations_of

ORDER = Statement("""
    INSERT INTO orders (
        id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency,
        delivery_days, revisions_left, requirements, payment_method, due_at, created_at, updated_at, payment_status,
        payment_reference, refund_due, refunded, charged_back, commission_percent
    ) VALUES (
        $1::uuid, 3, 'CANCELLED', $2, $3, $3, 'Logo', $3, 'Basic', 500, 'USD', 3, 1, '', 'sandbox', app_now(),
        app_now(), app_now(), 'REFUNDED', ($1::uuid)::text, 500, 500, $4, 10
    )
""")
CHARGEBACK = Statement("""
    INSERT INTO chargebacks (id, order_id, amount, state, reported_at) VALUES ($1, $2, $3, $4, app_now())
""")
TRANSACTION = Statement("""
    INSERT INTO ledger_transactions (reference, order_id, at) VALUES ($1, $2, app_now()) RETURNING id
""")
ENTRY = Statement("""
    INSERT INTO ledger_entries (transaction_id, account_id, amount)
    SELECT $1, id, $2 FROM ledger_accounts WHERE name = $3
""")
SUMS = Statement("""
    SELECT account.name, sum(entry.amount) AS amount FROM ledger_transactions AS transaction
    JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
    JOIN ledger_accounts AS account ON account.id = entry.account_id
    WHERE transaction.order_id = $1 GROUP BY account.name HAVING sum(entry.amount) <> 0
""")
TASKS = Statement("SELECT key FROM outbox WHERE topic = 'payment'")


@pytest.fixture
def old_database(postgres: PostgresServer, tmp_path: Path) -> Iterator[Database]:
    """Return a database of the version before the migration."""
    for migration in sorted(migrations_of("order").glob("000[1-5]_*.py")):
        shutil.copy(migration, tmp_path)
    name = "orders_before_refunds"
    database = Database(postgres.empty("order", name))
    migrate(database, tmp_path)
    yield database
    database.close()
    postgres.drop(name)


def old_order(database: Database, charged_back: int, chargebacks: list[tuple[int, str]], *postings: str) -> UUID:
    """Store a cancelled order as the old version did. A posting is `reference: account amount, account amount`."""
    order_id = new_id()
    with database.transaction():
        database.fetch_all(ORDER, order_id, new_id(), new_id(), charged_back)
        for number, (amount, state) in enumerate(chargebacks):
            database.fetch_all(CHARGEBACK, f"dp_{order_id}_{number}", order_id, amount, state)
        for posting in ("capture: buyers -500, refunds_due 500", *postings):
            reference, _, lines = posting.partition(": ")
            transaction = database.fetch_one(TRANSACTION, f"{reference}:{order_id}", order_id)
            assert transaction is not None
            for line in lines.split(", "):
                account, _, amount_text = line.partition(" ")
                database.fetch_all(ENTRY, transaction["id"], Decimal(amount_text), account)
    return order_id


def test_a_refund_that_a_bank_did_not_keep_is_due_again_and_the_ledger_says_so(old_database: Database) -> None:
    refunded = old_order(old_database, 0, [], "refund: refunds_due -500, buyers 500")
    by_bank = old_order(
        old_database,
        500,
        [(500, "OPEN")],
        "chargeback: chargebacks -500, buyers 500",
        "cancel: refunds_due -500, chargebacks 500",
    )
    won = old_order(
        old_database,
        500,
        [(500, "WON")],
        "chargeback: chargebacks -500, buyers 500",
        "cancel: refunds_due -500, chargebacks 500",
        "chargeback-won: buyers -500, chargebacks 500",
    )
    partial = old_order(
        old_database,
        50,
        [(50, "LOST")],
        "chargeback: chargebacks -50, buyers 50",
        "refund: refunds_due -500, chargebacks 500",
    )

    migrate(old_database, migrations_of("order"))

    store = Store(old_database)
    shown = {}
    for order_id in (refunded, by_bank, won, partial):
        order = store.orders.get(order_id).order
        expected: Counter[str] = Counter()
        for line in position(order):
            expected[line.account] += line.amount  # type: ignore[assignment]
        sums = {row["name"]: row["amount"] for row in old_database.fetch_all(SUMS, order_id)}
        assert sums == {name: amount for name, amount in expected.items() if amount}
        shown[order_id] = (str(order.payment_status), sums.get("refunds_due", Decimal(0)))
    assert shown == {
        refunded: ("REFUNDED", Decimal(0)),
        by_bank: ("REFUNDED", Decimal(0)),
        won: ("CAPTURED", Decimal(500)),
        partial: ("PARTIALLY_REFUNDED", Decimal(450)),
    }
    assert {UUID(row["key"]) for row in old_database.fetch_all(TASKS)} == {won, partial}
