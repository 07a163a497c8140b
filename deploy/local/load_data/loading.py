"""The processes that make batches and store them."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing import active_children, get_context
from typing import Any, Protocol

from deploy.local.load_data import market, rows, texts
from deploy.local.load_data.plan import Batch
from deploy.local.privileges import set_parent_death_signal
from gig_service.store import bulk_load as gigs
from gig_service.store.categories import Categories
from order_service.payments.sandbox import bulk_load as sandbox
from order_service.store import bulk_load as orders
from review_service.store import bulk_load as reviews
from servicekit.bulk_load import BulkLoad, SetAside
from servicekit.database import Database

TABLES = {"gig": gigs.TABLES, "order": orders.TABLES, "sandbox": sandbox.TABLES, "review": reviews.TABLES}
KEPT: dict[str, tuple[str, ...]] = {"order": orders.KEPT, "sandbox": ("refunds_due", "payments_charged_back_late")}
# While one process waits for its database, the others go on.
MORE_PROCESSES_THAN_CORES = 2


@dataclass(frozen=True, slots=True)
class Target:
    """The databases to fill, by their names, and the rules of the deployment's orders."""

    urls: dict[str, str]
    currency: str
    commission_percent: Decimal

    def open(self, name: str) -> BulkLoad:
        """Connect to a database."""
        return BulkLoad(Database(self.urls[name], statement_timeout_ms=0))


class Progress(Protocol):
    """Shows how far the load is."""

    def begin(self, phase: str, total: int) -> None:
        """Begin a phase of so many steps."""

    def advance(self, steps: int) -> None:
        """Make steps of the phase."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A batch, and the databases that do not have it yet."""

    batch: Batch
    databases: frozenset[str]


class Worker:
    """What a process keeps between its tasks."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open: dict[str, BulkLoad] = {}
        self._services: texts.Services | None = None

    def database(self, name: str) -> BulkLoad:
        """Return this process's connection."""
        if name not in self._open:
            self._open[name] = self._target.open(name)
        return self._open[name]

    def store(self, missing: Missing) -> Counter[str]:
        """Make a batch and store it where it is missing. Return the seconds of each part."""
        seconds: Counter[str] = Counter()
        batch = missing.batch
        with _timed(seconds, "making"):
            parts = self._make(missing)
        for name, write, its_rows in parts:
            bulk = self.database(name)
            with _timed(seconds, name), bulk.batch(batch.seed, batch.number):
                write(bulk, its_rows)
        return seconds

    def _make(self, missing: Missing) -> list[tuple[str, Callable[[BulkLoad, Any], None], Any]]:
        """Return the databases to write to, in their order, each with its function and the rows."""
        if self._services is None:
            self._services = texts.Services(Categories(self.database("gig").database).all())
        batch, databases = missing.batch, missing.databases
        market_ = market.make(batch, self._services)
        parts: list[tuple[str, Callable[[BulkLoad, Any], None], Any]] = []
        # Orders after the gigs that they are of, reviews after their orders: nobody sees one without the other.
        if "gig" in databases:
            parts.append(("gig", gigs.write, rows.gig_rows(market_, batch, self._services)))
        if databases & {"sandbox", "order"}:
            percent, currency = self._target.commission_percent, self._target.currency
            made = rows.order_rows(market_, batch, percent)
            if "sandbox" in databases:
                parts.append(("sandbox", sandbox.write, rows.sandbox_rows(*made, currency)))
            if "order" in databases:
                order_rows = orders.rows(self.database("order"), *made, currency, str(percent))
                parts.append(("order", orders.write, order_rows))
        if "review" in databases:
            parts.append(("review", reviews.write, rows.review_rows(market_, batch)))
        return parts

    def restore(self, name: str, item: SetAside) -> Counter[str]:
        """Make an index or a foreign key again."""
        seconds: Counter[str] = Counter()
        with _timed(seconds, item.name):
            self.database(name).restore(item)
        return seconds

    def vacuum(self, name: str, table: str) -> Counter[str]:
        """Vacuum and analyze a table."""
        seconds: Counter[str] = Counter()
        with _timed(seconds, table):
            self.database(name).vacuum(table)
        return seconds


# Of this process, set when a pool starts it.
_worker: Worker | None = None


def load(target: Target, batches: list[Missing], progress: Progress) -> dict[str, Counter[str]]:
    """Store the batches, make indexes again that were set aside, and vacuum. Return the seconds of each part."""
    report: dict[str, Counter[str]] = {}
    with _pool(target) as pool:
        progress.begin("gigs with their orders", sum(each.batch.gigs for each in batches))
        tasks = {pool.submit(_call, "store", each): each.batch.gigs for each in batches}
        report["batches, seconds of all processes"] = _finish(tasks, progress)
        connections = {name: target.open(name) for name in target.urls}
        began = time.monotonic()
        gigs.count_words(connections["gig"])
        report["words"] = Counter({"words": time.monotonic() - began})
        items = [(name, item) for name, bulk in connections.items() for item in bulk.missing()]
        # The longest first, so that the processes end at about the same time.
        items.sort(key=lambda each: (each[1].is_slow, each[1].size), reverse=True)
        progress.begin("indexes and foreign keys", len(items))
        report["indexes"] = Counter()
        for is_index in (True, False):
            now = {pool.submit(_call, "restore", *each): 1 for each in items if each[1].is_index is is_index}
            report["indexes"] += _finish(now, progress)
        tables = [(name, table) for name in target.urls for table in TABLES[name]]
        progress.begin("vacuum and statistics", len(tables))
        report["vacuum"] = _finish({pool.submit(_call, "vacuum", *each): 1 for each in tables}, progress)
    return report


@contextmanager
def _pool(target: Target) -> Iterator[ProcessPoolExecutor]:
    """Start the processes. They end with this one, however it ends."""
    pool = ProcessPoolExecutor(
        len(os.sched_getaffinity(0)) + MORE_PROCESSES_THAN_CORES, get_context("spawn"), _start, (target, os.getpid())
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.terminate()
        raise
    pool.shutdown()


def _start(target: Target, parent: int) -> None:
    global _worker  # one a process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_parent_death_signal(parent, signal.SIGKILL)
    # A batch has no cycles, and looking for them among its millions of objects takes a tenth of the time.
    gc.disable()
    _worker = Worker(target)


def _call(method: str, *arguments: Any) -> Counter[str]:
    assert _worker is not None
    seconds: Counter[str] = getattr(_worker, method)(*arguments)
    return seconds


def _finish(tasks: dict[Future[Counter[str]], int], progress: Progress) -> Counter[str]:
    """Wait for the tasks, and return their seconds added up. Raises the first error of a task."""
    seconds: Counter[str] = Counter()
    waiting = set(tasks)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for task in done:
            seconds += task.result()
            progress.advance(tasks[task])
    return seconds


@contextmanager
def _timed(seconds: Counter[str], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    # A Counter's values may be of any kind of number.
    seconds[name] += time.monotonic() - began  # type: ignore[assignment]
