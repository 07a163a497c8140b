"""`python -m benchmarks.internal_tls`: the CPU that TLS between Envoy and the services costs a request.

Two stacks, one with INTERNAL_TLS=off, take the same load in turn, from wrk (Debian's `wrk`). Pages of gigs are read
without the edge's cache, and orders placed, for which OrderService calls GigService. 1.15 times the CPU is the bound.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from contextlib import ExitStack

from benchmarks.bench import load, processes
from benchmarks.bench.load import Request
from tests.support.stack import UNLIMITED_WRITES, Stack
from tests.support.story import Market

BOUND = 1.15
CONNECTIONS = 8
# The database takes no part in it.
MEASURED = ("Envoy", "GigService", "OrderService", "ReviewService")


class Side:
    """One stack under load. `used` has the microseconds of CPU of a request, by kind and round, and by group."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        market = Market.of(stack)
        gig = market.gig()
        token = stack.token("internal tls", "buyer")
        self._requests = {
            "read": Request(f"/api/gigs/{gig['id']}"),
            "order": Request("/api/orders", token, json.dumps(market.order_request(gig))),
        }
        self._groups = processes.of_stack(stack)
        self.used: dict[str, list[dict[str, float]]] = {kind: [] for kind in self._requests}

    def load(self, kind: str, seconds: float) -> None:
        """Take the load of one round."""
        before = processes.cpu_seconds(self._groups)
        taken = load.http(self._stack.url, [self._requests[kind]], seconds, CONNECTIONS, cached=False)
        if taken.refused or taken.broken:
            raise RuntimeError(f"{taken.refused} requests were refused, {taken.broken} broken")
        after = processes.cpu_seconds(self._groups)
        self.used[kind].append({group: (after[group] - before[group]) / taken.requests * 1e6 for group in MEASURED})

    def microseconds(self, kind: str) -> Mapping[str, float]:
        """Return the medians of the rounds by group, and of the groups together."""
        rounds = self.used[kind]
        medians = {group: statistics.median(each[group] for each in rounds) for group in MEASURED}
        return medians | {"together": statistics.median(sum(each.values()) for each in rounds)}


def main() -> int:
    """Measure and print. Return 1 when TLS costs more than its bound."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each round")
    options = parser.parse_args()
    with ExitStack() as cleanup:
        sides: dict[str, Side] = {}
        for name in ("off", "on"):
            stack = Stack(workers=1, INTERNAL_TLS=name, EDGE_REQUESTS_PER_ADDRESS="100000", **UNLIMITED_WRITES)
            cleanup.callback(stack.stop)
            sides[name] = Side(stack.start())
        # The first round warms up.
        for number in range(options.rounds + 1):
            for kind in ("read", "order"):
                for name in ("off", "on") if number % 2 else ("on", "off"):
                    sides[name].load(kind, options.seconds)
    worst = 0.0
    for kind in ("read", "order"):
        for side in sides.values():
            del side.used[kind][0]
        off, on = (sides[name].microseconds(kind) for name in ("off", "on"))
        for group in (*MEASURED, "together"):
            print(f"{kind:<6} {group:<14} {off[group]:7.0f} µs off {on[group]:7.0f} µs on")
        # Of the two loads of a round, which follow each other: the machine's other work changes from round to round.
        ratios = sorted(
            sum(with_tls.values()) / sum(without.values())
            for without, with_tls in zip(sides["off"].used[kind], sides["on"].used[kind], strict=True)
        )
        ratio = statistics.median(ratios)
        print(f"{kind:<6} ratio {ratio:.3f} ({', '.join(f'{each:.2f}' for each in ratios)})")
        worst = max(worst, ratio)
    return int(worst > BOUND)


if __name__ == "__main__":
    raise SystemExit(main())
