"""Gigs in bulk for benchmarks of GigService's SQL: those of `make load-data`, in one database without a stack."""

from __future__ import annotations

from decimal import Decimal

from rich.console import Console

from deploy.local.load_data.__main__ import ShownProgress, run
from deploy.local.load_data.loading import Target
from deploy.local.load_data.plan import SIZE
from servicekit.database import Database
from tests.support.postgres import url_of


def load(database: Database, gigs: int) -> None:
    """Bring the database of a GigService to so many gigs, analysed."""
    target = Target({"gig": url_of(database)}, "USD", Decimal(10))
    run(target, seed=1, gigs=gigs, size=SIZE, progress=ShownProgress(Console(stderr=True)))
