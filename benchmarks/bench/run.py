"""A whole run: the parts in their order. A part that fails is reported as failed, and the rest goes on."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.bench import cases, machine, market, parts, same_answers, sides
from benchmarks.bench.cases import Case, Plan
from benchmarks.bench.goals import PRODUCT, Results
from benchmarks.bench.market import Market
from benchmarks.bench.sides import Side
from tests.support.stack import UNLIMITED_WRITES, Stack

# As `make run` starts it: an empty variable counts as one that is not set.
AS_RUN = {"EDGE_CACHE": "on", "GIG_WORKERS": "", "ORDER_WORKERS": "", "REVIEW_WORKERS": ""}
# All load comes from one address, so what a client's address may do is no part of what is measured.
ONE_ADDRESS = {**UNLIMITED_WRITES, "EDGE_REQUESTS_PER_ADDRESS": "100000", "EDGE_CONNECTIONS_PER_ADDRESS": "100000"}
SETTINGS = {**AS_RUN, **ONE_ADDRESS}


class Run:
    """One run in a folder of its own, that should end after so many seconds."""

    def __init__(self, folder: Path, plan: Plan, seconds: float, target: str) -> None:
        self._folder = folder
        self._plan = plan
        self._began = time.monotonic()
        self._seconds = seconds
        self._end = self._began + seconds
        self.results: Results = {"target": target, "machine": machine.facts(), "failures": {}}

    def all(self) -> Results:
        """Measure everything and return the results."""
        stack = Stack(self._folder / "stack" / "data", **SETTINGS)
        stack.data_dir.parent.mkdir()
        try:
            stack.start()
            self._end = time.monotonic() + self._seconds
            self.of_stack(stack)
        finally:
            stack.stop()
        if self._plan.starts:
            self.part("start", 20 * self._plan.starts, lambda: parts.start_seconds(self._folder, self._plan, SETTINGS))
        self.results["seconds"] = round(time.monotonic() - self._began)
        return self.results

    def of_stack(self, stack: Stack) -> None:
        """Measure everything that needs the running stack."""
        plan = self._plan
        self.results["settings"] = machine.settings(stack) | ONE_ADDRESS
        self.part("idle", 15, lambda: parts.idle_memory(stack))
        market.fill(stack, plan.sizes[0])
        sample = market.sample(stack)
        self.results["gigs"] = sample.size
        product = sides.edge(stack)
        by_name = {case.name: case for case in cases.cases(sample)}
        self.compare(stack, sample, product, by_name)
        self.part("wide", 20, lambda: parts.wide(product, sample, plan))
        gig = by_name["gig"]
        if peak := self._peak("gig"):
            self.part("overload", 40, lambda: parts.overload(gig, product, peak, plan))
        self.part("clients", 20, lambda: parts.of_clients(gig, product, plan))
        self.part("sizes", 30, lambda: {str(plan.sizes[0]): parts.of_size(product, sample, plan)})
        for size in plan.sizes[1:]:
            # Some 400 seconds for a million, on two cores.
            self.part(f"sizes {size}", 60 + size / 2500, partial(self.grow, stack, product, size))
        if plan.steady_seconds:
            self.part("steady", plan.steady_seconds + 30, lambda: parts.steady(product, sample, stack, plan))

    def grow(self, stack: Stack, product: Side, size: int) -> None:
        """Fill the marketplace to a size and measure it."""
        market.fill(stack, size)
        self.results.setdefault("sizes", {})[str(size)] = parts.of_size(product, market.sample(stack), self._plan)

    def compare(self, stack: Stack, sample: Market, product: Side, by_name: dict[str, Case]) -> None:
        """Run the comparisons, each at the peak and, for the product, at half of it."""
        plan = self._plan
        self.results["workers"] = {}
        self.part("workers", 60, lambda: cases.choose_workers(stack, sample, plan))
        with ExitStack() as running:
            peers = running.enter_context(cases.peers(stack, self.results["workers"]))
            body = httpx.get(f"{product.url}/api/gigs/{sample.gigs[0]}", timeout=sides.TIMEOUT).text
            direct = running.enter_context(sides.direct(stack, body))
            for peer in peers.values():
                cases.warm_up(peer, sample)
            # A difference ends the run: its figures would compare unlike things.
            self.results["compared"] = same_answers.compare(product, list(peers.values()), sample, plan.compared)
            for name in ("hot gig", "hot search", "gig", "search"):
                limit = direct if name.startswith("hot") else None
                case = by_name[name]
                self.case(name, partial(cases.compare_reads, case, product, peers, limit, plan))
        self.case("order", lambda: cases.compare_orders(by_name["order"], stack, plan))
        self.case("rpc", lambda: cases.compare_rpcs(stack, sample, plan))
        self.case("sql", lambda: cases.run_sql(stack, sample, plan))
        for name, case in by_name.items():
            if peak := self._peak(name):
                work = partial(parts.half_peak, case, product, peak, plan)
                self.part(f"half {name}", 15, work, into=self.results.setdefault("half", {}), key=name)

    def case(self, name: str, work: Callable[[], Any]) -> None:
        """Run a comparison."""
        needed = 5 * self._plan.rounds * (self._plan.seconds + 1)
        self.part(f"case {name}", needed, work, into=self.results.setdefault("cases", {}), key=name)

    def part(
        self, name: str, needed: float, work: Callable[[], Any], into: Results | None = None, key: str = ""
    ) -> None:
        """Run a part that needs about so many seconds, and keep its result; or the reason why there is none."""
        if time.monotonic() + needed > self._end:
            self.results["failures"][name] = "left out: the run's time was over"
            return
        began = time.monotonic()
        print(f"{began - self._began:6.0f} s  {name}", file=sys.stderr, flush=True)
        try:
            result = work()
        # A part may fail in any way; the others are still worth their time.
        except Exception as error:
            traceback.print_exc()
            self.results["failures"][name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            return
        if result is not None:
            (self.results if into is None else into)[key or name] = result

    def _peak(self, name: str) -> float:
        found = self.results.get("cases", {}).get(name, {}).get(PRODUCT, {})
        return float(found.get("rate", 0))
