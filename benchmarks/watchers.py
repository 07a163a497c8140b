"""`python -m benchmarks.watchers`: what 2,000 idle watchers cost, in a running stack.

An order must not take more than a tenth longer while they watch, and each may cost 40 KB of the process that they wait
in. Rounds with and without watchers alternate; the watchers are gRPC streams of another process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc.aio

from marketplace.event.v1 import event_pb2
from marketplace.event.v1.event_pb2_grpc import EventServiceStub
from tests.support.stack import ROOT, Stack
from tests.support.story import Market

WATCHERS = 2_000
# The most streams of a user.
STREAMS_PER_USER = 20
STREAMS_PER_CONNECTION = 100
RATIO_BOUND = 1.10
KILOBYTES_BOUND = 40.0


async def watch(address: str, tokens: list[str]) -> None:
    """Open the watches of these users, print `watching` when each has had its first response, and keep them open."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    users = STREAMS_PER_CONNECTION // STREAMS_PER_USER
    calls = []
    for first in range(0, len(tokens), users):
        stub = EventServiceStub(grpc.aio.insecure_channel(address, options=options))
        for token in tokens[first : first + users]:
            metadata = (("authorization", f"Bearer {token}"),)
            calls += [stub.Watch(event_pb2.WatchRequest(), metadata=metadata) for _ in range(STREAMS_PER_USER)]
    for call in calls:
        await call.read()
    print("watching", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def watchers(stack: Stack, tokens: list[str]) -> Iterator[None]:
    """Keep the watches of these users open during the block."""
    command = [sys.executable, "-m", "benchmarks.watchers", "--watch", f"127.0.0.1:{stack.ports.streaming('order')}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as clients:
        assert clients.stdin is not None and clients.stdout is not None
        print(json.dumps(tokens), file=clients.stdin, flush=True)
        if clients.stdout.readline() != "watching\n":
            raise RuntimeError("the watchers have ended")
        yield
        clients.stdin.close()


def order_milliseconds(market: Market, gig: dict[str, object], orders: int) -> list[float]:
    """Return how long each of so many orders took."""
    durations = []
    for _ in range(orders):
        began = time.perf_counter()
        market.order(gig)
        durations.append((time.perf_counter() - began) * 1000)
    return durations


def kilobytes(stack: Stack) -> float:
    """Return the memory of the process that watchers wait in."""
    return stack.processes()["order-events"].memory_info().rss / 1000


def main() -> int:
    """Run the benchmark. Return 0 when both costs are within their bounds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=6, help="rounds with, and as many without")
    parser.add_argument("--orders", type=int, default=200, help="orders of a round")
    parser.add_argument("--watch", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        asyncio.run(watch(arguments.watch, json.loads(sys.stdin.readline())))
        return 0
    stack = Stack()
    alone: list[float] = []
    watched: list[float] = []
    try:
        stack.start()
        market = Market.of(stack)
        gig = market.gig()
        tokens = [stack.token(f"watcher-{number}", "buyer") for number in range(WATCHERS // STREAMS_PER_USER)]
        order_milliseconds(market, gig, arguments.orders)
        before = kilobytes(stack)
        each = 0.0
        for number in range(arguments.rounds):
            alone += order_milliseconds(market, gig, arguments.orders)
            with watchers(stack, tokens):
                each = each or (kilobytes(stack) - before) / WATCHERS
                watched += order_milliseconds(market, gig, arguments.orders)
            print(
                f"round {number + 1}: {statistics.median(alone[-arguments.orders :]):6.2f} ms without,"
                f" {statistics.median(watched[-arguments.orders :]):6.2f} ms with {WATCHERS:,} watchers",
                flush=True,
            )
    finally:
        stack.stop()
    ratio = statistics.median(watched) / statistics.median(alone)
    print(f"an order: {statistics.median(alone):.2f} ms, {statistics.median(watched):.2f} ms, ratio {ratio:.2f}")
    print(f"a watcher: {each:.1f} KB")
    within = ratio <= RATIO_BOUND and each <= KILOBYTES_BOUND
    print("within the bounds" if within else f"above a bound: {RATIO_BOUND:.2f}, {KILOBYTES_BOUND:.0f} KB")
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
