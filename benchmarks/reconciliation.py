"""`python -m benchmarks.reconciliation`: the daily check of the books, over orders that were all placed in the window.

It fills OrderService's and the sandbox's databases with completed orders, of which a tenth was refunded in part, and
with a payout of each seller; then it runs the default window, as `make check-books` does, and the money report. The
bound is 300 seconds for a million orders. The machine's other work counts in seconds, and not in CPU seconds.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psutil

from deploy.local.postgres import SUPERUSER, database_url
from order_service.payments.sandbox.gateway import Sandbox
from order_service.reconciliation import reconcile
from order_service.reconciliation.findings import text
from order_service.store.money_report import MoneyReport
from servicekit.database import Database
from servicekit.progress import ShownProgress
from tests.support.postgres import PostgresServer

BOUND_SECONDS_PER_MILLION = 300
ORDERS_PER_SELLER = 100

# Order number n, placed within the last 23 hours, with an id of version 7 that says so. A tenth is refunded in part.
ORDERS = """
CREATE UNLOGGED TABLE bench AS
SELECT n, at, price, refund,
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid AS id,
    lpad(to_hex(n / {per_seller}), 32, 'a')::uuid AS seller,
    round(price * 0.1, 2) AS commission, round((price - refund) * 0.1, 2) AS earned,
    round(price * 0.029 + 0.30, 2) AS fee
FROM (
    SELECT n, timestamptz '{begin}' + n * interval '23 hours' / {orders} AS at,
        5.99 + n % 500 AS price, CASE WHEN n % 10 = 0 THEN 1.00 ELSE 0.00 END AS refund
    FROM generate_series(0, {orders} - 1) AS n
) AS numbers;
"""

OWN = """
INSERT INTO orders (
    id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency,
    delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at,
    created_at, updated_at, changed_at, payment_status, payment_reference, capture_before, refund_due, refunded,
    charged_back, commission_percent, fees, postings
)
SELECT id, CASE WHEN refund > 0 THEN 5 ELSE 4 END, 'COMPLETED', gen_random_uuid(), seller, seller, 'Website', seller,
    'Basic', price, 'USD', 14, 1, repeat('Need dark theme. ', 20), 'stripe', at, at, at, at, at, at,
    CASE WHEN refund > 0 THEN 'PARTIALLY_REFUNDED' ELSE 'CAPTURED' END, 'sandbox_' || id, at, refund, refund, 0, 10,
    fee, CASE WHEN refund > 0 THEN 4 ELSE 3 END
FROM bench;

INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message)
SELECT id, step.version, at, step.by, step.action, step.came_from, step.went_to, ''
FROM bench CROSS JOIN (VALUES
    (NULL, 1, 'buyer', 'place', NULL, 'PENDING'),
    (NULL, 2, 'seller', 'accept', 'PENDING', 'IN_PROGRESS'),
    (NULL, 3, 'seller', 'deliver', 'IN_PROGRESS', 'DELIVERED'),
    (false, 4, 'buyer', 'complete', 'DELIVERED', 'COMPLETED'),
    (true, 4, 'buyer', 'dispute', 'DELIVERED', 'DISPUTED'),
    (true, 5, 'admin', 'resolve', 'DISPUTED', 'COMPLETED')
) AS step (is_refunded, version, by, action, came_from, went_to)
WHERE step.is_refunded IS NULL OR step.is_refunded = (refund > 0);

INSERT INTO refunds (id, order_id, amount, state, provider_id, created_at)
SELECT id, id, refund, 'SUCCEEDED', 'refund_' || id, at FROM bench WHERE refund > 0;
INSERT INTO provider_fees (id, order_id, amount, reported_at) SELECT 'fee_' || id, id, fee, at FROM bench;

CREATE UNLOGGED TABLE bench_payouts AS
SELECT seller AS id, seller, max(n) AS n, max(at) AS at, sum(price - refund - earned) AS amount
FROM bench GROUP BY seller;
INSERT INTO payouts (
    id, seller_id, amount, currency, status, destination, reference, created_at, updated_at, changed_at
)
SELECT id, seller, amount, 'USD', 'PAID', '', 'sandbox_' || id, at, at, at FROM bench_payouts;

ANALYZE bench, bench_payouts;
INSERT INTO ledger_accounts (owner, name)
SELECT seller, name FROM bench_payouts, unnest('{{escrow,available,paying_out,paid_out}}'::text[]) AS name;
ANALYZE ledger_accounts;

INSERT INTO ledger_transactions (id, reference, order_id, at) OVERRIDING SYSTEM VALUE
SELECT 6 * n + step, (ARRAY['capture:', 'fee:', 'release:', 'refund:'])[step] || id, id, at
FROM bench, generate_series(1, 4) AS step WHERE step < 4 OR refund > 0;
INSERT INTO ledger_transactions (id, reference, payout_id, at) OVERRIDING SYSTEM VALUE
SELECT 6 * n + step, (ARRAY['payout:', 'payout-paid:'])[step - 4] || id, id, at
FROM bench_payouts, generate_series(5, 6) AS step;

