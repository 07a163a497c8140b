"""`python -m benchmarks.traces`: what traces cost: the time and CPU of requests with them, as a ratio to those without.

Two stacks, one with TRACES=on, take the same requests in turn, so that a busy machine slows both down alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from tests.support.stack import Stack
from tests.support.story import Market, ok

READS, ORDERS = 50, 5


def cpu_seconds(stack: Stack) -> float:
    """Return the CPU that Envoy and the services have used."""
    used = 0.0
    for process in stack.processes().values():
        times = process.cpu_times()
        used += times.user + times.system
    return used


def milliseconds(work: Callable[[], object], times: int) -> list[float]:
    """Return how long each run of the work takes."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def read(market: Market, gig: Mapping[str, Any]) -> None:
    """Read a gig's page without a token."""
    ok(market.anyone.get(f"/api/gigs/{gig['id']}"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with ExitStack() as cleanup:
        stacks = {name: Stack(workers=1, TRACES=name) for name in ("off", "on")}
        taken: dict[str, dict[str, list[float]]] = {name: {"read": [], "order": []} for name in stacks}
        markets, gigs = {}, {}
        for name, stack in stacks.items():
            cleanup.callback(stack.stop)
            markets[name] = Market.of(stack.start())
            gigs[name] = markets[name].gig()
            markets[name].order(gigs[name])
        cpu = {name: -cpu_seconds(stack) for name, stack in stacks.items()}
        for number in range(rounds):
            for name in ("off", "on") if number % 2 else ("on", "off"):
                market, gig = markets[name], gigs[name]
                taken[name]["read"] += milliseconds(partial(read, market, gig), READS)
                taken[name]["order"] += milliseconds(partial(market.order, gig), ORDERS)
        for name, stack in stacks.items():
            cpu[name] += cpu_seconds(stack)
    for kind in ("read", "order"):
        off, on = (statistics.median(taken[name][kind]) for name in ("off", "on"))
        print(f"{kind}: {off:.2f} ms without traces, {on:.2f} ms with; ratio {on / off:.2f}")
    print(
        f"CPU of Envoy and the services: {cpu['off']:.1f} s and {cpu['on']:.1f} s; ratio {cpu['on'] / cpu['off']:.2f}"
    )


if __name__ == "__main__":
    main()
