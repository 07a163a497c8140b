"""`make run` from outside: what it leaves behind, what it finds again, and who may run beside it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from deploy.local.postgres import SUPERUSER, database_url
from tests.support.ports import stack_port
from tests.support.stack import STOP_SECONDS, Stack
from tests.support.story import Market, ok


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that PostgreSQL's uid can reach when root runs the tests."""
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o711)
    yield tmp_path / "data"


def those_of(data_dir: Path) -> list[str]:
    """What runs with this folder in its command line or as its working folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join(process.cmdline()) + process.cwd()
            if str(data_dir) in told and process.pid != os.getpid():
                found.append(told)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_takes_at_most_ten_seconds_and_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    stack = Stack(folder).start()
    below = stack.supervisor().children(recursive=True)
    began = time.monotonic()

    stack.signal(number)

    assert stack.wait(STOP_SECONDS) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert not [process for process in below if process.is_running()]
    assert those_of(folder) == []


def test_a_stop_finishes_what_is_under_way(folder: Path) -> None:
    stack = Stack(folder).start()
    gig = Market.of(stack).gig()["id"]
    connection = psycopg2.connect(database_url(stack.layout, "gigs", SUPERUSER))
    with ThreadPoolExecutor(1) as pool, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE gigs")
        under_way = pool.submit(httpx.get, f"{stack.url}/api/gigs/{gig}", timeout=10)
        time.sleep(0.3)
        assert not under_way.done()

        stack.signal(signal.SIGTERM)
        time.sleep(0.6)
        connection.rollback()

        assert under_way.result().status_code == 200
    connection.close()
    assert stack.wait(STOP_SECONDS) == 0


def test_a_second_start_finds_the_data_of_the_first(folder: Path) -> None:
    first = Stack(folder).start()
    gig = Market.of(first).gig()
    token = first.token("webdev_pro", "seller")
    first.stop()

    second = Stack(folder).start()
    try:
        assert ok(httpx.get(f"{second.url}/api/gigs/{gig['id']}"))["title"] == gig["title"]
        mine = {"authorization": f"Bearer {token}"}
        assert ok(httpx.get(f"{second.url}/api/orders", headers=mine)) == {"results": []}
    finally:
        second.stop()


def test_two_stacks_run_beside_each_other_and_know_nothing_of_each_other(stack: Stack, folder: Path) -> None:
    other = Stack(folder).start()
    try:
        gig = Market.of(other).gig()

        assert httpx.get(f"{stack.url}/api/gigs/{gig['id']}").status_code == 404
        foreign = {"authorization": f"Bearer {other.token('webdev_pro', 'seller')}"}
        assert httpx.get(f"{stack.url}/api/orders", headers=foreign).status_code == 401
    finally:
        other.stop()


def test_a_taken_port_is_named_before_anything_starts(stack: Stack, folder: Path) -> None:
    with pytest.raises(RuntimeError, match=str(stack.ports.edge)):
        Stack(folder, port=stack.ports.edge).start()

    assert those_of(folder) == []


def test_a_folder_in_use_is_named_before_anything_starts(stack: Stack) -> None:
    second = Stack(stack.data_dir, port=stack_port())
    second.output = stack.output.with_name("second.log")

    with pytest.raises(RuntimeError, match=str(stack.data_dir)):
        second.start()


def test_a_wrong_setting_is_named_and_nothing_starts(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="GIG_WORKERS"):
        Stack(folder, GIG_WORKERS="nine").start()

    assert not folder.exists()


def test_what_is_killed_with_the_foreground_process_does_not_outlive_it(folder: Path) -> None:
    stack = Stack(folder).start()
    below = stack.supervisor().children(recursive=True)

    stack.signal(signal.SIGKILL)

    _, alive = psutil.wait_procs(below, timeout=STOP_SECONDS)
    assert alive == []
