"""The parts of a run beside the comparisons: half the peak, overload, growth of data and clients, memory, start."""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import psutil

from benchmarks.bench import load, market, paced, processes, sides
from benchmarks.bench.cases import CONNECTIONS, Case
from benchmarks.bench.load import Request
from benchmarks.bench.market import Market
from benchmarks.bench.plan import Plan
from benchmarks.bench.rounds import measured
from benchmarks.bench.sides import NO_CACHE, Side
from tests.support.stack import Stack

Result = dict[str, Any]
# The bound of a normal answer after an overload, and how long the edge has for it.
RECOVERY_SECONDS, NORMAL_MS = 5.0, 50.0
SAMPLE_SECONDS = 15.0


def half_peak(case: Case, product: Side, peak: float, plan: Plan) -> Result:
    """Load the product with half its peak rate, open loop. What is asked for from the cache is there before."""
    seconds = max(2.0, 2 * plan.seconds)
    if case.cached:
        load.http(product.url, case.requests, 1.0, CONNECTIONS)
    return paced.run(product.url, case.requests, peak / 2, seconds, cached=case.cached).as_json()


def wide(product: Side, sample: Market, plan: Plan) -> Result:
    """Read 10,000 gigs in turn, so that most miss the cache."""
    pages = sample.pages(market.SAMPLE)
    outcome, cpu = measured(product, lambda: load.http(product.url, pages, 4 * plan.seconds, CONNECTIONS))
    return {
        "gigs": len(pages),
        "rate": round(outcome.rate, 1),
        "p50": round(outcome.p50, 2),
        "p99": round(outcome.p99, 2),
        "errors": outcome.refused + outcome.broken,
        "cpu_us": {group: round(value, 1) for group, value in cpu.items()},
    }


def overload(case: Case, product: Side, peak: float, plan: Plan) -> Result:
    """Load the product with twice its peak rate, open loop; then see how soon it is normal again."""
    result = paced.run(product.url, case.requests, 2 * peak, max(3.0, 3 * plan.seconds), cached=case.cached).as_json()
    ended = time.monotonic()
    with httpx.Client(base_url=product.url, timeout=sides.TIMEOUT, headers=NO_CACHE) as client:
        normal = 0
        while normal < 20 and time.monotonic() - ended < 2 * RECOVERY_SECONDS:
            began = time.perf_counter()
            answer = client.get(case.requests[normal].path)
            is_normal = answer.status_code == 200 and (time.perf_counter() - began) * 1000 < NORMAL_MS
            normal = normal + 1 if is_normal else 0
    return {**result, "peak": peak, "normal_after_s": round(time.monotonic() - ended, 2), "is_normal": normal >= 20}


def of_clients(case: Case, product: Side, plan: Plan) -> dict[str, Result]:
    """Measure uncached pages with more and more connections."""
    found = {}
    for connections in plan.clients:
        work = load.http(product.url, case.requests, plan.seconds, connections, cached=False)
        found[str(connections)] = {
            "rate": round(work.rate, 1),
            "p50": round(work.p50, 2),
            "p99": round(work.p99, 2),
            "errors": work.refused + work.broken,
        }
    return found


def of_size(product: Side, sample: Market, plan: Plan) -> Result:
    """Measure what a gig page, browsing, words and the realistic mix cost with the data as it is."""
    costs = {}
    random = Random(4)
    with httpx.Client(base_url=product.url, timeout=sides.TIMEOUT, headers=NO_CACHE) as client:
        mix = sample.mix(random, plan.searches, client)
        # Once each: a stack that has just started reads from the disk what these searches read.
        time_by_shape(mix, client)
    with_words = [request for shape, request in mix if shape.startswith("words")]
    browsing = [request for shape, request in mix if not shape.startswith("words")]
    everything = [request for _, request in mix]
    for name, requests in (("gig", sample.pages(1000)), ("browsing", browsing), ("words", with_words)):
        outcome, cpu = measured(product, _work(product, requests, plan))
        costs[name] = {"rate": round(outcome.rate, 1), "cpu_us": round(sum(cpu.values()), 1)}
    peak = load.http(product.url, everything, plan.seconds, CONNECTIONS, cached=False)
    at_half = paced.run(product.url, everything, peak.rate / 2, max(3.0, 4 * plan.seconds), cached=False)
    with httpx.Client(base_url=product.url, timeout=sides.TIMEOUT, headers=NO_CACHE) as client:
        shapes = time_by_shape(sample.of_each_shape(random, plan.searches_of_a_shape, client), client)
    return {
        "gigs": sample.size,
        "cost": costs,
        "mix": {"peak": round(peak.rate, 1), "refused": peak.refused, **at_half.as_json()},
        "shapes": shapes,
    }


