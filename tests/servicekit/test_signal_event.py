"""An event that the handler of a signal sets, whatever the interrupted thread does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from servicekit.signal_event import SignalEvent

ROOT = Path(__file__).resolve().parents[2]

# Signals that come after random times, most of them while the event is waited for.
PROGRAM = """
import random, signal, sys
from servicekit.signal_event import SignalEvent

def wait(event, seconds):
    while not event.wait(seconds):
        pass

for number in range(2_000):
    event = SignalEvent()
    signal.signal(signal.SIGALRM, lambda *_: event.set())
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 2e-4))
    wait(event, float("inf") if number % 2 else 1e-6)
print("no signal was lost")
"""


def test_a_signal_ends_the_wait_that_it_interrupts() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert ended.stdout == "no signal was lost\n"


def test_one_set_ends_all_waits() -> None:
    event = SignalEvent()
    ended: list[bool] = []
    threads = [threading.Thread(target=lambda: ended.append(event.wait())) for _ in range(5)]
    for thread in threads:
        thread.start()

    event.set()

    for thread in threads:
        thread.join()
    assert ended == [True] * 5
    assert event.is_set()


def test_a_wait_ends_after_its_time() -> None:
    event = SignalEvent()

    assert event.wait(0.01) is False
