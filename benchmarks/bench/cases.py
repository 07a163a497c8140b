"""The comparisons at peak load: which requests, and which sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import httpx

from benchmarks.bench import load, sides
from benchmarks.bench.load import Request
from benchmarks.bench.market import Market
from benchmarks.bench.plan import Plan
from benchmarks.bench.rounds import Result, Work, alternate
from benchmarks.bench.sides import Side
from benchmarks.peers import search_sql
from deploy.local.postgres import programs
from marketplace.gig.v1 import gig_pb2, gig_pb2_grpc
from tests.support.stack import Stack

CONNECTIONS = 16
GET_GIG = "/marketplace.gig.v1.GigService/GetGig"
ASYNCPG, SQLALCHEMY = "FastAPI + asyncpg", "FastAPI + SQLAlchemy"
MODULES = {ASYNCPG: "fastapi_asyncpg", SQLALCHEMY: "fastapi_sqlalchemy"}


@dataclass(frozen=True)
class Case:
    """A comparison of one kind of request."""

    name: str
    title: str
    requests: Sequence[Request]
    cached: bool = False

    def work(self, side: Side, plan: Plan) -> Work:
        """Return the load of one side."""
        return partial(load.http, side.url, self.requests, plan.seconds, CONNECTIONS, cached=self.cached)


def cases(market: Market) -> list[Case]:
    """Return the comparisons over HTTP."""
    return [
        Case("hot gig", "a gig page from the cache: 100 gigs in turn", market.pages(100), cached=True),
        Case("hot search", "a search page from the cache: 20 searches in turn", market.searches(20), cached=True),
        Case("gig", "a gig page past the cache: 1,000 gigs in turn", market.pages(1000)),
        Case("search", "a search page past the cache: by category in each order, 100 in turn", market.searches(100)),
        Case("order", "placing an order, with an idempotency key", market.orders(1000)),
    ]


def choose_workers(stack: Stack, market: Market, plan: Plan) -> dict[str, dict[int, float]]:
    """Return the rate of gig pages of each peer with each number of processes, where there are several."""
    if len(plan.workers) == 1:
        return {name: {plan.workers[0]: 0.0} for name in MODULES}
    rates: dict[str, dict[int, float]] = {}
    for name, module in MODULES.items():
        for workers in plan.workers:
            with sides.fastapi(name, module, workers, stack) as side:
                warm_up(side, market)
                outcome = load.http(side.url, market.pages(1000), plan.seconds, CONNECTIONS)
            rates.setdefault(name, {})[workers] = round(outcome.rate, 1)
    return rates


@contextmanager
def peers(stack: Stack, workers: Mapping[str, Mapping[int, float]]) -> Iterator[dict[str, Side]]:
    """Run the peers, each with the number of processes that was fastest; where that was not measured, with two."""
    with ExitStack() as running:
        started = {}
        for name, module in MODULES.items():
            rates = workers.get(name, {2: 0.0})
            best = max(rates, key=lambda count: rates[count])
            started[name] = running.enter_context(sides.fastapi(name, module, best, stack))
        yield started


def warm_up(side: Side, market: Market) -> None:
    """Let every process of a side answer some requests."""
    with httpx.Client(base_url=side.url, timeout=sides.TIMEOUT) as client:
        for request in (*market.pages(20), *market.searches(20)):
            client.get(request.path).raise_for_status()


def compare_reads(case: Case, product: Side, others: Sequence[Side], plan: Plan) -> Mapping[str, Result]:
    """Compare reads of the product with those of others, all with the same tool and as many connections."""
    return alternate([(side, case.work(side, plan)) for side in (product, *others)], plan.rounds)


def compare_orders(case: Case, stack: Stack, plan: Plan) -> Mapping[str, Result]:
    """Compare placings of the product with those of one process on one database."""
    with sides.orders(stack) as peer:
        contestants = [sides.edge(stack), peer]
        results = alternate([(side, case.work(side, plan)) for side in contestants], plan.rounds)
    for name, result in results.items():
        if result["refused"]:
            result["failed"] = f"{name} refused {result['refused']} orders"
    return results


def compare_rpcs(stack: Stack, market: Market, plan: Plan) -> Mapping[str, Result]:
    """Compare a direct GetGig with an empty handler."""
    worker = sides.worker(stack)
    request = gig_pb2.GetGigRequest(gig_id=market.gigs[0])
    with grpc.insecure_channel(f"127.0.0.1:{worker.port}") as channel:
        # h2load does not read gRPC's own status, so one call shows that the request is right.
        gig_pb2_grpc.GigServiceStub(channel).GetGig(request, timeout=sides.TIMEOUT)
    with sides.empty_rpc(stack, GET_GIG) as empty:
        message = request.SerializeToString()

        def work(side: Side) -> Work:
            return partial(load.grpc, side.port, GET_GIG, message, plan.seconds, 4, 4)

        return alternate([(side, work(side)) for side in (worker, empty)], plan.rounds)


def run_sql(stack: Stack, market: Market, plan: Plan) -> Mapping[str, Result]:
    """Run the peer's statement of a gig's page by pgbench."""
    url = sides.gig_url(stack)
    postgres = sides.worker(stack).groups()["PostgreSQL"]
    side = Side("pgbench", url, lambda: {"PostgreSQL": postgres})
    # pgbench's own variables are numbers, so each gig has a script of its own.
    statements = [search_sql.GIG.replace("$1", f"'{gig}'").replace("$2", "'media'") for gig in market.gigs[:50]]
    work = partial(load.sql, Path(programs()) / "pgbench", url, statements, plan.seconds, 4)
    return alternate([(side, work)], plan.rounds)
