"""`python -m tests.cluster.torture`: takes each host of a loaded cluster away in turn, and compares all records."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import httpx

from order_service.payments.sandbox import scenarios
from tests.cluster.balancer import Balancer, Waits
from tests.cluster.hosts import Cluster
from tests.cluster.network import reason_against
from tests.torture.conclusion import conclude, say
from tests.torture.reading import wrong_books, wrong_work
from tests.torture.retries import Counts
from tests.torture.trader import CARDS, Trader

AWAY_SECONDS = 30.0
CALM_SECONDS = 5.0
BACK_SECONDS = 60.0
READERS, READ_PAUSE = 4, 0.05
# A provider that answers too late is a failed write as well, but no host's fault.
TIMEOUTS = frozenset((scenarios.TIMEOUT_BEFORE, scenarios.TIMEOUT_AFTER, scenarios.CAPTURE_TIMEOUT))
CARDS_IN_TIME = [card for card in CARDS if card not in TIMEOUTS]


@dataclass(frozen=True)
class Bound:
    """What clients may see of one kind of request: the share that fails, and the longest wait in seconds."""

    name: str
    failed: float
    seconds: float

    def times(self, room: float) -> Bound:
        """Return a bound that is wider by a factor."""
        return Bound(self.name, self.failed * room, self.seconds * room)

    def holds(self, waits: Waits) -> bool:
        """Return whether the waits are within the bound."""
        return waits.failed <= self.failed * waits.number and waits.longest <= self.seconds

    def __str__(self) -> str:
        """Return the bound for people."""
        return f"{self.failed:.1%} failed and {self.seconds:.0f} s"


READS = Bound("reads", failed=0.001, seconds=1.0)
WRITES = Bound("writes", failed=0.01, seconds=30.0)


class Load:
    """Clients of a cluster: traders and readers, all through one balancer."""

    def __init__(self, cluster: Cluster, seed: int, clients: int, counts: Counts) -> None:
        self._cluster = cluster
        self.balancer = Balancer(map(cluster.url, cluster.hosts))
        self.traders = [Trader(self, seed * 1000 + number, counts, CARDS_IN_TIME) for number in range(clients)]
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(clients + READERS)

    def client(self, name: str = "", *roles: str) -> httpx.Client:
        """Return an HTTP client of a person."""
        headers = {"authorization": f"Bearer {self._cluster.token(name, *roles)}"} if name else {}
        return httpx.Client(base_url="http://cluster", headers=headers, transport=self.balancer)

    def start(self) -> None:
        """Create the gigs, and start to trade and to read."""
        for trader in self.traders:
            trader.open()
        self._trading = [self._pool.submit(self._trade, trader) for trader in self.traders]
        for _ in range(READERS):
            self._pool.submit(self._read)

    def stop(self) -> Iterator[str]:
        """Let everybody finish. Yield a sentence for each trader that gave up."""
        self._over.set()
        yield from [f"a client gave up: {error!r}" for each in self._trading if (error := each.exception())]

    def _trade(self, trader: Trader) -> None:
        while not self._over.is_set():
            trader.trade()
        trader.finish()

    def _read(self) -> None:
        gigs = [gig for trader in self.traders for gig in trader.gigs]
        while not self._over.wait(READ_PAUSE):
            self.balancer.read(f"/api/gigs/{random.choice(gigs)}")


def torture(
    cluster: Cluster, *, seconds: float, seed: int, clients: int, counts: Counts, room: float = 1.0
) -> list[str]:
    """Torture a running cluster. Return a sentence for each difference and each broken bound.

    `room` makes the bounds of times and failed requests wider, for a busy machine; records may never differ.
    """
    load = Load(cluster, seed, clients, counts)
    load.start()
    broken = list(_take_hosts_away(cluster, seconds, counts, room))
    broken += load.stop()
    broken += _judge(READS, load.balancer.reads, room)
    broken += _judge(WRITES, load.balancer.writes, room)
    say("Waiting until nothing is under way, then reading …")
    names = {"gigs": "gig", "orders": "order", "reviews": "review", "sandbox": "sandbox"}

    def url_of(name: str) -> str:
        return cluster.database_url(names[name])

    broken += wrong_work(url_of, load.traders, counts)
    broken += wrong_books(url_of, load.traders, counts)
    load.balancer.close()
    return broken


def _judge(bound: Bound, waits: Waits, room: float) -> Iterator[str]:
    """Print what clients saw beside its bound. Yield a sentence when not even `room` times the bound holds."""
    say(f"{bound.name}: {waits}; bound {bound}{'' if bound.holds(waits) else ': BROKEN'}")
    for reason in waits.reasons[:20]:
        say(f"  failed: {reason}")
    if not bound.times(room).holds(waits):
        yield f"{bound.name} break the bound of {bound.times(room)}: {waits}"


def _take_hosts_away(cluster: Cluster, seconds: float, counts: Counts, room: float) -> Iterator[str]:
    """Take away the primary's host by a cut, a standby's by a kill, and so on. Yield which were late to come back.

    A primary that is cut off loses its WAL once another host has its place: its data has to be copied anew.
    """
    end = time.monotonic() + seconds
    for of_primary, cutting in cycle([(True, True), (False, False), (True, False), (False, True)]):
        time.sleep(CALM_SECONDS)
        if time.monotonic() > end:
            return
        primary = cluster.primary()
        others = [name for name in cluster.hosts if name != primary]
        name = primary if of_primary and primary else random.choice(others)
        how = "cut" if cutting else "killed"
        say(f"  {name} is {how}{' (the primary)' if name == primary else ''}")
        counts.add(f"hosts {how}")
        (cluster.network.cut if cutting else cluster.kill)(name)
        time.sleep(AWAY_SECONDS)
        if cutting and name == primary and cluster.primary(but=name):
            say(f"  {name} loses its WAL, and so cannot be rewound")
            cluster.hosts[name].empty_wal()
        if cutting:
            cluster.network.heal()
        else:
            cluster.hosts[name].start()
        began = time.monotonic()
        while not cluster.is_back(name) and time.monotonic() < began + 3 * room * BACK_SECONDS:
            time.sleep(0.5)
        took = time.monotonic() - began
        say(f"  {name} is back after {took:.0f} s, bound {BACK_SECONDS:.0f} s; the primary is {cluster.primary()}")
        if took > room * BACK_SECONDS:
            yield f"{name} was back only after {took:.0f} s, bound {room * BACK_SECONDS:.0f} s"


def main() -> int:
    """Run the torture. Return 0 when nothing differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.torture", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--seconds", type=float, default=600, help="how long hosts are taken away (default 600)")
    parser.add_argument("--clients", type=int, default=3, help="buyers and sellers at once (default 3)")
    parser.add_argument("--room", type=float, default=1, help="a factor for bounds of time and failures (default 1)")
    parser.add_argument("--seed", type=int, help="decides what is done; a random one by default")
    arguments = parser.parse_args()
    if reason := reason_against():
        print(reason, file=sys.stderr)
        return 1
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    folder.chmod(0o711)
    cluster, counts = Cluster(folder), Counts()
    say(f"Starting three hosts in {folder}; {arguments.clients} clients, seed {seed}")
    began = time.monotonic()
    try:
        cluster.start()
        say(f"The hosts are up after {time.monotonic() - began:.0f} s; the primary is {cluster.primary()}")
        differences = torture(
            cluster,
            seconds=arguments.seconds,
            seed=seed,
            clients=arguments.clients,
            counts=counts,
            room=arguments.room,
        )
    finally:
        cluster.stop()
    return conclude(folder, differences, counts)


if __name__ == "__main__":
    sys.exit(main())
