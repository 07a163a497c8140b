"""Periodic tasks."""

from __future__ import annotations

import threading
import time

from servicekit.database import Database, DatabaseAway
from servicekit.periodic import PeriodicTask


class Work:
    """Work that counts its runs. The first ones raise the given errors."""

    def __init__(self, *failures: Exception) -> None:
        self.runs = 0
        self.third = threading.Event()
        self._failures = list(failures)

    def __call__(self) -> None:
        self.runs += 1
        if self.runs >= 3:
            self.third.set()
        if self._failures:
            raise self._failures.pop(0)


def test_runs_go_on_after_an_error_and_while_the_database_is_unavailable(order_database: Database) -> None:
    work = Work(ValueError("broken"), DatabaseAway())
    task = PeriodicTask("work", work, 0.01, order_database)

    task.start()

    assert work.third.wait(5)
    task.stop()


def test_no_run_begins_after_the_stop(order_database: Database) -> None:
    work = Work()
    task = PeriodicTask("work", work, 0.01, order_database)
    task.start()
    assert work.third.wait(5)

    task.stop()

    stopped_after = work.runs
    time.sleep(0.1)
    assert work.runs == stopped_after


def test_a_stop_does_not_wait_for_a_run_that_hangs(order_database: Database) -> None:
    go_on = threading.Event()
    task = PeriodicTask("work", lambda: go_on.wait(30), 0.01, order_database)
    task.start()
    began = time.monotonic()

    task.stop()

    assert time.monotonic() - began < 20
    go_on.set()
