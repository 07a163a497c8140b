"""`python -m benchmarks.thread_counts`: how many threads of Envoy and processes of a service so many cores need.

For each number of cores several stacks run at the same time, bound to the same set of CPUs, each with other numbers,
and take the same load in turn. wrk runs on the other CPUs where there are some; where there are none it shares those
of the stack. Numbers of cores that this machine does not have are not measured, and named.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.bench import load, market, sides
from benchmarks.bench.market import Market
from benchmarks.bench.rounds import measured
from tests.support.stack import Stack

CORES = (1, 2, 4, 8)
CONNECTIONS = 32
GIGS = 100
ROUNDS = 2


class Counts(NamedTuple):
    """The numbers of a stack: Envoy's threads, processes of each service, threads of each of these."""

    envoy: int
    workers: int
    threads: int

    @property
    def settings(self) -> dict[str, str]:
        """The stack's settings."""
        services = {f"{service}_WORKERS": str(self.workers) for service in ("GIG", "ORDER", "REVIEW")}
        return {**services, "EDGE_THREADS": str(self.envoy), "RPC_THREADS": str(self.threads)}


def candidates(cores: int) -> list[Counts]:
    """Return what is tried with so many cores."""
    halves = sorted({max(1, cores // 2), cores})
    processes = sorted({1, max(1, cores // 2), min(7, cores)} | ({2} if cores < 4 else set()))
    found = [Counts(envoy, workers, 4) for envoy in halves for workers in processes]
    usual = Counts(max(1, cores // 2), 2 if cores < 4 else cores // 2, 4)
    return found + [usual._replace(threads=threads) for threads in (2, 8) if cores > 1]


def measure(folder: Path, cores: Sequence[int], seconds: float, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return the rates, p99 and CPU of each candidate by number of cores, and the numbers that were not measured."""
    available = sorted(os.sched_getaffinity(0))
    possible = [count for count in cores if count <= len(available)]
    found = {str(count): _with_cores(folder, available, count, seconds, rounds) for count in possible}
    return {"cores": found, "machine": len(available), "not_measured": [each for each in cores if each not in possible]}


def _with_cores(
    folder: Path, available: Sequence[int], count: int, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    inside, outside = set(available[:count]), set(available[count:]) or set(available)
    rates: dict[Counts, list[dict[str, Any]]] = {}
    with ExitStack() as running:
        stacks: dict[Counts, tuple[Stack, Market]] = {}
        for counts in candidates(count):
            name = f"threads-{count}-{counts.envoy}-{counts.workers}-{counts.threads}"
            stack = Stack(folder / name / "data", **sides.SETTINGS | counts.settings)
            stack.data_dir.parent.mkdir(mode=0o711)
            with bound_to(inside):
                running.callback(stack.stop)
                stack.start()
            market.fill_by_api(stack, GIGS)
            stacks[counts] = stack, market.sample(stack)
        running.enter_context(bound_to(outside))
        for number in range(rounds + 1):
            turns = list(stacks.items())
            for counts, (stack, sample) in turns if number % 2 else reversed(turns):
                one = _round(stack, sample, seconds if number else 1)
                # The first round warms up.
                if number:
                    rates.setdefault(counts, []).append(one)
    return [counts._asdict() | _medians(each) for counts, each in sorted(rates.items())]


def _round(stack: Stack, sample: Market, seconds: float) -> dict[str, float]:
    product = sides.edge(stack)
    found: dict[str, float] = {}
    for name, requests, cached in (
        ("gig", sample.pages(GIGS), False),
        ("hot", sample.pages(GIGS), True),
        ("order", sample.orders(GIGS), False),
    ):
        outcome, used = measured(
            product,
            partial(load.http, product.url, requests, seconds, CONNECTIONS, cached=cached),
        )
        if not outcome.rate:
            raise load.LoadError(f"{name}: no good answer")
        found |= {f"{name}_rate": outcome.rate, f"{name}_p99": outcome.p99, f"{name}_us": sum(used.values())}
    return found


def _medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(each[name] for each in rounds), 1) for name in rounds[0]}


@contextmanager
def bound_to(cpus: set[int]) -> Iterator[None]:
    """Bind this process, and those that it starts, to these CPUs until the end of the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tables(found: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    text = ""
    head = "| Envoy's threads | workers | threads of a worker | gig pages a second | p99 ms | CPU µs "
    head += "| hits a second | CPU µs | orders a second | CPU µs |\n" + "| --- " * 10 + "|\n"
    for cores, rows in found["cores"].items():
        shared = "wrk on the others" if int(cores) < found["machine"] else "wrk on the same"
        text += f"{cores} of {found['machine']} CPUs, {shared}:\n\n{head}"
        for row in rows:
            counts = [row["envoy"], row["workers"], row["threads"]]
            values = [row[f"{name}"] for name in ("gig_rate", "gig_p99", "gig_us", "hot_rate", "hot_us")]
            values += [row["order_rate"], row["order_us"]]
            text += "| " + " | ".join([*map(str, counts), *(f"{value:,.0f}" for value in values)]) + " |\n"
        text += "\n"
    if missing := found["not_measured"]:
        names = " and ".join(map(str, missing))
        text += f"Not measured: {names} cores. This machine has {found['machine']}.\n"
    return text


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thread_counts", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of all stacks in turn")
    parser.add_argument("--cores", type=int, nargs="+", default=CORES, help="numbers of cores")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder:
        Path(folder).chmod(0o711)
        print(tables(measure(Path(folder), options.cores, options.seconds, options.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
