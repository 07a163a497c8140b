"""`python -m benchmarks.writes`: creating and rating a gig in an empty marketplace and among a million gigs.

Both marketplaces are written to in turn. Printed are the medians of PostgreSQL's CPU time in milliseconds, and the rows
of each table that one new rating writes.
"""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path
from statistics import median
from uuid import UUID

from benchmarks.search_data import load
from gig_service.commands.apply_rating import ApplyRating
from gig_service.domain.gig import GigDetails, PackageDetails
from gig_service.domain.rating import GigRating, RatingTotals
from gig_service.store.store import Store
from servicekit import logs
from servicekit.database import Database, Statement
from tests.support.gigs import OWNER, WEB_DEV
from tests.support.postgres import PostgresServer

PID = Statement("SELECT pg_backend_pid() AS pid, pg_stat_force_next_flush()::text")
WRITTEN = Statement("""
    SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del FROM pg_stat_user_tables ORDER BY relname
""")
WORDS = ("logo", "banner", "poster", "website", "shop", "song", "voice", "essay", "plan", "photo", "video", "app")


class Marketplace:
    """A database that is written to, and the CPU time of its writes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = Store(database)
        self.store.sellers.remember(OWNER, "webdev_pro")
        self.times: dict[str, list[float]] = {"create": [], "rate": []}
        self._pid = database.fetch_all(PID)[0]["pid"]

    def create_and_rate(self, number: int) -> None:
        """Create a gig with three packages and a description of 45 words, and give it a rating."""
        began = self._cpu()
        gig_id = self._create(number)
        created = self._cpu()
        ApplyRating(self.store).execute(gig_id, GigRating(1, RatingTotals(1, 5)))
        self.times["create"].append((created - began) / 1e6)
        self.times["rate"].append((self._cpu() - created) / 1e6)

    def written_by_a_rating(self) -> dict[str, tuple[int, ...]]:
        """Return the rows that one new rating inserts, updates (of these within their page) and deletes, by table."""
        gig_id = self._create(0)
        before = self._written()
        ApplyRating(self.store).execute(gig_id, GigRating(1, RatingTotals(1, 5)))
        after = self._written()
        changes = {name: tuple(b - a for a, b in zip(before[name], after[name], strict=True)) for name in before}
        return {name: rows for name, rows in changes.items() if any(rows)}

    def _create(self, number: int) -> UUID:
        words = [f"{WORDS[(number + place * place) % 12]}{'s' * (place % 2)}" for place in range(45)]
        details = GigDetails(f"A {words[0]} and a {words[1]}", " ".join(words), UUID(WEB_DEV), (words[2], words[3]))
        packages = [PackageDetails("Basic", "", Decimal(price), 5, (), 1) for price in (20, 50, 90)]
        with self.store.transaction():
            return self.store.gigs.create(OWNER, details, packages)

    def _cpu(self) -> int:
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0])

    def _written(self) -> dict[str, tuple[int, ...]]:
        self.database.fetch_all(PID)
        return {row.pop("relname"): tuple(row.values()) for row in self.database.fetch_all(WRITTEN)}


def compare(empty: Marketplace, full: Marketplace, runs: int) -> None:
    """Write to both in turn and print the medians and the ratios."""
    for number in range(runs):
        for each in (empty, full):
            each.create_and_rate(number)
    print(f"{'median ms of CPU':18}{'empty':>9}{'full':>9}{'ratio':>8}")
    for name, times in empty.times.items():
        few, many = median(times), median(full.times[name])
        print(f"{name:18}{few:9.2f}{many:9.2f}{many / few:8.2f}")
    print("a rating writes (inserted, updated, of these within the page, deleted):", full.written_by_a_rating())


def main() -> None:
    """Load the full marketplace and compare it with an empty one."""
    parser = argparse.ArgumentParser(prog="make benchmark NAME=writes", description=__doc__)
    parser.add_argument("--gigs", type=int, default=1_000_000, help="the gigs of the full marketplace")
    parser.add_argument("--runs", type=int, default=300, help="gigs that are created in each")
    arguments = parser.parse_args()
    logs.configure("WARNING", "console")
    server = PostgresServer()
    server.start()
    try:
        full = Database(server.fresh("gig"), statement_timeout_ms=0)
        load(full, arguments.gigs)
        empty = Database(server.fresh("gig"), statement_timeout_ms=0)
        compare(Marketplace(empty), Marketplace(full), arguments.runs)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
