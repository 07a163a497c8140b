"""`python -m benchmarks.balance`: what a seller's balance costs with 1,000 entries in the ledger, and with 1,000,000.

The balance is a sum of entries and is stored nowhere. It must not cost more the longer a seller has been there: the
ratio should be at most 2. Both are read in alternation within one run, from a PostgreSQL of its own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from uuid import UUID, uuid4

from order_service.store.ledger import START, Ledger
from servicekit.database import Database
from tests.support.postgres import PostgresServer

SMALL = 1_000
BOUND = 2.0

# As sales come in, each a transaction of its own with its commission; the database checks every one of them.
SALES = """
WITH opened AS (
    INSERT INTO ledger_accounts (owner, name) VALUES (%(seller)s, 'available') RETURNING id
), sales AS (
    INSERT INTO ledger_transactions (reference, order_id, at)
    SELECT 'bench:' || %(seller)s::text || ':' || number, gen_random_uuid(), app_now()
    FROM generate_series(1, %(entries)s) AS number
    RETURNING id, split_part(reference, ':', 3)::bigint AS number
), credits AS (
    INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance)
    SELECT sales.id, opened.id, 1, 'SALE', number, number - 1, number FROM sales, opened ORDER BY number
)
INSERT INTO ledger_entries (transaction_id, account_id, amount)
SELECT id, (SELECT id FROM ledger_accounts WHERE name = 'buyers'), -1 FROM sales
"""


def fill(database: Database, entries: int) -> UUID:
    """Make a seller with so many entries. It takes a minute for a million: every check is made."""
    seller = uuid4()
    database.execute("SET statement_timeout = 0")
    database.execute(SALES, {"seller": seller, "entries": entries})
    return seller


def milliseconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def compare(name: str, small: Callable[[], object], large: Callable[[], object], rounds: int) -> float:
    """Time both in alternation and print their medians. Return the ratio of the large one to the small one."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for kept, work in zip(times, (small, large), strict=True):
            kept.append(milliseconds(work))
    first, second = map(statistics.median, times)
    print(f"{name:<24} {first:8.3f} ms {second:8.3f} ms   ratio {second / first:.2f}")
    return second / first


def main() -> int:
    """0 when the ratio of the balances is within its bound."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of the large seller")
    parser.add_argument("--rounds", type=int, default=2_000, help="how often each is read")
    arguments = parser.parse_args()
    server = PostgresServer()
    server.start()
    try:
        database = Database(server.fresh("order"))
        print(f"Filling a ledger with {SMALL:,} and {arguments.entries:,} entries of two sellers …", flush=True)
        began = time.perf_counter()
        small, large = fill(database, SMALL), fill(database, arguments.entries)
        database.execute("ANALYZE")
        seconds = time.perf_counter() - began
        print(f"… {seconds:.0f} s, {2 * (SMALL + arguments.entries) / seconds:,.0f} entries a second, each checked")
        ledger = Ledger(database)
        assert [int(ledger.balance(seller).available) for seller in (small, large)] == [SMALL, arguments.entries]
        print(f"{'median of ' + format(arguments.rounds, ','):<24} {SMALL:>11,} {arguments.entries:>11,}")
        ratio = compare("balance", lambda: ledger.balance(small), lambda: ledger.balance(large), arguments.rounds)
        compare(
            "first page of entries",
            lambda: ledger.entries(small, after=START, limit=20),
            lambda: ledger.entries(large, after=START, limit=20),
            arguments.rounds,
        )
        database.close()
    finally:
        server.stop()
    print("within the bound" if ratio <= BOUND else f"above the bound of {BOUND}")
    return int(ratio > BOUND)


if __name__ == "__main__":
    sys.exit(main())
