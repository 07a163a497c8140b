"""Comparison of everything that was acknowledged with the records, and of the records with each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial

from deploy.local.postgres import database_url
from order_service.payments.sandbox.gateway import Sandbox
from order_service.reconciliation import Findings, Window, reconcile
from servicekit.database import Database, Statement
from servicekit.errors import MarketplaceError
from tests.support.stack import Stack
from tests.torture.followers import Followers, Step, to_step
from tests.torture.retries import Counts
from tests.torture.reviewing import wrong_ratings, wrong_reviews
from tests.torture.trader import Trader, commission

QUIET_SECONDS = 120.0
WAITING = Statement("SELECT (SELECT count(*) FROM outbox) AS waiting")
IN_THE_MIDDLE = Statement("""
    SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM attempts) AS waiting
""")


# Returns the URL of a database by its name.
UrlOf = Callable[[str], str]


def wait_until_quiet(url_of: UrlOf) -> bool:
    """Return whether all background work is done within two minutes."""
    databases = [Database(url_of(name)) for name in ("orders", "reviews", "gigs")]
    sandbox = Sandbox(Database(url_of("sandbox")))
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline:
        try:
            left = [database.fetch_all(WAITING)[0]["waiting"] for database in databases[1:]]
            left += [databases[0].fetch_all(IN_THE_MIDDLE)[0]["waiting"], len(sandbox.pending_events(1))]
            if not any(left):
                return True
        except MarketplaceError:
            pass
        time.sleep(0.5)
    return False


def differences(stack: Stack, traders: list[Trader], followers: Followers, counts: Counts) -> Iterator[str]:
    """Yield every difference."""
    url_of = partial(database_url, stack.layout)
    yield from wrong_work(url_of, traders, counts)
    yield from followers.differences(
        {trader.names["seller"]: _histories(trader) for trader in traders},
        {trader.names["seller"]: trader.seller_id for trader in traders},
    )
    yield from wrong_ratings(stack)
    yield from wrong_books(url_of, traders, counts)


def wrong_work(url_of: UrlOf, traders: list[Trader], counts: Counts) -> Iterator[str]:
    """Wait until nothing is under way; then yield where orders, money and reviews differ from what was acknowledged."""
    if not wait_until_quiet(url_of):
        yield f"something is still under way after {QUIET_SECONDS:.0f} s"
    for trader in traders:
        yield from trader.differences
        yield from _orders(trader, counts)
        yield from _money(trader)
        written = [life.review for life in trader.lives if life.review is not None]
        yield from wrong_reviews(trader.people["buyer"], trader.gigs, written)


def wrong_books(url_of: UrlOf, traders: list[Trader], counts: Counts) -> Iterator[str]:
    """Yield where the books do not balance, and where orders were not acknowledged."""
    books = read_books(url_of)
    counts.add("transactions in the ledger", books.transactions)
    yield from books.differences
    placed = sum(len(trader.lives) for trader in traders)
    if books.orders != placed:
        yield f"{placed} orders were acknowledged, and {books.orders} are there"
    if sum(books.totals.values()):
        yield f"the ledger sums to {sum(books.totals.values())}"


def read_books(url_of: UrlOf) -> Findings:
    """Return the findings of `make check-books`, the sandbox's records included."""
    orders, book = (Database(url_of(name)) for name in ("orders", "sandbox"))
    return reconcile(orders, Sandbox(book), Window())


def _orders(trader: Trader, counts: Counts) -> Iterator[str]:
    """Yield the orders and actions that are missing, that exist twice, or that were not acknowledged."""
    listed = Counter(order["orderId"] for order in trader.people["buyer"].all("/api/orders"))
    acknowledged = Counter(life.order for life in trader.lives)
    if listed != acknowledged:
        yield f"acknowledged and missing: {acknowledged - listed}; there and not acknowledged: {listed - acknowledged}"
    for life in trader.lives:
        events = trader.people["buyer"].get(f"/api/orders/{life.order}/events")["events"]
        done = [(event["by"], event["action"]) for event in events if event["by"] != "system"]
        counts.add("histories compared")
        if done != [("buyer", "place"), *life.done]:
            yield f"order {life.order}: acknowledged were {life.done}, its history has {done}"
        status = trader.people["buyer"].get(f"/api/orders/{life.order}")["status"]
        counts.add(f"orders {status}")


def _histories(trader: Trader) -> dict[str, list[Step]]:
    """Return the steps of each order's history."""
    admin = trader.people["admin"]
    orders = [life.order for life in trader.lives]
    return {order: list(map(to_step, admin.get(f"/api/orders/{order}/events")["events"])) for order in orders}


def _money(trader: Trader) -> Iterator[str]:
    """Yield where the seller's balance differs from the acknowledged orders and payouts, to the cent."""
    escrow = available = paid_out = Decimal(0)
    for life in trader.lives:
        status = trader.people["buyer"].get(f"/api/orders/{life.order}")["status"]
        if status in ("IN_PROGRESS", "DELIVERED", "DISPUTED"):
            escrow += life.price - commission(life.price)
        elif status == "COMPLETED":
            available += life.price - life.refund - commission(life.price - life.refund)
    available += trader.adjusted
    payouts = {payout["payoutId"]: payout for payout in trader.people["seller"].all("/api/payouts")}
    if payouts.keys() != trader.payouts.keys():
        yield f"payouts acknowledged: {sorted(trader.payouts)}, there: {sorted(payouts)}"
    for payout in payouts.values():
        amount = Decimal(str(payout["amount"]))
        if payout["status"] == "PENDING":
            yield f"payout {payout['payoutId']} is still PENDING"
        if payout["status"] == "PAID":
            available -= amount
            paid_out += amount
    balance = trader.people["seller"].get("/api/balance")
    shown = tuple(Decimal(str(balance[name])) for name in ("inEscrow", "available", "paidOut"))
    if shown != (escrow, available, paid_out):
        yield f"a seller has {shown}, and what was acknowledged comes to {(escrow, available, paid_out)}"
    entries = trader.people["seller"].all("/api/balance/entries")
    if sum(Decimal(str(entry["amount"])) for entry in entries) != shown[1]:
        yield f"a seller's entries do not come to the {shown[1]} that are available"
