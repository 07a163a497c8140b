"""Writes whole batches of orders, for `make load-data`: each with its history, its ledger postings and its records.

What a command writes for one order in several transactions, COPY writes here for all orders of a batch. The paths and
the postings are tables; `make check-books` compares the result with the rules of the domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from servicekit.bulk_load import NULL, BulkLoad, CopyInto
from servicekit.database import Statement

TABLES = (
    "orders", "order_lines", "order_events", "ledger_transactions", "ledger_entries", "provider_fees", "refunds",
    "payouts", "payout_accounts",
)  # fmt: skip
# Small indexes that the periodic tasks of a running OrderService read every second.
KEPT = (
    "orders_unanswered", "orders_unapproved", "orders_undelivered", "orders_lapsing", "orders_expiring",
    "orders_due_soon", "orders_auto_completing", "payouts_pending",
)  # fmt: skip
# Their triggers check every posting and note every change of an order; a batch does both at once.
CHECKED_AT_ONCE = ("provider_fees", "refunds", "ledger_transactions", "ledger_entries")

ORDERS = CopyInto(
    "orders",
    "id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency,"
    " delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at,"
    " created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back,"
    # A default that is a function would make COPY write row by row.
    " commission_percent, platform_refund, fees, postings, has_lines, changed_at",
)
LINES = CopyInto("order_lines", "order_id, position, title, unit_price, quantity")
EVENTS = CopyInto("order_events", "order_id, version, at, by, action, came_from, went_to, message")
PAYOUTS = CopyInto("payouts", "id, seller_id, amount, currency, status, destination, reference, created_at, updated_at")
PAYOUT_ACCOUNTS = CopyInto("payout_accounts", "seller_id, destination, updated_at")
FEES = CopyInto("provider_fees", "id, order_id, amount, reported_at")
REFUNDS = CopyInto("refunds", "id, order_id, amount, state, provider_id, created_at")
ACCOUNTS = CopyInto("ledger_accounts", "id, owner, name")
TRANSACTIONS = CopyInto("ledger_transactions", "id, reference, order_id, payout_id, at")
ENTRIES = CopyInto("ledger_entries", "transaction_id, account_id, amount, kind, number, balance_before, balance")

# What every seller with a posting has. The accounts without an owner are there from the beginning.
SELLERS_ACCOUNTS = ("available", "escrow", "paid_out", "paying_out")
SHARED_ACCOUNTS = Statement("SELECT name, id FROM ledger_accounts WHERE owner IS NULL")
CAPTURE_DAYS = 7
MILLISECONDS_OF_A_DAY = 86_400_000


class Step(NamedTuple):
    """A row of the history. `time` is the field of LoadedOrder that has its time."""

    time: str
    by: str
    action: str
    came_from: str
    went_to: str
    message: str


ACCEPT = Step("accepted", "seller", "accept", "PENDING", "IN_PROGRESS", "Happy to help!")
DELIVER = Step("delivered", "seller", "deliver", "IN_PROGRESS", "DELIVERED", "Here is your order.")
COMPLETE = Step("ended", "buyer", "complete", "DELIVERED", "COMPLETED", "Thank you!")
AUTO_COMPLETE = Step("ended", "system", "auto_complete", "DELIVERED", "COMPLETED", "")
DECLINE = Step("ended", "seller", "decline", "PENDING", "CANCELLED", "No time, sorry.")
WITHDRAW = Step("ended", "buyer", "cancel", "PENDING", "CANCELLED", "Changed my mind.")
EXPIRE = Step("ended", "system", "expire", "PENDING", "CANCELLED", "")
CANCEL = Step("ended", "seller", "cancel", "IN_PROGRESS", "CANCELLED", "I cannot finish this.")


class Line(NamedTuple):
    """A line of a posting: its amount in parts of the price, the commission and the provider's fee."""

    account: str
    is_sellers: bool
    kind: str
    of_price: int
    of_commission: int
    of_fee: int


class Posting(NamedTuple):
    """A transaction of the ledger. Of those at the same time, the one with the smaller rank comes first."""

    reference: str
    time: str
    rank: int
    lines: tuple[Line, ...]


