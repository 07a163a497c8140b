"""`python -m benchmarks.order_timeouts`: 3,000 orders that are due at once, and what requests beside them wait.

The orders belong to 30 sellers and were delivered in turn, so workers meet at every seller's ledger accounts. Seven
processes complete them, as seven workers of OrderService do, and each makes requests of the same sellers meanwhile: a
balance, a payout, or the completion of another order by its buyer. There must be no deadlock, and no request may take
half a second. The PostgreSQL is the benchmark's own.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from multiprocessing.synchronize import Barrier, Event
from uuid import UUID

import structlog

from order_service.commands.change_order import ChangeOrder
from order_service.commands.request_payout import RequestPayout
from order_service.commands.time_out_order import TimeOutOrder
from order_service.domain.lifecycle import Action, Command, end_capture, move
from order_service.domain.order import Party
from order_service.domain.settlement import begin_capture
from order_service.store.store import Store
from order_service.worker import TIMEOUTS_SECONDS
from order_service.workers.order_timeouts import OrderTimeouts
from servicekit.call import Caller
from servicekit.clock import Clock
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.support.orders import BUYER, TIMEOUTS, a_placing, store_new
from tests.support.postgres import PostgresServer

BOUND_SECONDS = 0.5
# The orders that buyers complete themselves: so many for each that is due.
SHARE_OF_REQUESTS = 0.1
PAUSE_SECONDS = 0.05
COMPLETE = "CompleteOrder"

LEFT = Statement("""
    SELECT count(*) AS number FROM orders
    WHERE status = 'DELIVERED' AND last_delivered_at <= app_now() - interval '72 hours'
""")
DEADLOCKS = Statement("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
# Durations in seconds by the kind of the request; a failed one has the name of its error in its kind.
Durations = dict[str, list[float]]


def add_delivered_order(store: Store, seller_id: UUID, now: datetime) -> UUID:
    """Store an order that was placed, captured and delivered now. Return its id."""
    placing = a_placing(now, seller_id=seller_id)
    store_new(store, placing)
    accepted = end_capture(begin_capture(placing.order), Command(Action.ACCEPT), now)
    seller = frozenset({Party.SELLER})
    delivered = move(accepted.order, Command(Action.DELIVER, "Done"), seller, now=now, timeouts=TIMEOUTS)
    with store.transaction("filled"):
        store.orders.save(accepted, now)
        store.orders.save(delivered, now)
    return placing.order.id


def fill(store: Store, sellers: list[UUID], number: int) -> list[UUID]:
    """Store so many delivered orders, of one seller after the other. Return their ids."""
    ids: list[UUID] = []
    while len(ids) < number:
        now = store.now()
        for offset, seller in enumerate(sellers[: number - len(ids)]):
            ids.append(add_delivered_order(store, seller, now + timedelta(microseconds=offset)))
    return ids


def requests(store: Store, sellers: list[UUID], orders: list[UUID]) -> dict[str, Callable[[], object]]:
    """Return the requests by their kinds. Each call makes one, of a random seller."""
    payout = RequestPayout(store, "USD", needs_account=False)
    change = ChangeOrder(store, TIMEOUTS)
    buyer = Caller(BUYER)

    def complete() -> object:
        return change.execute(orders.pop(), Command(Action.COMPLETE), buyer)

    return {
        "GetBalance": lambda: store.ledger.balance(random.choice(sellers)),
        "RequestPayout": lambda: payout.execute(random.choice(sellers), Decimal("0.01")),
        COMPLETE: complete,
    }


def measure(kinds: dict[str, Callable[[], object]], orders: list[UUID], stop: Event) -> Durations:
    """Make one request after the other until `stop`, as long as there are orders for it. Return their durations."""
    durations: Durations = defaultdict(list)
    while not stop.is_set():
        for kind, request in kinds.items():
            if kind == COMPLETE and not orders:
                continue
            began, name = time.perf_counter(), kind
            try:
                request()
            except Exception as error:
                name = f"{kind}: {type(error).__name__}"
            durations[name].append(time.perf_counter() - began)
            stop.wait(PAUSE_SECONDS * random.uniform(0.5, 1.5))
    return dict(durations)


def work(
    url: str,
    sellers: list[UUID],
    orders: list[UUID],
    ready: Barrier,
    stop: Event,
    results: multiprocessing.SimpleQueue[Durations],
) -> None:
    """Do a worker's part: order timeouts in one thread, requests in another."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    database = Database(url)
    store = Store(database)
    order_timeouts = OrderTimeouts(store, TimeOutOrder(store, TIMEOUTS), TIMEOUTS)

    def move_due() -> None:
        while not stop.wait(TIMEOUTS_SECONDS * random.random()):
            order_timeouts.move_due()
        database.close()

    ready.wait()
    thread = threading.Thread(target=move_due)
    thread.start()
    results.put(measure(requests(store, sellers, orders), orders, stop))
    thread.join()


