"""The ledger in a real PostgreSQL, whose constraints and triggers protect it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from uuid import UUID

import peewee
import psycopg2
import pytest

from order_service.domain import ledger as postings
from order_service.domain.balance import Balance
from order_service.domain.ledger import Account, Kind, Line, Posting
from order_service.domain.settlement import capture, release
from order_service.store.ledger import START
from order_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.support.at_once import closing
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.orders import an_order

REFUSALS = (peewee.IntegrityError, psycopg2.IntegrityError)
ALL = Statement("""
    SELECT entry.* FROM ledger_entries AS entry JOIN ledger_accounts AS account ON account.id = entry.account_id
    WHERE account.owner IS NOT NULL ORDER BY account_id, number
""")


LOCK_AT_ONCE = Statement("SELECT id FROM ledger_accounts WHERE owner = $1 FOR UPDATE NOWAIT")


@pytest.fixture
def store(order_database: Database) -> Store:
    return Store(order_database)


def post(store: Store, *all_postings: Posting) -> None:
    with store.transaction("test"):
        for posting in all_postings:
            store.ledger.post(posting, store.now())


def sale(seller: UUID, price: str = "100") -> tuple[Posting, Posting]:
    """Return the postings of an order that was captured and completed."""
    order = an_order(id=new_id(), seller_id=seller, price=Decimal(price))
    captured = capture(order)
    released = release(captured.order, Decimal(0))
    return captured.postings[0], released.postings[0]


def test_balances_are_the_sums_of_the_entries(store: Store) -> None:
    seller, other = new_id(), new_id()
    post(store, *sale(seller), *sale(other), sale(seller, "50")[0])
    payout = new_id()
    post(store, postings.payout_requested(payout, seller, Decimal(30)))

    assert store.ledger.balance(seller) == Balance(Decimal(45), Decimal(60), Decimal(0))
    post(store, postings.payout_paid(payout, seller, Decimal(30)))
    assert store.ledger.balance(seller) == Balance(Decimal(45), Decimal(60), Decimal(30))
    assert store.ledger.balance(other) == Balance(Decimal(0), Decimal(90), Decimal(0))
    assert store.ledger.balance(new_id()) == Balance(Decimal(0), Decimal(0), Decimal(0))


def test_entries_are_listed_newest_first_in_pages(store: Store) -> None:
    seller = new_id()
    for _ in range(3):
        post(store, *sale(seller))

    first = store.ledger.entries(seller, after=START, limit=4)
    rest = store.ledger.entries(seller, after=first[-1].number, limit=4)

    assert [entry.number for entry in [*first, *rest]] == [6, 5, 4, 3, 2, 1]
    assert [(entry.kind, entry.amount) for entry in rest] == [
        (Kind.COMMISSION, Decimal(-10)),
        (Kind.SALE, Decimal(100)),
    ]


def test_a_posting_of_two_sellers_locks_them_in_the_order_of_their_ids(store: Store, order_database: Database) -> None:
    first, second = sorted((new_id(), new_id()))
    post(store, *sale(first), *sale(second))
    lines = (Line(Account.ESCROW, Decimal(1), second), Line(Account.ESCROW, Decimal(-1), first))
    posting = Posting("between two sellers", lines)

    with ThreadPoolExecutor(1) as pool:
        with order_database.transaction():
            store.ledger.lock(first)
            # The lock is sent with the next statement that has a result.
            assert len(order_database.fetch_all(LOCK_AT_ONCE, first)) == 4
            waiting = pool.submit(closing(order_database, partial(post, store, posting)))
            wait_for_a_lock_waiter(order_database)
            # The other transaction waits for the first seller, so it does not hold the second one.
            assert len(order_database.fetch_all(LOCK_AT_ONCE, second)) == 4
        error = waiting.exception(30)

    # The first seller has nothing in escrow, which the database finds after all locks.
    assert isinstance(error, REFUSALS)


def test_a_posting_outside_a_transaction_is_an_error(store: Store) -> None:
    with pytest.raises(RuntimeError):
        store.ledger.post(sale(new_id())[0], store.now())


def test_a_posting_cannot_be_stored_twice(store: Store) -> None:
    captured, _ = sale(new_id())
    post(store, captured)

    with pytest.raises(REFUSALS):
        post(store, captured)


@pytest.mark.parametrize(
    "lines",
    [
        (Line(Account.BUYERS, Decimal(-5)), Line(Account.COMMISSION, Decimal("4.99"))),
        (Line(Account.COMMISSION, Decimal(5)),),
        (),
    ],
    ids=["a cent is missing", "one side", "no side"],
)
def test_a_posting_that_does_not_sum_to_zero_is_refused_at_the_commit(store: Store, lines: tuple[Line, ...]) -> None:
    with pytest.raises(REFUSALS, match="does not sum to zero"):
        post(store, Posting("wrong", lines, order_id=new_id()))


def test_no_sellers_balance_is_negative(store: Store) -> None:
    seller = new_id()
    post(store, *sale(seller))

    with pytest.raises(REFUSALS):
        post(store, postings.payout_requested(new_id(), seller, Decimal("90.01")))

    assert store.ledger.balance(seller).available == 90


@pytest.mark.parametrize("table", ["ledger_transactions", "ledger_entries"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET id = DEFAULT", "DELETE FROM {}", "TRUNCATE {} CASCADE"],
    ids=["update", "delete", "truncate"],
)
def test_ledger_rows_cannot_be_changed_or_deleted(
    store: Store, order_database: Database, table: str, statement: str
) -> None:
    post(store, *sale(new_id()))

    with pytest.raises(REFUSALS, match="the ledger is append-only"):
        order_database.execute(statement.format(table))


@pytest.mark.parametrize(
    "changed",
    [
        "amount + 1, number + 1, balance, balance + amount",
        "amount, number + 1, balance + 1, balance + 1 + amount",
        "amount, number + 2, balance, balance + amount",
        "amount, number, balance_before, balance",
        "-balance - 1, number + 1, balance, -1",
        "amount, 1, 5, 5 + amount",
        "amount, NULL, NULL, NULL",
        "amount, number + 1, NULL, NULL",
    ],
    ids=[
        "not its sum", "not after the one before", "a gap", "a fork", "below zero", "a beginning from something",
        "outside the chain", "half in the chain",
    ],
)  # fmt: skip
def test_a_balance_that_is_not_the_sum_of_the_entries_cannot_be_stored(
    store: Store, order_database: Database, changed: str
) -> None:
    post(store, *sale(new_id()))

    with pytest.raises(REFUSALS), order_database.transaction():
        order_database.execute(f"""
            INSERT INTO ledger_entries (transaction_id, account_id, amount, number, balance_before, balance)
            SELECT transaction_id, account_id, {changed} FROM ledger_entries
            WHERE kind = 'COMMISSION' ORDER BY number DESC LIMIT 1
        """)


def test_twenty_concurrent_workers_leave_one_unbroken_chain(store: Store, order_database: Database) -> None:
    seller = new_id()

    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(closing(order_database, partial(post, store, *sale(seller)))) for _ in range(60)]
        for call in calls:
            call.result(30)

    assert store.ledger.balance(seller) == Balance(Decimal(0), Decimal(90 * 60), Decimal(0))
    totals: dict[int, Decimal] = {}
    numbers: dict[int, list[int]] = {}
    for row in order_database.fetch_all(ALL):
        totals[row["account_id"]] = totals.get(row["account_id"], Decimal(0)) + row["amount"]
        numbers.setdefault(row["account_id"], []).append(row["number"])
        assert row["balance"] == totals[row["account_id"]]
    assert all(chain == list(range(1, len(chain) + 1)) for chain in numbers.values())


def test_a_posting_of_one_seller_does_not_block_another_seller(store: Store, order_database: Database) -> None:
    seller, other = new_id(), new_id()
    post(store, *sale(seller), *sale(other))

    with ThreadPoolExecutor(1) as pool, store.transaction("test"):
        store.ledger.post(sale(seller)[0], store.now())
        pool.submit(closing(order_database, partial(post, store, *sale(other)))).result(30)

    assert store.ledger.balance(other).available == 180