CAPTURE = Posting(
    "capture:{}", "accepted", 1,
    (
        Line("escrow", True, NULL, 1, -1, 0),
        Line("escrow_commission", False, NULL, 0, 1, 0),
        Line("buyers", False, NULL, -1, 0, 0),
    ),
)  # fmt: skip
FEE = Posting(
    "report:{}:2", "accepted", 2, (Line("fees_paid", False, NULL, 0, 0, 1), Line("fees", False, NULL, 0, 0, -1))
)
RELEASE = Posting(
    "release:{}", "ended", 3,
    (
        Line("available", True, "SALE", 1, 0, 0),
        Line("commission", False, NULL, 0, 1, 0),
        Line("available", True, "COMMISSION", 0, -1, 0),
        Line("escrow", True, NULL, -1, 1, 0),
        Line("escrow_commission", False, NULL, 0, -1, 0),
    ),
)  # fmt: skip
CANCELLATION = Posting(
    "cancel:{}", "ended", 3,
    (
        Line("refunds_due", False, NULL, 1, 0, 0),
        Line("escrow", True, NULL, -1, 1, 0),
        Line("escrow_commission", False, NULL, 0, -1, 0),
    ),
)  # fmt: skip
REFUND = Posting(
    "report:{}:4", "ended", 4, (Line("buyers", False, NULL, 1, 0, 0), Line("refunds_due", False, NULL, -1, 0, 0))
)
PAYOUT = Posting(
    "payout:{}", "requested", 5,
    (Line("available", True, "PAYOUT", -1, 0, 0), Line("paying_out", True, NULL, 1, 0, 0)),
)  # fmt: skip
PAYOUT_PAID = Posting(
    "payout-paid:{}", "paid", 6, (Line("paying_out", True, NULL, -1, 0, 0), Line("paid_out", True, NULL, 1, 0, 0))
)


class Outcome(NamedTuple):
    """How an order ended, or where it stands."""

    status: str
    payment_status: str
    steps: tuple[Step, ...]
    postings: tuple[Posting, ...]


OUTCOMES = {
    "completed": Outcome("COMPLETED", "CAPTURED", (ACCEPT, DELIVER, COMPLETE), (CAPTURE, FEE, RELEASE)),
    "auto_completed": Outcome("COMPLETED", "CAPTURED", (ACCEPT, DELIVER, AUTO_COMPLETE), (CAPTURE, FEE, RELEASE)),
    "declined": Outcome("CANCELLED", "VOIDED", (DECLINE,), ()),
    "withdrawn": Outcome("CANCELLED", "VOIDED", (WITHDRAW,), ()),
    "expired": Outcome("CANCELLED", "VOIDED", (EXPIRE,), ()),
    "cancelled": Outcome("CANCELLED", "REFUNDED", (ACCEPT, CANCEL), (CAPTURE, FEE, CANCELLATION, REFUND)),
    "pending": Outcome("PENDING", "AUTHORIZED", (), ()),
    "in_progress": Outcome("IN_PROGRESS", "CAPTURED", (ACCEPT,), (CAPTURE, FEE)),
    "delivered": Outcome("DELIVERED", "CAPTURED", (ACCEPT, DELIVER), (CAPTURE, FEE)),
}


class LoadedLine(NamedTuple):
    """A line of an order; the price of one is in cents."""

    title: str
    unit_price: int
    quantity: int


class LoadedOrder(NamedTuple):
    """An order. The outcome is one of OUTCOMES; `commission` is that of the whole price, `fee` the provider's.

    The lines are those of domain.order.Order. Amounts are in cents. Times are milliseconds since 1970, 0 for what has
    not happened.
    """

    id: str
    outcome: str
    buyer_id: str
    seller_id: str
    gig_id: str
    gig_title: str
    package_id: str
    package_title: str
    lines: tuple[LoadedLine, ...]
    price: int
    commission: int
    fee: int
    delivery_days: int
    revisions: int
    requirements: str
    placed: int
    accepted: int
    delivered: int
    ended: int
    refund_id: str


