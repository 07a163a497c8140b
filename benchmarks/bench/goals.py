"""The goals, each with what a run reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.bench.cases import ASYNCPG, SQLALCHEMY

Results = dict[str, Any]
PRODUCT, DIRECT, EMPTY, WORKER = "product", "Envoy's direct response", "empty grpcio handler", "GigService"


class Goal(NamedTuple):
    """A goal: `reached` reads it from the results, and raises KeyError when it was not measured."""

    text: str
    bound: float
    reached: Callable[[Results], float]
    # Whether the bound is the least, or the most.
    at_least: bool = True
    unit: str = ""

    def row(self, results: Results) -> list[str]:
        """Return the row of the report's table."""
        sign = "≥" if self.at_least else "≤"
        wanted = f"{sign} {self.bound:g}{self.unit}"
        try:
            value = self.reached(results)
        except (KeyError, ZeroDivisionError, ValueError):
            return [self.text, wanted, "not measured", ""]
        is_met = value >= self.bound if self.at_least else value <= self.bound
        shown = f"{value:.3g}" if value < 1000 else f"{value:.0f}"
        return [self.text, wanted, f"{shown}{self.unit}", "yes" if is_met else "**no**"]


def _rate(results: Results, case: str, side: str) -> float:
    return float(results["cases"][case][side]["rate"])


def _cpu(results: Results, case: str, side: str) -> float:
    return float(sum(results["cases"][case][side]["cpu_us"].values()))


def _ratio(case: str, over: str) -> Callable[[Results], float]:
    return lambda results: _rate(results, case, PRODUCT) / _rate(results, case, over)


def hop_us(results: Results) -> float:
    """Return the CPU that the two hops cost: what a gig's page costs more than the peer's with the same rows."""
    return _cpu(results, "gig", PRODUCT) - _cpu(results, "gig", ASYNCPG)


def _search_without_hops(results: Results) -> float:
    return (_cpu(results, "search", PRODUCT) - hop_us(results)) / _cpu(results, "search", ASYNCPG)


def _direct_rpc(results: Results) -> float:
    rpc = results["cases"]["rpc"]
    return float(rpc[WORKER]["cpu_us"][WORKER] / sum(rpc[EMPTY]["cpu_us"].values()))


def _overload_share(results: Results) -> float:
    return float(results["overload"]["good_rate"] / results["overload"]["peak"])


def _unhelpful(results: Results) -> float:
    """Return the answers of an overload that are neither good nor a 503 with Retry-After."""
    found = results["overload"]
    bad = sum(count for status, count in found["statuses"].items() if int(status) >= 400)
    return float(bad - found["retry_after"] + found["broken"] + found["unanswered"])


def _largest(results: Results) -> Results:
    sizes: Results = results["sizes"]
    largest: Results = sizes[max(sizes, key=int)]
    return largest


def _value(part: str, name: str) -> Callable[[Results], float]:
    return lambda results: float(results[part][name])


def _mix(name: str) -> Callable[[Results], float]:
    return lambda results: float(_largest(results)["mix"][name])


def _growth(kind: str) -> Callable[[Results], float]:
    def reached(results: Results) -> float:
        smallest, largest = (results["sizes"][pick(results["sizes"], key=int)] for pick in (min, max))
        if smallest is largest:
            raise KeyError(kind)
        return float(largest["cost"][kind]["cpu_us"] / smallest["cost"][kind]["cpu_us"])

    return reached


GOALS = (
    Goal("hot gig page, times FastAPI + asyncpg", 6, _ratio("hot gig", ASYNCPG)),
    Goal("hot search page, times FastAPI + asyncpg", 6, _ratio("hot search", ASYNCPG)),
    Goal("hot gig page, of Envoy's direct response", 0.5, _ratio("hot gig", DIRECT)),
    Goal("hot search page, of Envoy's direct response", 0.5, _ratio("hot search", DIRECT)),
    Goal("gig page past the cache, of FastAPI + asyncpg", 0.65, _ratio("gig", ASYNCPG)),
    Goal("gig page past the cache, times FastAPI + SQLAlchemy", 2.5, _ratio("gig", SQLALCHEMY)),
    Goal("CPU of a gig page past the cache", 750, lambda results: _cpu(results, "gig", PRODUCT), False, " µs"),
    Goal("CPU of a search page less the two hops, times FastAPI + asyncpg", 1, _search_without_hops, False),
    Goal("placing an order, times FastAPI + SQLAlchemy in one process", 1.5, _ratio("order", SQLALCHEMY)),
    Goal("CPU of placing an order", 5, lambda results: _cpu(results, "order", PRODUCT) / 1000, False, " ms"),
    Goal("CPU of a direct GetGig in the service, times an empty handler", 2, _direct_rpc, False),
    Goal(
        "slowest p99 at half the peak",
        50,
        lambda results: max(each["p99"] for each in results["half"].values()),
        False,
        " ms",
    ),
    Goal("p99 of 10,000 gigs in turn", 100, _value("wide", "p99"), False, " ms"),
    Goal("errors of 10,000 gigs in turn", 0, _value("wide", "errors"), False),
    Goal("p99 of good answers at twice the peak", 1000, _value("overload", "p99"), False, " ms"),
    Goal("good answers at twice the peak, of the peak", 0.8, _overload_share),
    Goal("answers at twice the peak that are neither good nor 503 with Retry-After", 0, _unhelpful, False),
    Goal("normal after an overload", 5, _value("overload", "normal_after_s"), False, " s"),
    Goal("memory of the whole stack, idle", 700, _value("idle", "whole"), False, " MiB"),
    Goal("start to first answer, new folder", 8, _value("start", "first"), False, " s"),
    Goal(
        "growth of a process at the end of the mixed load",
        1,
        lambda results: max(results["steady"]["growth_mb_a_minute"].values()),
        False,
        " MB/min",
    ),
    Goal(
        "p50 of the search mix at half the peak",
        5,
        _mix("p50"),
        False,
        " ms",
    ),
    Goal(
        "p99 of the search mix at half the peak",
        50,
        _mix("p99"),
        False,
        " ms",
    ),
    Goal(
        "slowest median of a shape of search",
        100,
        lambda results: max(each["median"] for each in _largest(results)["shapes"].values()),
        False,
        " ms",
    ),
    Goal("CPU of browsing, most gigs over fewest", 1.5, _growth("browsing"), False),
    Goal("CPU of searches by words, most gigs over fewest", 4, _growth("words"), False),
)
