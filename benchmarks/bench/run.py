"""A whole run: the parts in their order. A part that fails is reported as failed, and the rest goes on."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks import hot_paths, thread_counts
from benchmarks.bench import cases, kept, load, machine, market, parts, same_answers, sides
from benchmarks.bench.cases import Case
from benchmarks.bench.goals import PRODUCT, Results
from benchmarks.bench.market import Market
from benchmarks.bench.plan import Plan
from benchmarks.bench.sides import SETTINGS, Side
from tests.support.stack import Stack

# Seconds that loading a gig takes at most, on two cores.
LOAD_SECONDS_OF_A_GIG = 1 / 2500
# The parts that start stacks of their own.
PARTS_WITH_OWN_STACKS = ("start", "sizes ", "threads")


class Run:
    """One run: in a folder of its own, and with stacks that are kept in another. `only` names parts; else all run."""

    def __init__(self, folder: Path, kept_folder: Path, plan: Plan, target: str, only: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._kept = kept_folder
        self._plan = plan
        self._only = only
        self._named: list[str] = []
        self._began = time.monotonic()
        self._end = self._began + plan.limit_seconds
        self.results: Results = {"target": target, "machine": machine.facts(), "failures": {}}

    def all(self) -> Results:
        """Measure everything and return the results."""
        plan = self._plan
        if not self._only or not all(each.startswith(PARTS_WITH_OWN_STACKS) for each in self._only):
            self._try("stack", self.of_new_stack)
        if plan.starts:
            self.part("start", 25 * plan.starts, lambda: parts.start_seconds(self._folder, plan, SETTINGS))
        for size in plan.sizes[1:]:
            self.part(f"sizes {size}", 60 + size * LOAD_SECONDS_OF_A_GIG, partial(self.of_size, size))
        if plan.cores:
            seconds = plan.seconds / 2
            self.part("threads", 120, lambda: thread_counts.measure(self._folder, plan.cores, seconds, rounds=1))
        for each in self._only:
            if not any(name.startswith(each) for name in self._named):
                self.results["failures"][each] = f"there is no such part; there are: {', '.join(self._named)}"
        self.results["seconds"] = round(time.monotonic() - self._began)
        return self.results

    def of_new_stack(self) -> None:
        """Measure everything that needs a running stack with few gigs."""
        stack = Stack(self._folder / "stack" / "data", **SETTINGS)
        stack.data_dir.parent.mkdir()
        try:
            stack.start()
            self.results["settings"] = machine.settings(stack) | sides.ONE_ADDRESS
            self.part("idle", self._plan.idle_seconds, lambda: parts.idle_memory(stack, self._plan.idle_seconds))
            market.fill(stack, self._plan.sizes[0])
            self.of_stack(stack, market.sample(stack))
        finally:
            stack.stop()

    def of_stack(self, stack: Stack, sample: Market) -> None:
        """Measure a stack with gigs in it."""
        plan, product = self._plan, sides.edge(stack)
        self.results["gigs"] = sample.size
        by_name = {case.name: case for case in cases.cases(sample)}
        gig = by_name["gig"]
        with ExitStack() as running:
            self.compare(stack, sample, by_name, running)
        for name, case in by_name.items():
            half = partial(self._at_half, case, product)
            self.part(f"half {name}", 8, half, into=self.results.setdefault("half", {}), key=name)
        self.part("wide", 4 * plan.seconds, lambda: parts.wide(product, sample, plan))
        self.part("overload", 20, lambda: parts.overload(gig, product, self._peak(gig, product), plan))
        self.part("clients", 20, lambda: parts.of_clients(gig, product, plan))
        self.part("sizes", 15, lambda: {str(plan.sizes[0]): parts.of_size(product, sample, plan)})
        if plan.profile_seconds:
            self.part("profiles", 60, lambda: hot_paths.measure(stack, sample, plan.profile_seconds))
        if plan.steady_seconds:
            self.part("steady", plan.steady_seconds + 30, lambda: parts.steady(product, sample, stack, plan))

    def of_size(self, size: int) -> None:
        """Measure a marketplace of this size, kept from an earlier run where there is one."""
        with kept.stack_of(self._kept, size, SETTINGS) as stack:
            found = parts.of_size(sides.edge(stack), market.sample(stack), self._plan)
        self.results.setdefault("sizes", {})[str(size)] = found

    def compare(self, stack: Stack, sample: Market, by_name: Mapping[str, Case], running: ExitStack) -> None:
        """Run the comparisons; of the product alone where the peers do not start or answer otherwise."""
        plan, product = self._plan, sides.edge(stack)
        peers: dict[str, Side] = {}
        limit: list[Side] = []

        def start() -> int:
            started = running.enter_context(cases.peers(stack, self.results.get("workers", {})))
            for peer in started.values():
                cases.warm_up(peer, sample)
            compared = same_answers.compare(product, list(started.values()), sample, plan.compared)
            peers.update(started)
            return compared

        def start_limit() -> None:
            paths = {"/api/gigs/": by_name["hot gig"], "/api/gigs": by_name["hot search"]}
            bodies = {
                path: httpx.get(f"{product.url}{case.requests[0].path}", timeout=sides.TIMEOUT).text
                for path, case in paths.items()
            }
            limit.append(running.enter_context(sides.direct(stack, bodies)))

        reads = ("hot gig", "hot search", "gig", "search")
        if any(self._is_wanted(f"case {name}") for name in reads):
            self.part("workers", 30, lambda: cases.choose_workers(stack, sample, plan))
            # What answers otherwise is not compared: the figures would be of unlike things.
            self.part("compared", 15, start, always=True)
            self.part("direct", 5, start_limit, always=True)
        for name in reads:
            others = [*peers.values()]
            if name.startswith("hot"):
                others = [each for each in others if each.name != cases.SQLALCHEMY] + limit
            self.case(name, partial(cases.compare_reads, by_name[name], product, others, plan))
        self.case("order", lambda: cases.compare_orders(by_name["order"], stack, plan))
        self.case("rpc", lambda: cases.compare_rpcs(stack, sample, plan))
        self.case("sql", lambda: cases.run_sql(stack, sample, plan))

    def case(self, name: str, work: Callable[[], Any]) -> None:
        """Run a comparison."""
        needed = 3 * self._plan.rounds * (self._plan.seconds + 1)
        self.part(f"case {name}", needed, work, into=self.results.setdefault("cases", {}), key=name)

    def part(
        self,
        name: str,
        needed: float,
        work: Callable[[], Any],
        into: Results | None = None,
        key: str = "",
        *,
        always: bool = False,
    ) -> None:
        """Run a part that needs about so many seconds, and keep its result; or the reason why there is none."""
        self._named.append(name)
        if not always and not self._is_wanted(name):
            return
        if time.monotonic() + needed > self._end:
            self.results["failures"][name] = "left out: the run's time was over"
            return
        print(f"{time.monotonic() - self._began:6.0f} s  {name}", file=sys.stderr, flush=True)
        result = self._try(name, work)
        if result is not None:
            (self.results if into is None else into)[key or name] = result
        # The figures so far, should this process be killed.
        (self._kept / "unfinished.json").write_text(json.dumps(self.results, indent=1))

    def _try(self, name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        # A part may fail in any way; the others are still worth their time.
        except Exception as error:
            traceback.print_exc()
            lines = f"{type(error).__name__}: {error}".strip().splitlines()
            self.results["failures"][name] = " … ".join(dict.fromkeys((lines[0], lines[-1])))[:300]
            return None

    def _is_wanted(self, name: str) -> bool:
        return not self._only or name.startswith(self._only)

    def _at_half(self, case: Case, product: Side) -> Any:
        return parts.half_peak(case, product, self._peak(case, product), self._plan)

    def _peak(self, case: Case, product: Side) -> float:
        """Return the product's rate in a comparison, measured now where there was none."""
        found = self.results.get("cases", {}).get(case.name, {}).get(PRODUCT)
        rate = found["rate"] if found else case.work(product, self._plan)().rate
        if not rate:
            raise load.LoadError(f"{case.name}: no good answer at the peak")
        return float(rate)
