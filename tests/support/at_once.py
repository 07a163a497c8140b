"""Things that happen at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from servicekit.database import Database
from servicekit.errors import MarketplaceError

T = TypeVar("T")


def closing(database: Database, work: Callable[[], T]) -> Callable[[], T]:
    """The work, which leaves no connection of its thread behind."""

    def run() -> T:
        try:
            return work()
        finally:
            database.close()

    return run


def at_once(works: Sequence[Callable[[], object]], database: Database) -> list[str]:
    """What becomes of each when all start at the same moment: `won`, or the code of the refusal."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> str:
        barrier.wait(10)
        try:
            closing(database, work)()
        except MarketplaceError as refused:
            return refused.code
        return "won"

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))
