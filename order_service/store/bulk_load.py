"""Writes whole batches of orders, for `make load-data`: each with its history, its ledger postings and its records.

What a command writes for one order in several transactions, statements write here for all orders of a batch. The paths
and the postings are tables; `make check-books` compares the result with the rules of the domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from servicekit.bulk_load import BulkLoad, CopyInto
from servicekit.database import Statement

TABLES = (
    "orders", "order_events", "ledger_transactions", "ledger_entries", "provider_fees", "refunds", "payouts",
    "payout_accounts",
)  # fmt: skip
# Small indexes that the periodic tasks of a running OrderService read every second.
KEPT = (
    "orders_unanswered", "orders_unapproved", "orders_undelivered", "orders_lapsing", "orders_expiring",
    "orders_due_soon", "orders_auto_completing", "payouts_pending",
)  # fmt: skip
# Their triggers check every posting and note every change of an order; a batch does both at once.
CHECKED_AT_ONCE = ("provider_fees", "refunds", "ledger_transactions", "ledger_entries")

ORDERS = CopyInto(
    "loaded",
    "id, outcome, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, commission, fee,"
    " delivery_days, revisions, requirements, placed_at, accepted_at, delivered_at, ended_at, refund_id",
)
PAYOUTS = CopyInto("loaded_payouts", "id, seller_id, amount, destination, requested_at, paid_at")

# How an order ended, or where it stands: its status, version, payment status, number of postings.
OUTCOMES = """(VALUES
    ('completed',      'COMPLETED',   4, 'CAPTURED',   3),
    ('auto_completed', 'COMPLETED',   4, 'CAPTURED',   3),
    ('declined',       'CANCELLED',   2, 'VOIDED',     0),
    ('withdrawn',      'CANCELLED',   2, 'VOIDED',     0),
    ('expired',        'CANCELLED',   2, 'VOIDED',     0),
    ('cancelled',      'CANCELLED',   3, 'REFUNDED',   4),
    ('pending',        'PENDING',     1, 'AUTHORIZED', 0),
    ('in_progress',    'IN_PROGRESS', 2, 'CAPTURED',   2),
    ('delivered',      'DELIVERED',   3, 'CAPTURED',   2)
) AS outcomes (outcome, status, version, payment_status, postings)"""
# The rows of the history. The time is a column of `loaded`; a row without its time has not happened.
STEPS = """(VALUES
    ('{completed,auto_completed,cancelled,in_progress,delivered}'::text[],
                                    2, 'accept',        'seller', 'PENDING',     'IN_PROGRESS', 'Happy to help!'),
    ('{completed,auto_completed,delivered}',
                                    3, 'deliver',       'seller', 'IN_PROGRESS', 'DELIVERED',   'Here is your order.'),
    ('{completed}',                 4, 'complete',      'buyer',  'DELIVERED',   'COMPLETED',   'Thank you!'),
    ('{auto_completed}',            4, 'auto_complete', 'system', 'DELIVERED',   'COMPLETED',   ''),
    ('{declined}',                  2, 'decline',       'seller', 'PENDING',     'CANCELLED',   'No time, sorry.'),
    ('{withdrawn}',                 2, 'cancel',        'buyer',  'PENDING',     'CANCELLED',   'Changed my mind.'),
    ('{expired}',                   2, 'expire',        'system', 'PENDING',     'CANCELLED',   ''),
    ('{cancelled}',                 3, 'cancel',        'seller', 'IN_PROGRESS', 'CANCELLED',   'I cannot finish this.')
) AS steps (outcomes, version, action, by, came_from, went_to, message)"""
# The lines of each posting: account, whether it is the seller's, kind, and the parts of price, commission and fee.
LINES = """(VALUES
    ('capture',     1, 'escrow',            true,  NULL,          1, -1,  0),
    ('capture',     2, 'escrow_commission', false, NULL,          0,  1,  0),
    ('capture',     3, 'buyers',            false, NULL,         -1,  0,  0),
    ('fee',         1, 'fees_paid',         false, NULL,          0,  0,  1),
    ('fee',         2, 'fees',              false, NULL,          0,  0, -1),
    ('release',     1, 'available',         true,  'SALE',        1,  0,  0),
    ('release',     2, 'commission',        false, NULL,          0,  1,  0),
    ('release',     3, 'available',         true,  'COMMISSION',  0, -1,  0),
    ('release',     4, 'escrow',            true,  NULL,         -1,  1,  0),
    ('release',     5, 'escrow_commission', false, NULL,          0, -1,  0),
    ('cancel',      1, 'refunds_due',       false, NULL,          1,  0,  0),
    ('cancel',      2, 'escrow',            true,  NULL,         -1,  1,  0),
    ('cancel',      3, 'escrow_commission', false, NULL,          0, -1,  0),
    ('refund',      1, 'buyers',            false, NULL,          1,  0,  0),
    ('refund',      2, 'refunds_due',       false, NULL,         -1,  0,  0),
    ('payout',      1, 'available',         true,  'PAYOUT',     -1,  0,  0),
    ('payout',      2, 'paying_out',        true,  NULL,          1,  0,  0),
    ('payout_paid', 1, 'paying_out',        true,  NULL,         -1,  0,  0),
    ('payout_paid', 2, 'paid_out',          true,  NULL,          1,  0,  0)
) AS lines (posting, line, account, is_sellers, kind, of_price, of_commission, of_fee)"""

TEMPORARY = """
CREATE TEMPORARY TABLE loaded (
    id uuid, outcome text, buyer_id uuid, seller_id uuid, gig_id uuid, gig_title text, package_id uuid,
    package_title text, price numeric(12, 2), commission numeric(12, 2), fee numeric(12, 2), delivery_days integer,
    revisions integer, requirements text, placed_at timestamptz, accepted_at timestamptz, delivered_at timestamptz,
    ended_at timestamptz, refund_id uuid
) ON COMMIT DROP;
CREATE TEMPORARY TABLE loaded_payouts (
    id uuid, seller_id uuid, amount numeric(16, 2), destination text, requested_at timestamptz, paid_at timestamptz
) ON COMMIT DROP;
"""
INSERT_ORDERS = f"""
INSERT INTO orders (
    id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency,
    delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at,
    created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back,
    commission_percent, platform_refund, fees, postings
)
SELECT id, outcomes.version, outcomes.status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price,
    %(currency)s, delivery_days, revisions, requirements, 'sandbox',
    coalesce(accepted_at, placed_at) + make_interval(days => delivery_days), delivered_at, delivered_at, placed_at,
    coalesce(ended_at, delivered_at, accepted_at, placed_at), outcomes.payment_status, 'sandbox_' || id,
    placed_at + interval '7 days', CASE payment_status WHEN 'REFUNDED' THEN price ELSE 0 END,
    CASE payment_status WHEN 'REFUNDED' THEN price ELSE 0 END, 0, %(percent)s, 0,
    CASE WHEN accepted_at IS NULL THEN 0 ELSE fee END, outcomes.postings
