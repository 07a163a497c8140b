"""Windows of reconciliation: what a run compares, where an interrupted one goes on, and what a clean one remembers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from marketplace.order.v1 import order_pb2
from order_service.payments.gateway import ProviderPayment
from order_service.reconciliation import Findings, Window, reconcile
from order_service.reconciliation import run as run_module
from order_service.reconciliation.findings import text
from order_service.reconciliation.run import BusyError, FutureError
from order_service.store.reconciliation_runs import ReconciliationRuns
from servicekit.database import Database, Statement
from servicekit.errors import Unavailable
from tests.support.eventually import eventually
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.postgres import url_of

ROOT = Path(__file__).resolve().parents[2]
RUNS = Statement("SELECT since, until, finished_at, differences, clean_until FROM reconciliation_runs ORDER BY id")
WORK = Statement("SELECT count(*) AS number FROM reconciliation_work")
STRAY = """
    INSERT INTO payments (order_id, reference, token, amount, currency, state, held_until)
    VALUES (%s, 'x', '', 5, 'USD', 'HELD', now())
"""


def run(world: OrderBackend, window: Window | None = None) -> Findings:
    """Compare the default window, or another one, without a wait between the checks."""
    return reconcile(world.database, world.sandbox, window, interval=0)


def travel(world: OrderBackend, hours: float) -> None:
    for clock in (world.clock, world.sandbox_clock):
        clock.travel(timedelta(hours=hours))


def completed(world: OrderBackend) -> str:
    order = world.delivered()
    world.act("complete", order, BUYER)
    world.settle()
    return order


@pytest.fixture
def checked(world: OrderBackend) -> OrderBackend:
    """Return an OrderService with three completed orders, which were found clean after some hours."""
    for _ in range(3):
        completed(world)
    travel(world, 2)
    assert run(world).orders == 3
    return world


class Interrupted:
    """A sandbox whose connection is lost after it has listed so many payments."""

    def __init__(self, world: OrderBackend, listed: int) -> None:
        self._sandbox = world.sandbox
        self._left = listed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sandbox, name)

    def list_payments(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        for payment in self._sandbox.list_payments(since, until):
            if self._left == 0:
                raise Unavailable
            self._left -= 1
            yield payment


def test_a_second_run_compares_what_changed_since_the_first(checked: OrderBackend) -> None:
    assert run(checked).orders == 0
    order = completed(checked)

    findings = run(checked)

    assert (findings.orders, findings.differences) == (1, [])
    checked.database.execute("UPDATE orders SET fees = 0 WHERE id = %s", (order,))
    assert {each.split(":")[0] for each in run(checked).differences} == {f"order {order}"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders SET refund_due = 7",
        "DELETE FROM provider_fees",
        "INSERT INTO refunds SELECT id, id, 4, 'SUCCEEDED', '', now() FROM orders",
        "INSERT INTO chargebacks SELECT id::text, id, 4, 'LOST', now(), now() FROM orders",
        "UPDATE order_events SET action = 'x' WHERE version = 2",
    ],
)
def test_a_change_of_any_record_of_an_order_is_in_the_window(checked: OrderBackend, statement: str) -> None:
    checked.database.execute(statement)

    findings = run(checked)

    assert findings.orders == 3
    assert len(findings.differences) >= 3


def test_an_old_order_is_compared_with_its_payment_at_the_provider(
    checked: OrderBackend, sandbox_database: Database
) -> None:
    travel(checked, 100)
    sandbox_database.execute("UPDATE fees SET amount = amount + 1")
    checked.database.execute("UPDATE orders SET gig_title = 'Another'")

    findings = run(checked)

    assert len(findings.differences) == 3
    assert all("in the provider's" in each for each in findings.differences)


def test_a_payment_that_only_the_provider_knows_is_found_when_it_was_created_in_the_window(
    checked: OrderBackend, sandbox_database: Database
) -> None:
    sandbox_database.execute(STRAY, (uuid4(),))

    [difference] = run(checked).differences

    assert difference.endswith("does not exist, and the provider has 5.00")


def test_a_change_of_an_old_payment_that_was_never_reported_is_found_by_a_run_from_the_beginning(
    checked: OrderBackend, sandbox_database: Database
) -> None:
    travel(checked, 100)
    sandbox_database.execute("UPDATE fees SET amount = amount + 1")

    assert run(checked).differences == []
    assert len(run(checked, Window()).differences) == 3


def test_a_difference_stays_in_the_window_until_it_is_gone(checked: OrderBackend) -> None:
    checked.database.execute("UPDATE orders SET refunded = 7")
    found = run(checked).differences
    for _ in range(2):
        travel(checked, 100)
        assert run(checked).differences == found

    checked.database.execute("UPDATE orders SET refunded = 0")
    assert run(checked).differences == []
    travel(checked, 2)
    assert run(checked).orders == 3
    travel(checked, 2)
    assert run(checked).orders == 0


def test_a_named_window_moves_the_default_one_only_when_it_leaves_no_gap(checked: OrderBackend) -> None:
    now = checked.clock.now()
    travel(checked, 10)

    run(checked, Window(now + timedelta(hours=5)))
    run(checked, Window(now - timedelta(hours=1), now + timedelta(hours=3)))

    remembered = [row["clean_until"] for row in checked.database.fetch_all(RUNS)]
    assert remembered[1:] == [None, now + timedelta(hours=3)]


def test_a_window_does_not_end_in_the_future_so_that_no_later_change_is_skipped(checked: OrderBackend) -> None:
    with pytest.raises(FutureError):
        run(checked, Window(None, checked.store.now() + timedelta(hours=12)))
    travel(checked, 6)
    checked.database.execute("UPDATE orders SET refunded = 7")

    assert len(run(checked).differences) >= 3


def test_a_named_window_compares_what_changed_in_it(checked: OrderBackend) -> None:
    now = checked.clock.now()
    completed(checked)
    travel(checked, 3)
    between = checked.clock.now()
    completed(checked)

    assert run(checked, Window(now, between)).orders == 1
    assert run(checked, Window(between)).orders == 1
    assert run(checked, Window(None, now)).orders == 3


def test_an_interrupted_run_goes_on_where_it_was(world: OrderBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of two, the first payment would be a batch of its own when it lies in the slice before the first order.
    monkeypatch.setattr(run_module, "BATCH", 1)
    orders = [completed(world) for _ in range(7)]
    world.database.execute("UPDATE orders SET refunded = 7 WHERE id = %s", (orders[0],))
    travel(world, 2)
    with pytest.raises(Unavailable):
        reconcile(world.database, Interrupted(world, 5), interval=0)
    left = world.database.fetch_all(WORK)[0]["number"]
    [interrupted] = world.database.fetch_all(RUNS)
    travel(world, 2)

    findings = run(world)

    # Five orders were compared. The first was wrong, and stayed in the work.
    assert left == 3
    assert (findings.until, findings.orders) == (interrupted["until"], 7)
    assert {each.split(":")[0] for each in findings.differences} == {f"order {orders[0]}"}
    assert world.database.fetch_all(WORK)[0]["number"] == 0


KILLED = """
import os, signal, sys
from order_service.payments.sandbox.gateway import Sandbox
from order_service.reconciliation import run
from servicekit.database import Database

