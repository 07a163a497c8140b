"""Concurrent calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from servicekit.database import Database
from servicekit.errors import MarketplaceError

T = TypeVar("T")


def closing(database: Database, work: Callable[[], T]) -> Callable[[], T]:
    """Return the work, followed by closing its thread's connection."""

    def run() -> T:
        try:
            return work()
        finally:
            database.close()

    return run


def at_once(works: Sequence[Callable[[], object]], database: Database) -> list[str]:
    """Run all works at the same time. Returns `won`, or the error's code, for each."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> str:
        barrier.wait(10)
        try:
            closing(database, work)()
        except MarketplaceError as error:
            return error.code
        return "won"

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))