WITH lines AS (
    SELECT 6 * n + step AS transaction_id, place, name, CASE WHEN is_sellers THEN seller END AS owner, kind, amount
    FROM bench CROSS JOIN LATERAL (VALUES
        (1, 1, false, 'buyers', NULL, -price),
        (1, 2, true, 'escrow', NULL, price - commission),
        (1, 3, false, 'escrow_commission', NULL, commission),
        (2, 1, false, 'fees_paid', NULL, fee),
        (2, 2, false, 'fees', NULL, -fee),
        (3, 1, true, 'available', 'SALE', price),
        (3, 2, false, 'commission', NULL, earned),
        (3, 3, false, 'refunds_due', NULL, refund),
        (3, 4, true, 'available', 'REFUND', -refund),
        (3, 5, true, 'available', 'COMMISSION', -earned),
        (3, 6, true, 'escrow', NULL, commission - price),
        (3, 7, false, 'escrow_commission', NULL, -commission),
        (4, 1, false, 'buyers', NULL, refund),
        (4, 2, false, 'refunds_due', NULL, -refund)
    ) AS line (step, place, is_sellers, name, kind, amount)
    WHERE amount <> 0
    UNION ALL
    SELECT 6 * n + step, place, name, seller, kind, line.amount
    FROM bench_payouts CROSS JOIN LATERAL (VALUES
        (5, 1, 'paying_out', NULL, amount), (5, 2, 'available', 'PAYOUT', -amount),
        (6, 1, 'paid_out', NULL, amount), (6, 2, 'paying_out', NULL, -amount)
    ) AS line (step, place, name, kind, amount)
)
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance)
SELECT transaction_id, account.id, amount, kind,
    CASE WHEN lines.owner IS NOT NULL THEN row_number() OVER chain END,
    CASE WHEN lines.owner IS NOT NULL THEN sum(amount) OVER chain - amount END,
    CASE WHEN lines.owner IS NOT NULL THEN sum(amount) OVER chain END
FROM lines JOIN ledger_accounts AS account
-- Not `IS NOT DISTINCT FROM`, by which nothing can be hashed.
ON account.name = lines.name AND coalesce(account.owner::text, '') = coalesce(lines.owner::text, '')
WINDOW chain AS (PARTITION BY account.id ORDER BY transaction_id, place ROWS UNBOUNDED PRECEDING)
ORDER BY transaction_id, place;

INSERT INTO reconciliation_runs (until, is_explicit, started_at, finished_at, differences, clean_until)
SELECT at, false, at, at, 0, at FROM bench WHERE n = 0;
"""

SANDBOX = """
INSERT INTO payments (order_id, reference, token, amount, currency, state, held_until, created_at)
SELECT id, 'sandbox_' || id, '', price, 'USD', 'CAPTURED', at + interval '7 days', at - interval '50 ms' FROM bench;
INSERT INTO fees (id, order_id, amount) SELECT 'fee_' || id, id, fee FROM bench;
INSERT INTO refunds (id, refund_id, order_id, amount, state)
SELECT 'refund_' || id, id, id, refund, 'SUCCEEDED' FROM bench WHERE refund > 0;
INSERT INTO payouts (payout_id, reference, amount, currency, destination, created_at)
SELECT seller, 'sandbox_' || seller, sum(price - refund - earned), 'USD', '', max(at) FROM bench GROUP BY seller;
"""


def fill(server: PostgresServer, url: str, sql: str, orders: int, begin: datetime) -> None:
    """Run SQL as the superuser, without the triggers that check each row: the check has to find what is wrong."""
    database = Database(database_url(server.layout, urlsplit(url).path.removeprefix("/"), SUPERUSER))
    database.execute("SET statement_timeout = 0")
    database.execute("SET session_replication_role = replica")
    database.execute(
        (ORDERS + sql).format(orders=orders, per_seller=ORDERS_PER_SELLER, begin=begin).replace("%", "%%"), ()
    )
    for table in ("bench", "bench_payouts"):
        database.execute(f"DROP TABLE IF EXISTS {table}")
    database.execute("VACUUM ANALYZE")
    database.close()


def server_cpu(server: PostgresServer) -> float:
    """Return the CPU seconds of the server's processes that run now."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def main() -> int:
    """Run the benchmark. Return 0 when the check finds no difference within its bound."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--orders", type=int, default=100_000, help="the orders of the window")
    orders = parser.parse_args().orders
    server = PostgresServer()
    server.start()
    try:
        urls = {name: server.fresh(name) for name in ("order", "sandbox")}
        print(f"Filling the databases with {orders:,} orders …", flush=True)
        began = time.monotonic()
        placed_from = datetime.now(UTC) - timedelta(hours=24)
        fill(server, urls["order"], OWN, orders, placed_from)
        fill(server, urls["sandbox"], SANDBOX, orders, placed_from)
        print(f"… {time.monotonic() - began:.0f} s", flush=True)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cpu, own_server_cpu, began = time.process_time(), server_cpu(server), time.monotonic()
        findings = reconcile(Database(urls["order"]), Sandbox(Database(urls["sandbox"])), progress=ShownProgress())
        seconds, own_cpu = time.monotonic() - began, time.process_time() - cpu
        print(text(findings))
        print(
            f"{seconds:.1f} s, {findings.orders / seconds:,.0f} orders a second; CPU {own_cpu:.1f} s here,"
            f" {server_cpu(server) - own_server_cpu:.1f} s in PostgreSQL"
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"peak memory {peak / 1024:.0f} MiB, {memory / 1024:.0f} MiB before the check")
        began, days = time.monotonic(), (placed_from.date(), datetime.now(UTC).date())
        MoneyReport(Database(urls["order"])).movements(*days)
        print(f"the money report of these days: {time.monotonic() - began:.1f} s")
    finally:
        server.stop()
    bound = BOUND_SECONDS_PER_MILLION * orders / 1_000_000
    is_right = not findings.differences and findings.orders == orders
    print("within the bound" if seconds <= bound and is_right else f"not within the bound of {bound:.0f} s")
    return int(not is_right or seconds > bound)


if __name__ == "__main__":
    sys.exit(main())
