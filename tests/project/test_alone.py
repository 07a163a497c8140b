"""A test that is marked `alone` has no other test beside it, and does not wait for ever."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from tests.support.alone import turn


class Turn:
    """A turn in a thread of its own, which ends when it is told."""

    def __init__(self, folder: Path, *, alone: bool) -> None:
        self.has_begun = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder, alone), daemon=True)
        self._thread.start()

    def _run(self, folder: Path, alone: bool) -> None:
        with turn(folder, alone=alone):
            self.has_begun.set()
            self._end.wait(60)

    def waits(self) -> bool:
        return not self.has_begun.wait(0.3)

    def begins(self) -> bool:
        return self.has_begun.wait(30)

    def end(self) -> None:
        self._end.set()
        self._thread.join(30)


def test_ordinary_tests_run_beside_each_other(tmp_path: Path) -> None:
    first, second = Turn(tmp_path, alone=False), Turn(tmp_path, alone=False)

    assert first.begins() and second.begins()

    first.end()
    second.end()


def test_one_that_runs_alone_waits_for_the_others_and_those_that_come_later_wait_for_it(tmp_path: Path) -> None:
    earlier = Turn(tmp_path, alone=False)
    assert earlier.begins()
    alone = Turn(tmp_path, alone=True)
    assert alone.waits()
    later = Turn(tmp_path, alone=False)
    assert later.waits()

    earlier.end()
    assert alone.begins()
    assert later.waits()

    alone.end()
    assert later.begins()
    later.end()


def test_a_child_that_was_forked_during_a_turn_does_not_prolong_it(tmp_path: Path) -> None:
    with turn(tmp_path, alone=True):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        following = Turn(tmp_path, alone=True)
        assert following.begins()
        following.end()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
