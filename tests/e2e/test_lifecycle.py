"""`make run` from outside: what it leaves behind and what it finds again."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from deploy.local.postgres import SUPERUSER, database_url
from tests.support.eventually import eventually
from tests.support.stack import Stack, processes_of
from tests.support.story import Market, ok

# A stop takes ten seconds at most on a machine that is not overloaded; the benchmark of recovery measures it.
WAIT_SECONDS = 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    stack = Stack(folder, workers=1).start()
    below = stack.supervisor().children(recursive=True)

    stack.signal(number)

    assert stack.wait(WAIT_SECONDS) == 0
    assert not [process for process in below if process.is_running()]
    assert processes_of(folder) == []


def is_waiting_for_a_lock(stack: Stack) -> bool:
    """Whether a statement of GigService waits for a lock."""
    connection = psycopg2.connect(database_url(stack.layout, "gigs", SUPERUSER))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT true FROM pg_locks WHERE NOT granted")
            return cursor.fetchone() is not None
    finally:
        connection.close()


def test_a_stop_finishes_what_is_under_way(folder: Path) -> None:
    stack = Stack(folder, workers=1).start()
    gig = Market.of(stack).gig()["id"]
    connection = psycopg2.connect(database_url(stack.layout, "gigs", SUPERUSER))
    with ThreadPoolExecutor(1) as pool, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE gigs")
        under_way = pool.submit(httpx.get, f"{stack.url}/api/gigs/{gig}", timeout=10)
        eventually(lambda: is_waiting_for_a_lock(stack))

        stack.signal(signal.SIGTERM)
        eventually(lambda: "Stopping" in stack.output.read_text())
        connection.rollback()

        assert under_way.result().status_code == 200
    connection.close()
    assert stack.wait(WAIT_SECONDS) == 0


def test_a_second_start_finds_the_data_of_the_first(folder: Path) -> None:
    first = Stack(folder, workers=1).start()
    gig = Market.of(first).gig()
    token = first.token("webdev_pro", "seller")
    first.stop()

    second = Stack(folder, workers=1).start()
    try:
        assert ok(httpx.get(f"{second.url}/api/gigs/{gig['id']}"))["title"] == gig["title"]
        mine = {"authorization": f"Bearer {token}"}
        assert ok(httpx.get(f"{second.url}/api/orders", headers=mine)) == {"results": []}
    finally:
        second.stop()


def test_a_wrong_setting_is_named_and_nothing_starts(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="GIG_WORKERS"):
        Stack(folder, GIG_WORKERS="nine").start()

    assert not folder.exists()


def test_what_is_killed_with_the_foreground_process_does_not_outlive_it(folder: Path) -> None:
    stack = Stack(folder, workers=1).start()
    below = stack.supervisor().children(recursive=True)

    stack.signal(signal.SIGKILL)

    _, alive = psutil.wait_procs(below, timeout=WAIT_SECONDS)
    assert alive == []