class LoadedPayout(NamedTuple):
    """A payout that was paid; the amount is in cents, times are milliseconds since 1970."""

    id: str
    seller_id: str
    amount: int
    destination: str
    requested: int
    paid: int


@dataclass(slots=True)
class OrderRows:
    """The rows of a batch: lines of COPY's text format, with the columns above."""

    orders: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    fees: list[str] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)
    payouts: list[str] = field(default_factory=list)
    payout_accounts: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    transactions: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)


# The time, the rank and the reference, which together are the order of a ledger; then the order, the payout and the
# seller, the amounts that the lines are parts of, the time as text, and the lines.
_Posted = tuple[int, int, str, str, str, str, tuple[int, int, int], str, tuple[Line, ...]]


def rows(
    bulk: BulkLoad, orders: Iterable[LoadedOrder], payouts: Iterable[LoadedPayout], currency: str, percent: str
) -> OrderRows:
    """Return all rows of a batch; its ids in the ledger are taken now. All orders of a seller are in one batch.

    Raises ValueError when a posting does not sum to zero.
    """
    made = OrderRows()
    posted: list[_Posted] = []
    for order in orders:
        posted += _of_order(made, order, currency, percent)
    for payout in payouts:
        posted += _of_payout(made, payout, currency)
    posted.sort()
    _post(bulk, made, posted)
    return made


def _of_order(made: OrderRows, order: LoadedOrder, currency: str, percent: str) -> Iterator[_Posted]:
    """Add an order with its history and its records; yield its postings."""
    outcome = OUTCOMES[order.outcome]
    times = {
        "placed": _at(order.placed), "accepted": _at(order.accepted), "delivered": _at(order.delivered),
        "ended": _at(order.ended),
    }  # fmt: skip
    updated = times[outcome.steps[-1].time if outcome.steps else "placed"]
    due = _at((order.accepted or order.placed) + order.delivery_days * MILLISECONDS_OF_A_DAY)
    capture_before = _at(order.placed + CAPTURE_DAYS * MILLISECONDS_OF_A_DAY)
    refund = f"{order.price}e-2" if outcome.payment_status == "REFUNDED" else "0"
    fees = f"{order.fee}e-2" if order.accepted else "0"
    made.orders.append(
        f"{order.id}\t{len(outcome.steps) + 1}\t{outcome.status}\t{order.buyer_id}\t{order.seller_id}\t{order.gig_id}"
        f"\t{order.gig_title}\t{order.package_id}\t{order.package_title}\t{order.price}e-2\t{currency}"
        f"\t{order.delivery_days}\t{order.revisions}\t{order.requirements}\tsandbox\t{due}\t{times['delivered']}"
        f"\t{times['delivered']}\t{times['placed']}\t{updated}\t{outcome.payment_status}\tsandbox_{order.id}"
        f"\t{capture_before}\t{refund}\t{refund}\t0\t{percent}\t0\t{fees}\t{len(outcome.postings)}\t{bool(order.lines)}"
        "\tnow"
    )
    for position, line in enumerate(order.lines, start=1):
        made.lines.append(f"{order.id}\t{position}\t{line.title}\t{line.unit_price}e-2\t{line.quantity}")
    made.events.append(f"{order.id}\t1\t{times['placed']}\tbuyer\tplace\t{NULL}\tPENDING\t")
    for version, step in enumerate(outcome.steps, start=2):
        time, *columns = step
        made.events.append("\t".join((order.id, str(version), times[time], *columns)))
    if order.accepted:
        made.fees.append(f"fee_sandbox_{order.id}\t{order.id}\t{fees}\t{times['accepted']}")
    if outcome.payment_status == "REFUNDED":
        made.refunds.append(
            f"{order.refund_id}\t{order.id}\t{refund}\tSUCCEEDED\trefund_{order.refund_id}\t{times['ended']}"
        )
    amounts = order.price, order.commission, order.fee
    for posting in outcome.postings:
        at = order.accepted if posting.time == "accepted" else order.ended
        reference = posting.reference.format(order.id)
        yield at, posting.rank, reference, order.id, NULL, order.seller_id, amounts, times[posting.time], posting.lines