class Dying(Sandbox):
    # Of all slices together: the first payment may lie in the slice before the first order.
    listed = 0

    def list_payments(self, since, until):
        for payment in super().list_payments(since, until):
            if self.listed == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            self.listed += 1
            yield payment

run.BATCH = 1
run.reconcile(Database(sys.argv[1]), Dying(Database(sys.argv[2])))
"""


def test_a_killed_run_goes_on_in_another_process(world: OrderBackend, sandbox_database: Database) -> None:
    for _ in range(7):
        completed(world)
    command = [sys.executable, "-c", KILLED, url_of(world.database), url_of(sandbox_database)]

    killed = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=60)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert world.database.fetch_all(WORK)[0]["number"] == 2
    [interrupted] = world.database.fetch_all(RUNS)
    # PostgreSQL releases the lock when it notices that the connection is gone.
    eventually(lambda: _is_free(world))
    findings = run(world)
    assert (findings.until, findings.orders, findings.differences) == (interrupted["until"], 7, [])


def _is_free(world: OrderBackend) -> bool:
    with ReconciliationRuns(world.database).lock() as is_holder:
        return is_holder


def test_another_window_takes_the_place_of_an_interrupted_run(world: OrderBackend) -> None:
    completed(world)
    with pytest.raises(Unavailable):
        reconcile(world.database, Interrupted(world, 0), interval=0)
    now = world.clock.now()

    assert run(world, Window(now)).orders == 0
    assert [row["since"] for row in world.database.fetch_all(RUNS)] == [now]


def test_two_runs_do_not_work_at_the_same_time(world: OrderBackend, order_database: Database) -> None:
    other = Database(url_of(order_database))
    with ReconciliationRuns(other).lock() as is_holder, pytest.raises(BusyError):
        assert is_holder
        run(world)
    other.close()


def test_a_run_stops_when_too_much_is_wrong(checked: OrderBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "BATCH", 1)
    monkeypatch.setattr(run_module, "MOST_WRONG", 2)
    checked.database.execute("UPDATE orders SET fees = 0")

    findings = run(checked)

    assert len({each.split(":")[0] for each in findings.differences}) == 2
    assert not findings.is_complete
    assert "stopped early" in text(findings)
    assert run(checked).differences == findings.differences


def test_a_run_that_found_too_much_for_a_moment_goes_on(checked: OrderBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "BATCH", 1)
    monkeypatch.setattr(run_module, "MOST_WRONG", 2)
    checked.database.execute("UPDATE orders SET refunded = 7")

    def repair(seconds: float) -> None:
        checked.database.execute("UPDATE orders SET refunded = 0")

    findings = reconcile(checked.database, checked.sandbox, interval=0, wait=repair)

    assert (findings.differences, findings.is_complete, findings.orders) == ([], True, 3)


def test_a_payout_is_compared_with_a_transfer_from_before_the_window(
    checked: OrderBackend, sandbox_database: Database
) -> None:
    checked.act("cancel", checked.accepted(), SELLER)
    payout = _paid_out(checked)
    travel(checked, 2)
    assert run(checked).payouts == 1
    travel(checked, 2)
    checked.sandbox.reverse_transfer(payout, Decimal(4))
    checked.settle()

    findings = run(checked)

    assert (findings.payouts, findings.differences) == (1, [])
    sandbox_database.execute("UPDATE payouts SET reversed = 5")
    [difference] = run(checked).differences
    assert "less 4.00, and the provider has paid 10.00 less 5.00" in difference


def _paid_out(world: OrderBackend) -> UUID:
    """Return a payout of 10 that was paid."""
    world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=10), SELLER)
    world.settle()
    [transfer] = world.sandbox_transfers()
    return transfer.payout_id


def _environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", **variables}


def _command(world: OrderBackend, sandbox_database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m order_service.reconciliation`."""
    environment = _environment(
        ORDER_DATABASE_URL=url_of(world.database), SANDBOX_DATABASE_URL=url_of(sandbox_database), PAYMENTS="sandbox"
    )
    command = [sys.executable, "-m", "order_service.reconciliation", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_the_command_prints_the_window_and_the_differences(world: OrderBackend, sandbox_database: Database) -> None:
    order = completed(world)

    clean = _command(world, sandbox_database)
    world.database.execute("UPDATE orders SET refunded = 7")
    wrong = _command(world, sandbox_database, "--since", "beginning")

    assert (clean.returncode, clean.stdout.splitlines()[-1]) == (0, "no differences")
    assert re.match(r"from the beginning until \S+Z: 1 orders, 0 payouts, 0 pending\n", clean.stdout)
    assert wrong.returncode == 1
    assert f"DIFFERENCE order {order}: has 7.00 refunded, and records of 0" in wrong.stdout
    assert wrong.stdout.splitlines()[-1].endswith(" differences")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "yesterday"), "'yesterday' is neither a date nor a time"),
        (("--until", "2026-11-01"), "--until needs --since"),
        (("--since", "2026-11-02", "--until", "2026-11-01"), "--since must be earlier than --until"),
        (("--since", "beginning", "--until", "2099-11-01"), "--until must not be in the future"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(
    world: OrderBackend, sandbox_database: Database, arguments: tuple[str, ...], message: str
) -> None:
    refused = _command(world, sandbox_database, *arguments)

    assert refused.returncode == 2
    assert message in refused.stderr


def test_a_check_that_is_impossible_is_no_difference(world: OrderBackend, sandbox_database: Database) -> None:
    world.placed()
    world.database.execute("ALTER TABLE refunds RENAME TO elsewhere")

    failed = _command(world, sandbox_database)

    assert failed.returncode == 2
    assert '"refunds" does not exist' in failed.stderr
