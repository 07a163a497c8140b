"""`python -m benchmarks.watches`: what 2,000 idle watches cost, and how soon a message is there, in a stack of its own.

Orders are placed, accepted and delivered, half of them beside the watches and half without, in turns. With watches an
order may take at most a tenth longer (median), and a watch at most 40 KB of memory in its process. Messages are sent
beside the watches, while orders are made: each has to be in the other side's watch, at the edge, within a second after
its request began.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from servicekit.ids import new_id
from tests.support.eventually import eventually
from tests.support.reading import reading
from tests.support.stack import ROOT, UNLIMITED_WRITES, Stack
from tests.support.story import Market, ok

WATCHES_PER_USER = 20
STREAMS_PER_CONNECTION = 100
MAX_SLOWDOWN = 1.1
MAX_BYTES = 40_000
MAX_MESSAGE_SECONDS = 1.0

# Reads the tokens of users, opens the watches of each, and keeps them until its input ends.
CLIENTS = """
import asyncio, sys, grpc
from marketplace.event.v1 import event_pb2, event_pb2_grpc
address, connections = sys.argv[1], int(sys.argv[2])
tokens = sys.stdin.readline().split()

async def main():
    options = [("grpc.use_local_subchannel_pool", 1)]
    stubs = [
        event_pb2_grpc.EventServiceStub(grpc.aio.insecure_channel(address, options=options)) for _ in range(connections)
    ]
    calls = []
    for number, token in enumerate(tokens):
        metadata = [("authorization", f"Bearer {token}")]
        calls += [
            stubs[number % connections].WatchSse(event_pb2.WatchSseRequest(), metadata=metadata) for _ in range(20)
        ]
        await asyncio.gather(*(call.read() for call in calls[-20:]))
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@contextmanager
def watches(stack: Stack, count: int) -> Iterator[None]:
    """Keep so many watches open, from another process."""
    tokens = [stack.token(f"watcher {number}", "buyer") for number in range(count // WATCHES_PER_USER)]
    address = f"127.0.0.1:{stack.ports.streaming('order')}"
    command = [sys.executable, "-c", CLIENTS, address, str(max(1, count // STREAMS_PER_CONNECTION))]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "PATH": "/bin:/usr/bin"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        clients.stdin.write(" ".join(tokens) + "\n")
        clients.stdin.flush()
        if clients.stdout.readline() != "open\n":
            raise RuntimeError("the watches could not be opened")
        try:
            yield
        finally:
            clients.stdin.close()


def order_seconds(market: Market, gig: dict[str, Any], orders: int) -> list[float]:
    """Return how long each order takes from its placing to its delivery."""
    seconds = []
    for _ in range(orders):
        began = time.monotonic()
        market.delivered(gig)
        seconds.append(time.monotonic() - began)
    return seconds


def message_seconds(market: Market, messages: int) -> list[float]:
    """Return how long each message takes from its request to the other side's watch, while orders are made.

    The two sides, new ones, write in turns.
    """
    gig = market.gig()
    conversation = ok(market.buyer.post("/api/conversations", json={"gigId": gig["id"], "text": "Hello"}), 201)
    path = f"/api/conversations/{conversation['id']}/messages"
    stop, seconds = threading.Event(), []

    def order() -> None:
        while not stop.is_set():
            market.delivered(gig)

    orders = threading.Thread(target=order)
    orders.start()
    try:
        with reading(market.seller, "/api/watch") as sellers, reading(market.buyer, "/api/watch") as buyers:
            eventually(lambda: sellers.text and buyers.text)
            for number in range(messages):
                writer, watch = ((market.buyer, sellers), (market.seller, buyers))[number % 2]
                text = f"Message {new_id()}"
                began = time.monotonic()
                ok(writer.post(path, json={"text": text}), 201)
                eventually(lambda watch=watch, text=text: text in watch.text, every=0.001)  # type: ignore[misc]
                seconds.append(time.monotonic() - began)
    finally:
        stop.set()
        orders.join()
    return seconds


def resident(stack: Stack) -> int:
    """Return the memory of the process of watches, in bytes."""
    return int(stack.processes()["order-events"].memory_info().rss)


def main() -> int:
    """Return 0 when the bounds hold."""
    options = argparse.ArgumentParser()
    options.add_argument("--watches", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=6)
    options.add_argument("--orders", type=int, default=40)
    options.add_argument("--messages", type=int, default=50)
    given = options.parse_args()
    # Its clients call the process directly, without a certificate.
    stack = Stack(**UNLIMITED_WRITES, INTERNAL_TLS="off")
    without: list[float] = []
    beside: list[float] = []
    sizes: list[float] = []
    messages: list[float] = []
    try:
        market = Market.of(stack.start())
        gig = market.gig(title=f"Watched {new_id()}"[:60])
        order_seconds(market, gig, given.orders)
        with watches(stack, WATCHES_PER_USER):
            pass
        for _ in range(given.rounds):
            without += order_seconds(market, gig, given.orders)
            before = resident(stack)
            with watches(stack, given.watches):
                time.sleep(1)
                sizes.append((resident(stack) - before) / given.watches)
                beside += order_seconds(market, gig, given.orders)
                messages += message_seconds(Market.of(stack), given.messages)
            time.sleep(1)
    finally:
        stack.stop()
    slowdown = statistics.median(beside) / statistics.median(without)
    print(f"an order without watches: {statistics.median(without) * 1000:.1f} ms (median of {len(without)})")
    print(
        f"beside {given.watches} idle watches: {statistics.median(beside) * 1000:.1f} ms, {slowdown:.3f} times as long"
    )
    # In later rounds the process uses again what the first one has freed.
    print(f"memory of a watch: {sizes[0] / 1000:.1f} KB")
    print(
        f"a message to the other side's watch: {statistics.median(messages) * 1000:.0f} ms (median of {len(messages)}),"
        f" at most {max(messages) * 1000:.0f} ms"
    )
    is_good = slowdown <= MAX_SLOWDOWN and sizes[0] <= MAX_BYTES and max(messages) <= MAX_MESSAGE_SECONDS
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
