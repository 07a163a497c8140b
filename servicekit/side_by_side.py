"""Work on several things at once, for periodic tasks that wait for another part most of the time."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from servicekit.database import Database

T = TypeVar("T")


def side_by_side(work: Callable[[T], object], items: Sequence[T], threads: int, database: Database) -> None:
    """Call `work` for each item, in so many threads at once, and wait until all have ended.

    The threads are daemons, which close their connections to the database. Raises the first error, when all have ended.
    """
    left = deque(items)
    errors: list[Exception] = []

    def next_item() -> T | None:
        try:
            return left.popleft()
        except IndexError:
            return None

    def run() -> None:
        try:
            while not errors and (item := next_item()) is not None:
                work(item)
        except Exception as error:  # raised below
            errors.append(error)
        finally:
            database.close()

    # Each thread has a copy of the caller's context, so that its spans belong to the caller's.
    running = [
        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
        for _ in range(min(threads, len(items)))
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