def run(database: Database, url: str, *, workers: int, number: int, sellers: list[UUID]) -> tuple[float, Durations]:
    """Let so many processes move the orders. Return the seconds, and the durations of the requests beside it."""
    store, clock = Store(database), Clock(database)
    for order_id in fill(store, sellers, len(sellers)):
        # A balance for the payouts.
        ChangeOrder(store, TIMEOUTS).execute(order_id, Command(Action.COMPLETE), Caller(BUYER))
    fill(store, sellers, number)
    clock.travel(timedelta(hours=71))
    others = fill(store, sellers, int(number * SHARE_OF_REQUESTS))
    database.execute("ANALYZE")
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Barrier(workers + 1), context.Event()
    results: multiprocessing.SimpleQueue[Durations] = context.SimpleQueue()
    shares = [others[index::workers] for index in range(workers)]
    processes = [
        context.Process(target=work, args=(url, sellers, share, ready, stop, results), daemon=True) for share in shares
    ]
    for process in processes:
        process.start()
    ready.wait()
    clock.travel(timedelta(hours=1))
    began = time.perf_counter()
    while database.fetch_all(LEFT)[0]["number"]:
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    stop.set()
    durations: Durations = defaultdict(list)
    for _ in processes:
        for kind, values in results.get().items():
            durations[kind] += values
    for process in processes:
        process.join(30)
    return seconds, dict(durations)


def main() -> int:
    """Return 0 when there is no deadlock and every request is answered within its bound."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--workers", type=int, default=7, help="processes that move orders")
    parser.add_argument("--orders", type=int, default=3_000, help="orders that are due")
    parser.add_argument("--sellers", type=int, default=30, help="sellers that they belong to")
    arguments = parser.parse_args()
    server = PostgresServer()
    server.start()
    try:
        url = server.fresh("order")
        database = Database(url)
        sellers = [new_id() for _ in range(arguments.sellers)]
        seconds, durations = run(database, url, workers=arguments.workers, number=arguments.orders, sellers=sellers)
        # PostgreSQL publishes a session's statistics when it has been idle for a second, or has ended.
        time.sleep(1.5)
        deadlocks = database.fetch_all(DEADLOCKS)[0]["deadlocks"]
        database.close()
    finally:
        server.stop()
    print(
        f"{arguments.workers} workers moved {arguments.orders:,} orders of {arguments.sellers} sellers: {seconds:.1f} s"
    )
    print(f"deadlocks {deadlocks}")
    for kind, values in sorted(durations.items()):
        values.sort()
        median, p99 = values[len(values) // 2], values[int(len(values) * 0.99)]
        print(
            f"{kind:<28} {len(values):>6,} requests, median {median:.3f} s, p99 {p99:.3f} s, slowest {values[-1]:.3f} s"
        )
    slowest = max(max(values) for values in durations.values())
    failed = [kind for kind in durations if ":" in kind]
    print(f"slowest request {slowest:.3f} s, bound {BOUND_SECONDS} s; failed: {', '.join(failed) or 'none'}")
    return int(bool(deadlocks or failed or slowest > BOUND_SECONDS))


if __name__ == "__main__":
    sys.exit(main())
