"""`python -m benchmarks.growth [--minutes 10] [--rate 40]`: whether a process of the stack grows under mixed load.

A stack of its own gets a fixed rate of requests: pages of gigs, searches, lists of orders, whole lives of orders, new
gigs, and a fifth of everything that is refused. The memory of each process is read every ten seconds. The last third
of the time counts, when pools and caches are full: the slope of a line through its points, in MB a minute. The status
is 1 when a process grows faster than that by more than 1.

The memory is what a process has for itself (`RssAnon`): neither files nor the buffers that
PostgreSQL's processes share.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from statistics import linear_regression
from typing import Any

import httpx
import psutil

from tests.support.stack import UNLIMITED_WRITES, Stack
from tests.support.story import Market, a_gig

LIMIT_MB_PER_MINUTE = 1.0
EVERY_SECONDS = 10.0
SENDERS = 8
GIGS = 200
WORDS = ("website", "logo", "translation", "video", "music", "websiet", "für", "c++")
_chance = Random(18)
SORTS = ("rating", "price", "-price", "newest")


class Traffic:
    """Requests of all kinds, drawn by their share. Each method sends some, and may be called from any thread."""

    def __init__(self, stack: Stack) -> None:
        self._people = [Market.of(stack) for _ in range(4)]
        self._gigs = [
            _chance.choice(self._people).gig(title=f"{_chance.choice(WORDS)} number {number}") for number in range(GIGS)
        ]
        self._forged = {"authorization": "Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJtYWxsb3J5In0.c2lnbmF0dXJl"}
        self.statuses: Counter[int] = Counter()
        self._shares: list[tuple[int, Callable[[Market], list[httpx.Response]]]] = [
            (30, self._page),
            (20, self._search),
            (10, self._own_orders),
            (12, self._life_of_an_order),
            (4, self._new_gig),
            (24, self._refused),
        ]

    def send(self) -> None:
        """Send the requests of one kind."""
        weights = [share for share, _ in self._shares]
        [(_, kind)] = _chance.choices(self._shares, weights)
        try:
            for response in kind(_chance.choice(self._people)):
                self.statuses[response.status_code] += 1
        except httpx.HTTPError:
            self.statuses[0] += 1

    def _path(self) -> str:
        return f"/api/gigs/{_chance.choice(self._gigs)['id']}"

    def _page(self, people: Market) -> list[httpx.Response]:
        return [_chance.choice((people.anyone, people.buyer)).get(self._path())]

    def _search(self, people: Market) -> list[httpx.Response]:
        query: dict[str, Any] = {"sort": _chance.choice(SORTS), "minPrice": _chance.randrange(400)}
        if _chance.random() < 0.5:
            query["q"] = f"{_chance.choice(WORDS)} {_chance.randrange(1000)}"
        return [people.buyer.get("/api/gigs", params=query)]

    def _own_orders(self, people: Market) -> list[httpx.Response]:
        return [people.buyer.get("/api/orders"), people.seller.get("/api/orders", params={"role": "seller"})]

    def _life_of_an_order(self, people: Market) -> list[httpx.Response]:
        request = people.order_request(_chance.choice(self._gigs))
        placed = people.buyer.post("/api/orders", json=request, headers={"idempotency-key": str(_chance.random())})
        if placed.status_code != 201:
            return [placed]
        order = f"/api/orders/{placed.json()['orderId']}"
        # Most are refused: the gig is another seller's.
        return [
            placed,
            people.seller.post(f"{order}/accept"),
            people.buyer.get(order),
            people.buyer.post(f"{order}/cancel"),
        ]

    def _new_gig(self, people: Market) -> list[httpx.Response]:
        return [people.seller.post("/api/gigs", json=a_gig(title=f"{_chance.choice(WORDS)} {_chance.random()}"))]

    def _refused(self, people: Market) -> list[httpx.Response]:
        client = people.seller
        attempts: tuple[Callable[[], httpx.Response], ...] = (
            lambda: client.post("/api/gigs", content=b'{"title": '),
            lambda: client.post("/api/gigs", json=a_gig(price=-1, title="x" * _chance.randrange(1, 100_000))),
            lambda: client.get(f"/api/gigs/{_chance.getrandbits(128):032x}"),
            lambda: client.get("/api/gigs", params={"pageToken": str(_chance.random())}),
            lambda: people.anyone.get("/api/orders", headers=self._forged),
            lambda: people.anyone.get(f"/nothing/{_chance.random()}"),
            lambda: people.anyone.delete(self._path()),
            lambda: people.buyer.post("/api/orders", json={"packageId": "no", "unknown": [1] * 1000}),
        )
        return [_chance.choice(attempts)()]


def own_memory(stack: Stack) -> dict[str, float]:
    """Return the memory that each process has for itself in MB, by name and pid."""
    names = {process.pid: name for name, process in stack.processes().items() if "backend" not in name}
    found: dict[str, float] = {}
    for process in (stack.supervisor(), *stack.supervisor().children(recursive=True)):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            name = names.get(process.pid) or " ".join(process.cmdline())[:50].removeprefix(sys.executable).strip()
        except (OSError, psutil.Error):
            continue
        if "RssAnon:" in status:
            found[f"{name} {process.pid}"] = int(status.partition("RssAnon:")[2].split()[0]) / 1000
    return found


def drive(traffic: Traffic, rate: float, until: float, observe: Callable[[], None]) -> None:
    """Send at a fixed rate until then, and observe at every interval. A stack that is slower gets fewer requests."""
    free = threading.Semaphore(SENDERS)

    def one() -> None:
        try:
            traffic.send()
        finally:
            free.release()

    next_look = due = time.monotonic()
    with ThreadPoolExecutor(SENDERS) as senders:
        while (now := time.monotonic()) < until:
            if now >= next_look:
                observe()
                next_look += EVERY_SECONDS
            due = max(due + 1 / rate, now - 1)
            time.sleep(max(0.0, due - now))
            free.acquire()
            senders.submit(one)


def slope_per_minute(points: list[tuple[float, float]]) -> float:
    """Return the slope of the line through points of seconds and MB, in MB a minute."""
    return linear_regression(*zip(*points, strict=True)).slope * 60


def main() -> int:
    """Run the load and print a line for each process. Return 1 when one grows too fast."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=40, help="requests, or lives of orders, a second")
    options = parser.parse_args()
    stack = Stack(**UNLIMITED_WRITES, EDGE_CACHE="on", WEBHOOK_ALLOW_PRIVATE="true").start()
    measured: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        traffic = Traffic(stack)
        began = time.monotonic()
        seconds = options.minutes * 60

        def observe() -> None:
            for name, size in own_memory(stack).items():
                measured[name].append((time.monotonic() - began, size))

        drive(traffic, options.rate, began + seconds, observe)
    finally:
        stack.stop()
    print("responses by status:", dict(sorted(traffic.statuses.items())))
    print(f"{'process':60} {'first MB':>9} {'last MB':>9} {'MB/minute':>10}")
    failed = False
    for name, points in measured.items():
        last_third = [point for point in points if point[0] >= seconds * 2 / 3]
        # A backend that has come since cannot be judged.
        if len(last_third) < 3 or points[0][0] > seconds / 3:
            continue
        slope = slope_per_minute(last_third)
        failed |= slope > LIMIT_MB_PER_MINUTE
        print(f"{name:60} {points[0][1]:9.1f} {points[-1][1]:9.1f} {slope:10.2f}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
