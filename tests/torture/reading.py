"""Comparison of everything that was acknowledged with the records, and of the records with each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from deploy.local.postgres import database_url
from order_service.payments.sandbox.gateway import Sandbox
from order_service.reconciliation import Findings, Window, reconcile
from servicekit.database import Database, Statement
from servicekit.errors import MarketplaceError
from tests.support.stack import Stack
from tests.torture.filing import wrong_files
from tests.torture.followers import Followers
from tests.torture.offering import wrong_offers
from tests.torture.retries import Counts, RetryingClient
from tests.torture.reviewing import wrong_ratings, wrong_reviews
from tests.torture.talking import wrong_talk
from tests.torture.trader import Life, Trader, commission
from tests.torture.watching import News, Records, to_step

QUIET_SECONDS = 240.0
OUTBOX = Statement("SELECT * FROM outbox")
# A refused confirmation waits for its buyer's next request, which may never come.
ATTEMPTS = Statement("SELECT * FROM attempts WHERE state <> 'refused'")


# Returns the URL of a database by its name.
UrlOf = Callable[[str], str]


def work_left(url_of: UrlOf) -> list[object]:
    """Wait until all background work is done, for QUIET_SECONDS at most. Return what is left."""
    databases = [Database(url_of(name)) for name in ("orders", "reviews", "gigs")]
    sandbox = Sandbox(Database(url_of("sandbox")))
    deadline = time.monotonic() + QUIET_SECONDS
    left: list[object] = ["no database answers"]
    while time.monotonic() < deadline:
        try:
            left = [row for database in databases for row in database.fetch_all(OUTBOX)]
            left += [*databases[0].fetch_all(ATTEMPTS), *sandbox.pending_events(1)]
            if not left:
                break
        except MarketplaceError:
            pass
        time.sleep(0.5)
    return left


def differences(stack: Stack, traders: list[Trader], followers: Followers, counts: Counts) -> Iterator[str]:
    """Yield every difference."""
    url_of = partial(database_url, stack.layout)
    yield from wrong_work(url_of, traders, counts)
    yield from followers.differences({trader.names["seller"]: _records(trader) for trader in traders})
    yield from wrong_ratings(stack)
    yield from wrong_books(url_of, traders, counts)


def wrong_work(url_of: UrlOf, traders: list[Trader], counts: Counts) -> Iterator[str]:
    """Wait until nothing is under way; then yield where the records differ from what was acknowledged."""
    if left := work_left(url_of):
        yield f"still under way after {QUIET_SECONDS:.0f} s: {left}"
    for trader in traders:
        yield from trader.differences
        yield from _orders(trader, counts)
        yield from _money(trader)
        written = [life.review for life in trader.lives if life.review is not None]
        yield from wrong_reviews(trader.people["buyer"], trader.gigs, written)
        yield from wrong_talk(trader.talk, trader.people, trader.stranger)
        yield from wrong_offers(trader.offers, trader.people, trader.stranger)
        yield from wrong_files(trader.files, trader.people, trader.stranger)


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
        events = _history(trader.people["buyer"], life)
        done = [(event["by"], event["action"]) for event in events if event["by"] != "system"]
        counts.add("histories compared")
        if done != [("buyer", "place"), *life.done]:
            yield f"order {life.order}: acknowledged were {life.done}, its history has {done}"
        delivered = [[file["fileId"] for file in event["files"]] for event in events if event["action"] == "deliver"]
        if delivered != life.delivered:
            yield f"order {life.order}: delivered were {life.delivered}, its history has {delivered}"
        shown = trader.people["buyer"].get(f"/api/orders/{life.order}")
        yield from _lines(shown, life)
        counts.add(f"orders {shown['status']}")


def _lines(shown: dict[str, Any], life: Life) -> Iterator[str]:
    """Yield what is wrong unless an order's lines add up to its price, which is the acknowledged one."""
    lines = [
        (Decimal(str(line["unitPrice"])) * line["quantity"], Decimal(str(line["amount"]))) for line in shown["lines"]
    ]
    if any(product != amount for product, amount in lines):
        yield f"order {life.order}: a line's amount is no product: {shown['lines']}"
    prices = {sum(amount for _, amount in lines), Decimal(str(shown["price"]))}
    if prices != {life.price} or shown.get("offerId") != life.offer:
        yield f"order {life.order}: price {prices}, offer {shown.get('offerId')}; acknowledged were {life}"


def _records(trader: Trader) -> Records:
    """Return what a follower of the seller's must have seen."""
    admin, talk = trader.people["admin"], trader.talk
    messages = admin.all(f"/api/conversations/{talk.id}/messages")
    news = News(
        {life.order: list(map(to_step, _history(admin, life))) for life in trader.lives},
        [message["id"] for message in reversed(messages)],
        {each.id: ["OPEN"] if each.status == "OPEN" else ["OPEN", each.status] for each in trader.offers.made},
    )
    return Records(trader.seller_id, talk.id, news)


def _history(reader: RetryingClient, life: Life) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = reader.get(f"/api/orders/{life.order}/events")["events"]
    return events


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