def _of_payout(made: OrderRows, payout: LoadedPayout, currency: str) -> Iterator[_Posted]:
    """Add a payout and the seller's account of payouts; yield its postings."""
    requested, paid = _at(payout.requested), _at(payout.paid)
    made.payouts.append(
        f"{payout.id}\t{payout.seller_id}\t{payout.amount}e-2\t{currency}\tPAID\t{payout.destination}"
        f"\tsandbox_{payout.id}\t{requested}\t{paid}"
    )
    made.payout_accounts.append(f"{payout.seller_id}\t{payout.destination}\t{requested}")
    for posting, at, text in ((PAYOUT, payout.requested, requested), (PAYOUT_PAID, payout.paid, paid)):
        reference = posting.reference.format(payout.id)
        yield at, posting.rank, reference, NULL, payout.id, payout.seller_id, (payout.amount, 0, 0), text, posting.lines


def _post(bulk: BulkLoad, made: OrderRows, posted: Sequence[_Posted]) -> None:
    """Add the transactions and entries of the ledger, in this order, and the accounts of the sellers.

    Transactions get their ids in the order of time, as they would have had.
    """
    shared = {row["name"]: row["id"] for row in bulk.database.fetch_all(SHARED_ACCOUNTS)}
    sellers = sorted({each[5] for each in posted})
    first_account = bulk.reserve("ledger_accounts", len(sellers) * len(SELLERS_ACCOUNTS))
    first_transaction = bulk.reserve("ledger_transactions", len(posted))
    # The id of each account of a seller, the number of its entries and its balance.
    chains: dict[tuple[str, str], list[int]] = {}
    for place, (seller, name) in enumerate((seller, name) for seller in sellers for name in SELLERS_ACCOUNTS):
        chains[seller, name] = [first_account + place, 0, 0]
        made.accounts.append(f"{first_account + place}\t{seller}\t{name}")
    for transaction, (_, _, reference, order_id, payout_id, seller, amounts, at, lines) in enumerate(
        posted, start=first_transaction
    ):
        made.transactions.append(f"{transaction}\t{reference}\t{order_id}\t{payout_id}\t{at}")
        price, commission, fee = amounts
        total = 0
        for account, is_sellers, kind, of_price, of_commission, of_fee in lines:
            amount = of_price * price + of_commission * commission + of_fee * fee
            total += amount
            if not amount:
                continue
            if is_sellers:
                chain = chains[seller, account]
                before = chain[2]
                chain[1] += 1
                chain[2] += amount
                made.entries.append(
                    f"{transaction}\t{chain[0]}\t{amount}e-2\t{kind}\t{chain[1]}\t{before}e-2\t{chain[2]}e-2"
                )
            else:
                made.entries.append(f"{transaction}\t{shared[account]}\t{amount}e-2\t{kind}\t{NULL}\t{NULL}\t{NULL}")
        if total:
            raise ValueError(f"the posting {reference} does not sum to zero")


def _at(milliseconds: int) -> str:
    """Return a time as PostgreSQL reads it; NULL for 0."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat() if milliseconds else NULL


def write(bulk: BulkLoad, made: OrderRows) -> None:
    """Store the rows in the caller's transaction."""
    bulk.copy(ORDERS, made.orders)
    bulk.copy(LINES, made.lines)
    bulk.copy(EVENTS, made.events)
    bulk.copy(PAYOUTS, made.payouts)
    bulk.copy(PAYOUT_ACCOUNTS, made.payout_accounts)
    bulk.copy(ACCOUNTS, made.accounts)
    bulk.without_triggers(CHECKED_AT_ONCE)
    bulk.copy(FEES, made.fees)
    bulk.copy(REFUNDS, made.refunds)
    bulk.copy(TRANSACTIONS, made.transactions)
    bulk.copy(ENTRIES, made.entries)
    # A foreign key of deferred checks would keep its table from being altered; all of these are checked by now.
    bulk.with_triggers(CHECKED_AT_ONCE)