def _work(side: Side, requests: list[Request], plan: Plan) -> Callable[[], load.Load]:
    return lambda: load.http(side.url, requests, plan.seconds, CONNECTIONS, cached=False)


def time_by_shape(searches: list[tuple[str, Request]], client: httpx.Client) -> dict[str, Result]:
    """Return the median and the slowest time of each shape in ms, one request after the other."""
    times: dict[str, list[float]] = defaultdict(list)
    for shape, request in searches:
        began = time.perf_counter()
        client.get(request.path).raise_for_status()
        times[shape].append((time.perf_counter() - began) * 1000)
    return {
        shape: {"count": len(each), "median": round(statistics.median(each), 2), "max": round(max(each), 2)}
        for shape, each in sorted(times.items())
    }


def idle_memory(stack: Stack, seconds: float) -> Result:
    """Return the memory of the whole stack, after so many seconds at rest, in MiB (PSS), by group."""
    time.sleep(seconds)
    groups = {group: round(mib, 1) for group, mib in processes.memory_mib(processes.of_stack(stack)).items()}
    whole = round(processes.whole_stack_mib(stack), 1)
    return {"whole": whole, **groups, "rest": round(whole - sum(groups.values()), 1)}


def start_seconds(folder: Path, plan: Plan, settings: Mapping[str, Any]) -> Result:
    """Return how long a stack takes from the command to the first answer, on an empty folder and once more on it."""
    found: dict[str, list[float]] = {"first": [], "again": []}
    for number in range(plan.starts):
        stack = Stack(folder / f"start-{number}" / "data", **settings)
        stack.data_dir.parent.mkdir(parents=True)
        for kind in found:
            found[kind].append(_time_to_first_answer(stack))
    return {kind: round(statistics.median(times), 2) for kind, times in found.items() if times}


def _time_to_first_answer(stack: Stack) -> float:
    began = time.monotonic()
    thread = threading.Thread(target=stack.start)
    thread.start()
    try:
        # One client: to make one takes as long as the pause, and the machine is busy with the start.
        with httpx.Client(timeout=1) as client:
            while True:
                with suppress(httpx.HTTPError):
                    if client.get(f"{stack.url}/api/categories").status_code == 200:
                        return time.monotonic() - began
                if time.monotonic() - began > sides.START_SECONDS:
                    raise TimeoutError("no answer")
                time.sleep(0.02)
    finally:
        thread.join()
        stack.stop()


def steady(product: Side, sample: Market, stack: Stack, plan: Plan) -> Result:
    """Load the product with reads, orders and requests in error, and return how each process's memory grows.

    The growth is the slope of the own memory over the second half, in MB a minute.
    """
    wrong = [Request(f"/api/gigs/{uuid4()}"), Request("/api/gigs?sort=none"), Request("/api/gigs?category=none")]
    refused = [Request("/api/orders", "no-token", "{}"), Request("/api/orders", sample.tokens[0], "{}")]
    missing = Request("/api/orders", sample.tokens[0], f'{{"packageId":"{uuid4()}","paymentMethod":"stripe"}}')
    several = zip(sample.pages(1000), [*sample.searches(100)] * 10, sample.orders(1000), strict=False)
    requests = [request for each in several for request in (*each, *wrong, *refused, missing)]
    outcomes: list[load.Load] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(load.http(product.url, requests, plan.steady_seconds, 4, cached=False))
    )
    samples: dict[int, list[tuple[float, float]]] = defaultdict(list)
    names: dict[int, str] = {}
    began = time.monotonic()

    def sample_memory() -> None:
        for pid, (name, mib) in processes.own_memory(stack).items():
            names[pid] = name
            samples[pid].append((time.monotonic() - began, mib))

    thread.start()
    while thread.is_alive():
        sample_memory()
        thread.join(min(SAMPLE_SECONDS, plan.steady_seconds / 12))
    sample_memory()
    if not outcomes:
        raise load.LoadError("the mixed load did not run")
    slopes: dict[str, float] = {}
    for pid, points in samples.items():
        # A process that has ended meanwhile does not grow. On a busy machine a short load may have two samples alone.
        if len(points) > 1 and psutil.pid_exists(pid):
            late = points[min(len(points) // 2, len(points) - 2) :]
            slope = statistics.linear_regression(*zip(*late, strict=True)).slope * 60
            slopes[names[pid]] = max(round(slope, 3), slopes.get(names[pid], slope))
    [outcome] = outcomes
    return {
        "seconds": plan.steady_seconds,
        "requests": outcome.requests,
        "refused": outcome.refused,
        "broken": outcome.broken,
        "growth_mb_a_minute": dict(sorted(slopes.items(), key=lambda item: -item[1])),
    }
