"""`python -m order_service.attempts`: open attempts are listed, retried and dropped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from order_service import attempts
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.identity import user_id
from tests.support.order_rows import row_counts
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.postgres import url_of

AWAY = Sandbox(Database("postgresql://nobody@127.0.0.1:1/nothing"))


def order_id(world: OrderBackend) -> UUID:
    """Return the order of the oldest attempt."""
    return world.store.attempts.listed(1)[0][0].attempt.order_id


def in_doubt(world: OrderBackend, key: str = "k") -> UUID:
    """Place an order while the provider is away. Return its id."""
    world.use_sandbox(AWAY)
    assert world.place(key=key).error == "OUTCOME_UNKNOWN"
    world.use_sandbox(world.sandbox)
    return order_id(world)


@contextmanager
def recovering(world: OrderBackend) -> Iterator[None]:
    """Let another worker recover attempts meanwhile."""
    stop = threading.Event()

    def recover() -> None:
        worker = world.another_worker()
        while not stop.wait(0.05):
            worker.worker.payment_recovery.recover_due()
        world.database.close()

    thread = threading.Thread(target=recover)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_open_attempts_are_listed_with_buyer_amount_age_and_state(
    world: OrderBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    first = in_doubt(world)
    world.place(key="confirm", payment_token=scenarios.CONFIRM_NEVER)
    world.travel(timedelta(minutes=5))
    capsys.readouterr()

    attempts.show(world.store)

    heading, columns, oldest, newest = capsys.readouterr().out.splitlines()
    assert heading == "2 open"
    assert columns.split() == list(attempts.COLUMNS)
    assert oldest.split()[:7] == [str(first), "authorize", str(user_id("happy_buyer")), "500.00", "USD", "5", "min"]
    assert "waits for the provider, is due" in oldest
    assert "awaits confirmation until 20" in newest


def test_without_attempts_the_list_says_so(world: OrderBackend, capsys: pytest.CaptureFixture[str]) -> None:
    attempts.show(world.store)

    assert capsys.readouterr().out == "No attempt is open.\n"


def test_a_capture_is_listed_and_cannot_be_dropped(world: OrderBackend, capsys: pytest.CaptureFixture[str]) -> None:
    order = UUID(world.placed(card=scenarios.CAPTURE_TIMEOUT))
    world.act("accept", str(order), SELLER)
    capsys.readouterr()

    status = attempts.drop(world.store, order)
    attempts.show(world.store)

    printed = capsys.readouterr()
    assert status == 1
    assert "cannot be dropped" in printed.err
    assert f"{order}  capture" in printed.out
    assert "500.00 USD" in printed.out
    assert row_counts(world)["attempts"] == 1


def test_a_dropped_placing_is_voided_by_a_worker_and_frees_its_key(
    world: OrderBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    world.place(key="k", payment_token=scenarios.TIMEOUT_AFTER)
    order = order_id(world)

    with recovering(world):
        status = attempts.drop(world.store, order)

    assert status == 0
    assert "is given up, and its payment is voided" in capsys.readouterr().out
    assert row_counts(world) == {"orders": 0, "attempts": 0, "keys": 0, "outbox": 0}
    assert [payment.authorized for payment in world.sandbox_payments()] == [0]


def test_without_a_worker_a_dropped_placing_is_never_placed(world: OrderBackend) -> None:
    order = in_doubt(world)

    assert attempts.drop(world.store, order, seconds=0) == 0
    world.settle()

    assert world.listed(BUYER) == []
    assert row_counts(world)["attempts"] == 0


@pytest.mark.parametrize("is_one", [True, False], ids=["one", "all"])
def test_a_retried_attempt_is_due_at_once(world: OrderBackend, is_one: bool) -> None:
    order = in_doubt(world)
    world.store.attempts.postpone(order, timedelta(hours=1))
    world.settle()
    assert world.listed(BUYER) == []

    assert attempts.retry(world.store, order if is_one else None) == 0
    world.settle()

    assert world.listed(BUYER) == [str(order)]


def test_an_order_without_an_attempt_can_be_neither_dropped_nor_retried(world: OrderBackend) -> None:
    assert attempts.drop(world.store, new_id()) == 1
    assert attempts.retry(world.store, new_id()) == 1
    assert attempts.retry(world.store, None) == 0


def run(world: OrderBackend, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PAYMENTS": "sandbox",
        "ORDER_DATABASE_URL": url_of(world.database),
        "SANDBOX_DATABASE_URL": "postgresql:///unused",
    }
    command = [sys.executable, "-m", "order_service.attempts", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_line_retries_and_lists_and_refuses_what_is_no_order(world: OrderBackend) -> None:
    order = in_doubt(world)

    retried, nonsense, unknown = run(world, "--retry", "all"), run(world, "--drop", "17"), run(world, "--drop", GONE)

    assert (retried.returncode, retried.stdout.splitlines()[:2]) == (0, [f"due now: {order}", "1 open"])
    assert (nonsense.returncode, "is not the id of an order" in nonsense.stderr) == (2, True)
    assert (unknown.returncode, f"Order {GONE} has no open attempt." in unknown.stderr) == (1, True)


GONE = str(new_id())
