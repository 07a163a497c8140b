"""`python -m benchmarks.search_plans`: each shape of a search at 10,000, 100,000 and a million gigs.

The gigs are those of `make load-data`. Every search runs with values drawn anew: categories and words as often as gigs
have them, ranges of prices around prices of packages. Printed are the medians of PostgreSQL's CPU time in milliseconds,
with the slowest search, the pages of 8 KiB that were read, and the ratio of the largest to the smallest marketplace.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.search_data import load
from gig_service.domain.search import Category, Filters, Sort
from gig_service.domain.words import build_query
from gig_service.store.search import Search
from gig_service.store.vocabulary import Vocabulary
from servicekit import logs
from servicekit.database import Database, Statement
from tests.support.postgres import PostgresServer

SIZES = (10_000, 100_000, 1_000_000)
LIMIT = 21
PID = Statement("SELECT pg_backend_pid() AS pid, pg_stat_force_next_flush()::text")
PAGES = Statement("SELECT blks_hit + blks_read AS pages FROM pg_stat_database WHERE datname = current_database()")
SAMPLE = Statement("""
    SELECT g.category_id, c.parent_id, p.price, p.delivery_days, g.title, g.tags
    FROM gigs AS g JOIN categories AS c ON c.id = g.category_id JOIN packages AS p ON p.gig_id = g.id AND p.position = 2
    ORDER BY md5(g.id::text) LIMIT 500
""")
GIGS = Statement("SELECT count(*) AS gigs FROM gigs")
# How many words of a title a search has, and by which it is sorted.
WORDS = (1, 2, 3)
Asked = tuple[Filters, str, Sort]


class Shapes:
    """Makes searches of each shape, by the gigs of a database."""

    def __init__(self, database: Database) -> None:
        self._vocabulary = Vocabulary(database)
        self._rows = database.fetch_all(SAMPLE)
        self._random = Random(1)

    def all(self) -> Iterator[tuple[str, Callable[[], Asked]]]:
        """Return every shape with its name."""
        sorts = (Sort.RATING, Sort.NEWEST, Sort.PRICE, Sort.PRICE_DESCENDING)
        for scope, sort in product(("all", "category", "section"), sorts):
            for filters in ((), ("price",), ("days",), ("price", "days"), ("rating",), ("tag",)):
                yield self._named(scope, sort, filters)
        for words, scope in product(WORDS, ("all", "category")):
            for filters in ((), ("price",), ("days",)):
                yield self._named(scope, Sort.RELEVANCE, filters, words)
            yield self._named(scope, Sort.NEWEST, (), words)
            yield self._named(scope, Sort.PRICE, ("price",), words)

    def _named(
        self, scope: str, sort: Sort, filters: tuple[str, ...], words: int = 0
    ) -> tuple[str, Callable[[], Asked]]:
        name = " ".join((scope, f"by {sort}", *filters, *([f"{words} words"] if words else [])))
        return name, lambda: self._ask(scope, sort, filters, words)

    def _ask(self, scope: str, sort: Sort, filters: tuple[str, ...], words: int) -> Asked:
        row, other = self._random.choices(self._rows, k=2)
        chosen: dict[str, Any] = {}
        if scope != "all":
            category, parent = row["category_id"], row["parent_id"]
            of = Category(category, "", "", parent) if scope == "category" else Category(parent, "", "", None)
            chosen["category"] = of
        if "price" in filters:
            chosen["min_price"] = round(other["price"] * Decimal("0.7"))
            chosen["max_price"] = round(other["price"] * Decimal("1.3")) + 1
        if "days" in filters:
            chosen["max_delivery_days"] = other["delivery_days"]
        if "rating" in filters:
            chosen["min_rating"] = self._random.choice((4.0, 4.5, 4.9))
        if "tag" in filters:
            chosen["tags"] = (other["tags"][0],)
        return Filters(**chosen), self._query(other["title"], words), sort

    def _query(self, title: str, words: int) -> str:
        if not words:
            return ""
        known = [word.text for word in self._vocabulary.words(title) if word.is_known]
        chosen = self._random.sample(known, min(words, len(known)))
        return build_query(self._vocabulary.words(" ".join(chosen)), {}) or ""


def measure(database: Database, runs: int, only: str) -> dict[str, tuple[float, float, float]]:
    """Return the median and the slowest CPU time in ms, and the pages read, of each shape."""
    search, measured = Search(database), {}
    pid = database.fetch_all(PID)[0]["pid"]
    for name, ask in Shapes(database).all():
        if only not in name:
            continue
        times = []
        before = _pages(database)
        for _ in range(runs):
            filters, words, sort = ask()
            began = _cpu(pid)
            search.page(filters, words, sort, after=None, limit=LIMIT)
            times.append((_cpu(pid) - began) / 1e6)
        measured[name] = median(times), max(times), (_pages(database) - before) / runs
    return measured


def _cpu(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _pages(database: Database) -> int:
    database.fetch_all(PID)
    return int(database.fetch_all(PAGES)[0]["pages"])


def main() -> None:
    """Load the marketplaces and print the table."""
    parser = argparse.ArgumentParser(prog="make benchmark NAME=search_plans", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of gigs")
    parser.add_argument("--url", default="", help="a filled database of GigService to measure last, by its URL")
    parser.add_argument("--runs", type=int, default=25, help="searches of each shape")
    parser.add_argument("--only", default="", help="only shapes whose name has this text")
    arguments = parser.parse_args()
    logs.configure("WARNING", "console")
    server = PostgresServer()
    server.start()
    try:
        measured = []
        for gigs in arguments.sizes:
            database = Database(server.fresh("gig"), statement_timeout_ms=0)
            load(database, gigs)
            measured.append(measure(database, arguments.runs, arguments.only))
            database.close()
        sizes = [*arguments.sizes]
        if arguments.url:
            database = Database(arguments.url, statement_timeout_ms=0)
            sizes.append(database.fetch_all(GIGS)[0]["gigs"])
            measured.append(measure(database, arguments.runs, arguments.only))
        report(sizes, measured)
    finally:
        server.stop()


def report(sizes: list[int], measured: list[dict[str, tuple[float, float, float]]]) -> None:
    """Print a line for each shape."""
    print(f"{'median / slowest ms, pages':34}" + "".join(f"{size:>28,}" for size in sizes) + f"{'ratio':>8}")
    for name, first in measured[0].items():
        columns = "".join("{:10.2f} /{:8.2f} {:7.0f}".format(*each[name]) for each in measured)
        print(f"{name:34}{columns}{measured[-1][name][0] / max(first[0], 0.001):8.2f}", flush=True)


if __name__ == "__main__":
    main()
