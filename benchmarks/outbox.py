"""`python -m benchmarks.outbox`: deliveries of the outbox beside each other, and the cost of a claim.

It measures how long payouts of half a second a call take on two relay processes (10,000 by default, or `--payouts N`
and an extrapolation), how long a fast void and a payout wait behind 24 slow voids, and a claim in an outbox that fills
at once, before and after ANALYZE. The claims' statements are prepared while the outbox is empty.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from order_service.store.orders import PAYMENTS
from order_service.store.payouts import PAYOUTS
from order_service.workers.outbox_topics import PAYMENTS_AT_ONCE, PAYOUTS_AT_ONCE
from servicekit.database import Database, Statement
from servicekit.outbox import Message, Relay, Topic
from servicekit.outbox.rows import Rows
from tests.support.eventually import eventually
from tests.support.outbox import write
from tests.support.postgres import PostgresServer, url_of

WORKERS = 2
CALL_SECONDS = 0.5
PAYOUTS_BOUND = 600.0
PAYOUTS_IN_BOUND = 10_000
SLOW_VOIDS = 24
WAIT_BOUND = 2.0
ROWS = 100_000
CLAIMS = 100
CLAIM_BOUND_MS = 5.0
# The outboxes that fill at once: the key of row n, the seconds until it is due, and whether it is parked.
SHAPES = {
    "a key each": ("'k' || n", "0", "false"),
    "four keys": ("'k' || n % 4", "0", "false"),
    "half of it one key": ("CASE WHEN n <= 50000 THEN 'long' ELSE 'k' || n END", "0", "false"),
    "put off but 100": ("'k' || n", "CASE WHEN n <= 99900 THEN 3600 ELSE 0 END", "false"),
    "parked but 100": ("'k' || n", "0", "n <= 99900"),
}
WAITING = Statement("SELECT count(*) AS waiting FROM outbox")


@contextmanager
def fresh(server: PostgresServer) -> Iterator[Database]:
    """Yield a fresh database of OrderService."""
    database = Database(server.fresh("order"), statement_timeout_ms=60_000)
    yield database
    database.close()


def fill(database: Database, shape: str) -> None:
    """Commit the rows of a shape, in one statement."""
    key, due_in, is_parked = SHAPES[shape]
    database.fetch_all(
        Statement(f"""
            INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at, parked_at)
            SELECT '{PAYOUTS}', {key}, n, '{{}}', app_now(), app_now() + ({due_in}) * '1 s'::interval,
                CASE WHEN {is_parked} THEN app_now() END
            FROM generate_series(1, {ROWS}) AS n
        """)
    )


def claim(rows: Rows) -> tuple[float, bool]:
    """Claim as many rows as a worker delivers at once. Returns the milliseconds, and whether rows were marked."""
    began = time.perf_counter()
    claims, next_seconds = rows.claim(PAYOUTS, PAYOUTS_AT_ONCE, (), newest_only=False)
    took = (time.perf_counter() - began) * 1000
    rows.release(claims)
    return took, next_seconds == 0.0


def measure_claims(server: PostgresServer) -> float:
    """Print the milliseconds of claims in each shape. Returns the longest median.

    The first claims mark the rows that wait behind others of their key, once; they are counted apart.
    """
    longest = 0.0
    for shape in SHAPES:
        with fresh(server) as database:
            rows = Rows(database)
            rows.prepare(())
            for _ in range(10):
                claim(rows)
            fill(database, shape)
            first = [claim(rows)]
            while first[-1][1]:
                first.append(claim(rows))
            before = [claim(rows)[0] for _ in range(CLAIMS)]
            database.execute("ANALYZE outbox")
            after = [claim(rows)[0] for _ in range(CLAIMS)]
        medians = statistics.median(before), statistics.median(after)
        longest = max(longest, *medians)
        marking = [took for took, has_marked in first if has_marked]
        print(
            f"claim, {shape + ':':<20} fresh {medians[0]:.2f} ms, analyzed {medians[1]:.2f} ms (the longest of"
            f" {CLAIMS}: {max(before):.1f} and {max(after):.1f}); before, {len(marking)} claims marked rows, in"
            f" {sum(marking):.0f} ms"
        )
    return longest


def measure_wait(server: PostgresServer) -> float:
    """Return the longest wait of a fast void and of a payout behind slow voids, in two relays."""
    ended: dict[str, float] = {}

    def deliver(message: Message) -> None:
        if message.key.startswith("slow"):
            time.sleep(CALL_SECONDS)
        ended[message.key] = time.monotonic()

    topics = {
        PAYMENTS: Topic(deliver, concurrency=PAYMENTS_AT_ONCE),
        PAYOUTS: Topic(deliver, concurrency=PAYOUTS_AT_ONCE),
    }
    with fresh(server) as database, ExitStack() as stack:
        for relay in [Relay(database, topics) for _ in range(WORKERS)]:
            relay.start()
            stack.callback(relay.stop)
        write(database, *((f"slow {number}", 1) for number in range(SLOW_VOIDS)), topic=PAYMENTS)
        began = time.monotonic()
        write(database, ("fast", 1), topic=PAYMENTS)
        write(database, ("payout", 1), topic=PAYOUTS)
        eventually(lambda: len(ended) == SLOW_VOIDS + 2)
    waits = {key: ended[key] - began for key in ("fast", "payout")}
    print(
        f"behind {SLOW_VOIDS} voids of {CALL_SECONDS} s: a fast void waits {waits['fast']:.2f} s, a payout"
        f" {waits['payout']:.3f} s, bound {WAIT_BOUND} s"
    )
    return max(waits.values())


def run_relay(url: str) -> None:
    """Deliver payouts until the process is ended."""
    relay = Relay(
        Database(url), {PAYOUTS: Topic(lambda message: time.sleep(CALL_SECONDS), concurrency=PAYOUTS_AT_ONCE)}
    )
    relay.start()
    threading.Event().wait()


def measure_payouts(server: PostgresServer, count: int) -> float:
    """Return the seconds that 10,000 payouts take on two relay processes, measured with `count`."""
    context = multiprocessing.get_context("spawn")
    with fresh(server) as database:
        write(database, *((f"payout {number}", 1) for number in range(count)), topic=PAYOUTS)
        processes = [context.Process(target=run_relay, args=(url_of(database),), daemon=True) for _ in range(WORKERS)]
        for process in processes:
            process.start()

        def waiting() -> int:
            row = database.fetch_one(WAITING)
            return int(row["waiting"]) if row else 0

        try:
            # Without the time in which the processes start.
            eventually(lambda: waiting() < count)
            began = time.monotonic()
            eventually(lambda: not waiting(), seconds=PAYOUTS_BOUND * 2, every=0.2)
            took = time.monotonic() - began
        finally:
            for process in processes:
                process.kill()
                process.join()
    whole = took * PAYOUTS_IN_BOUND / count
    print(
        f"{count} payouts of {CALL_SECONDS} s on {WORKERS} workers with {PAYOUTS_AT_ONCE} at once: {took:.1f} s;"
        f" {PAYOUTS_IN_BOUND} take {whole:.0f} s, bound {PAYOUTS_BOUND:.0f} s"
    )
    return whole


def main() -> int:
    """Return 0 when nothing takes longer than its bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outbox")
    parser.add_argument("--payouts", type=int, default=PAYOUTS_IN_BOUND, help="how many to deliver (five minutes)")
    arguments = parser.parse_args()
    server = PostgresServer()
    try:
        server.start()
        claims = measure_claims(server)
        wait = measure_wait(server)
        payouts = measure_payouts(server, arguments.payouts)
    finally:
        server.stop()
    return int(claims > CLAIM_BOUND_MS or wait > WAIT_BOUND or payouts > PAYOUTS_BOUND)


if __name__ == "__main__":
    sys.exit(main())
