"""Work that is done again and again beside the calls."""

from __future__ import annotations

import threading
import time

from servicekit.database import Database, DatabaseAway
from servicekit.periodic import PeriodicTask


class Work:
    """Counts its rounds, and fails in those that it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.rounds = 0
        self.third = threading.Event()
        self._failures = list(failures)

    def __call__(self) -> None:
        self.rounds += 1
        if self.rounds >= 3:
            self.third.set()
        if self._failures:
            raise self._failures.pop(0)


def test_rounds_go_on_after_a_failure_and_after_a_database_that_was_away(order_database: Database) -> None:
    work = Work(ValueError("broken"), DatabaseAway())
    rounds = PeriodicTask("work", work, 0.01, order_database)

    rounds.start()

    assert work.third.wait(5)
    rounds.stop()


def test_no_round_begins_after_the_stop(order_database: Database) -> None:
    work = Work()
    rounds = PeriodicTask("work", work, 0.01, order_database)
    rounds.start()
    assert work.third.wait(5)

    began = time.monotonic()
    rounds.stop()

    stopped_after = work.rounds
    assert time.monotonic() - began < 1
    time.sleep(0.1)
    assert work.rounds == stopped_after


def test_a_stop_does_not_wait_for_a_round_that_hangs(order_database: Database) -> None:
    go_on = threading.Event()
    rounds = PeriodicTask("work", lambda: go_on.wait(30), 0.01, order_database)
    rounds.start()
    began = time.monotonic()

    rounds.stop()

    assert time.monotonic() - began < 2
    go_on.set()
