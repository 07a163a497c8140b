"""`python -m benchmarks.placing`: what an order costs: the CPU of each process, and orders a second by clients.

The clients wait for nothing between two orders. Their own CPU is not counted. Times depend on the machine; the CPU of
an order is what to compare, and only with other figures of the same run.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

import psutil

from tests.support.stack import UNLIMITED_WRITES, Stack
from tests.support.story import Market

WARM_UP = 200


@dataclass
class Load:
    """Clients that place orders until `stop`, and how long each order took."""

    stack: Stack
    package: str
    with_keys: bool
    stop: threading.Event = field(default_factory=threading.Event)
    seconds: list[float] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, clients: int, seconds: float) -> None:
        """Place orders with so many clients. Raises RuntimeError when one is refused."""
        threads = [threading.Thread(target=self._place_orders, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in threads:
            thread.join()

    def _place_orders(self, number: int) -> None:
        # A buyer for each client: one has half of a worker's places at the provider.
        token = self.stack.token(f"a-hasty-buyer-{number}", "buyer")
        connection = http.client.HTTPConnection("127.0.0.1", self.stack.ports.edge, timeout=30)
        body = json.dumps({"packageId": self.package, "requirements": "Dark theme", "paymentMethod": "stripe"})
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        while not self.stop.is_set():
            if self.with_keys:
                headers["idempotency-key"] = f"{id(self)}-{next(self.numbers)}"
            began = time.perf_counter()
            connection.request("POST", "/api/orders", body, headers)
            response = connection.getresponse()
            answer = response.read()
            self.seconds.append(time.perf_counter() - began)
            if response.status != 201:
                self.stop.set()
                raise RuntimeError(f"{response.status} {answer.decode()}")
        connection.close()


def cpu(stack: Stack) -> defaultdict[str, float]:
    """Return the seconds of CPU that each kind of process has used."""
    used: defaultdict[str, float] = defaultdict(float)
    for process in stack.supervisor().children(recursive=True):
        try:
            times = process.cpu_times()
            worker = process.environ().get("WORKER", "") if "_service" in " ".join(process.cmdline()) else ""
            name = "postgres" if process.name() == "postgres" else worker.rstrip("-0123456789") or process.name()
        except psutil.Error:
            continue
        used[name] += times.user + times.system
    return used


def measure(load: Load, clients: int, seconds: float) -> None:
    """Place orders for so long and print a row of the table."""
    before, began = cpu(load.stack), time.perf_counter()
    load.run(clients, seconds)
    took, used = time.perf_counter() - began, cpu(load.stack)
    orders = len(load.seconds)
    parts = {name: (used[name] - before[name]) / orders * 1000 for name in sorted(used)}
    shown = "  ".join(f"{name} {value:.2f}" for name, value in parts.items() if value >= 0.005)
    p50, p99 = (statistics.quantiles(load.seconds, n=100)[at] * 1000 for at in (49, 98))
    print(
        f"{clients:>3} clients: {orders / took:6.1f} orders/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms;"
        f" CPU of an order {sum(parts.values()):.2f} ms: {shown}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each number of clients")
    parser.add_argument("--workers", type=int, default=1, help="of each service")
    parser.add_argument("--with-keys", action="store_true", help="send an Idempotency-Key with each order")
    parser.add_argument("--pause", action="store_true", help="wait for Enter before the load, to attach a profiler")
    options = parser.parse_args()
    stack = Stack(workers=options.workers, **UNLIMITED_WRITES)
    try:
        market = Market.of(stack.start())
        package = market.gig()["packages"][0]["id"]

        def load() -> Load:
            return Load(stack, package, options.with_keys)

        load().run(4, WARM_UP / 100)
        if options.pause:
            input("\n".join(f"{name} {process.pid}" for name, process in stack.processes().items()) + "\n")
        for clients in options.clients:
            measure(load(), clients, options.seconds)
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