FROM loaded JOIN {OUTCOMES} USING (outcome);
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message)
SELECT id, 1, placed_at, 'buyer', 'place', NULL, 'PENDING', '' FROM loaded
UNION ALL
SELECT id, steps.version, CASE action WHEN 'accept' THEN accepted_at WHEN 'deliver' THEN delivered_at ELSE ended_at END,
    by, action, came_from, went_to, message
FROM loaded JOIN {STEPS} ON loaded.outcome = ANY (steps.outcomes);
INSERT INTO payouts (id, seller_id, amount, currency, status, destination, reference, created_at, updated_at)
SELECT id, seller_id, amount, %(currency)s, 'PAID', destination, 'sandbox_' || id, requested_at, paid_at
FROM loaded_payouts;
INSERT INTO payout_accounts (seller_id, destination, updated_at)
SELECT seller_id, destination, requested_at FROM loaded_payouts ON CONFLICT DO NOTHING;
"""  # noqa: S608  # constants
INSERT_RECORDS = """
INSERT INTO provider_fees (id, order_id, amount, reported_at)
SELECT 'fee_sandbox_' || id, id, fee, accepted_at FROM loaded WHERE accepted_at IS NOT NULL;
INSERT INTO refunds (id, order_id, amount, state, provider_id, created_at)
SELECT refund_id, id, price, 'SUCCEEDED', 'refund_' || refund_id, ended_at FROM loaded WHERE refund_id IS NOT NULL;
"""
# Ledger transactions have the order of time, as they would have had.
POSTINGS = """
CREATE TEMPORARY TABLE postings ON COMMIT DROP AS
SELECT nextval(pg_get_serial_sequence('ledger_transactions', 'id')) AS id, in_order.* FROM (
    SELECT 'capture' AS posting, 'capture:' || id AS reference, id AS order_id, NULL::uuid AS payout_id, seller_id,
        accepted_at AS at, 1 AS rank, price, commission, fee
    FROM loaded WHERE accepted_at IS NOT NULL
    UNION ALL
    SELECT 'fee', 'report:' || id || ':2', id, NULL, seller_id, accepted_at, 2, price, commission, fee
    FROM loaded WHERE accepted_at IS NOT NULL
    UNION ALL
    SELECT 'release', 'release:' || id, id, NULL, seller_id, ended_at, 3, price, commission, fee
    FROM loaded WHERE outcome IN ('completed', 'auto_completed')
    UNION ALL
    SELECT 'cancel', 'cancel:' || id, id, NULL, seller_id, ended_at, 3, price, commission, fee
    FROM loaded WHERE outcome = 'cancelled'
    UNION ALL
    SELECT 'refund', 'report:' || id || ':4', id, NULL, seller_id, ended_at, 4, price, commission, fee
    FROM loaded WHERE outcome = 'cancelled'
    UNION ALL
    SELECT 'payout', 'payout:' || id, NULL, id, seller_id, requested_at, 5, amount, 0, 0 FROM loaded_payouts
    UNION ALL
    SELECT 'payout_paid', 'payout-paid:' || id, NULL, id, seller_id, paid_at, 6, amount, 0, 0 FROM loaded_payouts
    ORDER BY at, rank, reference
) AS in_order;
INSERT INTO ledger_transactions (id, reference, order_id, payout_id, at) OVERRIDING SYSTEM VALUE
SELECT id, reference, order_id, payout_id, at FROM postings ORDER BY id;
INSERT INTO ledger_accounts (owner, name)
SELECT owner, name FROM (SELECT DISTINCT seller_id AS owner FROM postings) AS owners,
    unnest(ARRAY['available', 'escrow', 'paid_out', 'paying_out']) AS name
ORDER BY owner, name ON CONFLICT DO NOTHING;
"""
ENTRIES = f"""
CREATE TEMPORARY TABLE entries ON COMMIT DROP AS
SELECT postings.id AS transaction_id, line, account, kind, CASE WHEN is_sellers THEN seller_id END AS owner,
    of_price * price + of_commission * commission + of_fee * fee AS amount
FROM postings JOIN {LINES} USING (posting)
WHERE of_price * price + of_commission * commission + of_fee * fee <> 0;
ANALYZE entries;
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind)
SELECT transaction_id, accounts.id, amount, kind
FROM entries JOIN ledger_accounts AS accounts ON accounts.name = account AND accounts.owner IS NULL
WHERE entries.owner IS NULL ORDER BY transaction_id, line;
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance)
SELECT transaction_id, accounts.id, amount, kind, row_number() OVER chain, sum(amount) OVER chain - amount,
    sum(amount) OVER chain
FROM entries JOIN ledger_accounts AS accounts ON accounts.owner = entries.owner AND accounts.name = account
WINDOW chain AS (PARTITION BY accounts.id ORDER BY transaction_id, line ROWS UNBOUNDED PRECEDING);
"""  # noqa: S608  # constants
UNBALANCED = Statement("SELECT 1 FROM entries GROUP BY transaction_id HAVING sum(amount) <> 0 LIMIT 1")


@dataclass(frozen=True, slots=True)
class OrderRows:
    """The orders and payouts of a batch: lines of COPY's text format, with the columns above.

    All orders of a seller are in one batch. The outcome is one of OUTCOMES; `commission` is that of the whole price,
    `fee` the provider's. Times are NULL for what has not happened.
    """

    orders: Sequence[str]
    payouts: Sequence[str]
    currency: str
    commission_percent: str


def write(bulk: BulkLoad, rows: OrderRows) -> None:
    """Store the rows and all that belongs to them, in the caller's transaction.

    Raises ValueError when a posting does not sum to zero.
    """
    database = bulk.database
    database.execute(TEMPORARY)
    bulk.copy(ORDERS, rows.orders)
    bulk.copy(PAYOUTS, rows.payouts)
    database.execute("ANALYZE loaded; ANALYZE loaded_payouts")
    database.execute(INSERT_ORDERS, {"currency": rows.currency, "percent": rows.commission_percent})
    bulk.without_triggers(CHECKED_AT_ONCE)
    database.execute(INSERT_RECORDS)
    database.execute(POSTINGS)
    database.execute("ANALYZE postings")
    database.execute(ENTRIES)
    if database.fetch_all(UNBALANCED):
        raise ValueError("a posting of the load does not sum to zero")
    # A foreign key of deferred checks would keep its table from being altered; all of these are checked by now.
    bulk.with_triggers(CHECKED_AT_ONCE)
