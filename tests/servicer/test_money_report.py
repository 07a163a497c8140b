"""The money report of a marketplace that trades: by day, and to the cent what the ledger says."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from marketplace.order.v1 import order_pb2
from order_service.domain.money_report import CHECK, COLUMNS, LIABILITIES, Row, report
from order_service.payments.sandbox import scenarios
from order_service.store.money_report import MoneyReport
from servicekit.database import Database
from tests.support.order_rows import all_accounts
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.postgres import url_of

ROOT = Path(__file__).resolve().parents[2]


def days(world: OrderBackend, first: date, number: int) -> list[Row]:
    """Return the rows of so many days."""
    last = first + timedelta(days=number - 1)
    return list(report(MoneyReport(world.database).movements(first, last), first, last))


def shown(row: Row) -> dict[str, float]:
    """Return the amounts of a row that are not zero."""
    return {str(name): float(amount) for name, amount in row.amounts.items() if amount}


def next_morning(world: OrderBackend) -> date:
    """Travel to the next day, and return it."""
    now = world.clock.now()
    morning = datetime.combine(now.date() + timedelta(days=1), time(8), UTC)
    for clock in (world.clock, world.sandbox_clock):
        clock.travel(morning - now)
    return morning.date()


def pay_out(world: OrderBackend, amount: float) -> None:
    world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=amount), SELLER)
    world.settle()


def test_each_day_has_its_movements_and_the_liabilities_at_its_end(world: OrderBackend) -> None:
    first = next_morning(world)
    order, other = world.delivered(), world.accepted()
    next_morning(world)
    world.act("complete", order, BUYER)
    world.act("cancel", other, SELLER)
    next_morning(world)
    world.settle()
    pay_out(world, 100)
    next_morning(world)
    world.refund(order, 20, "platform")

    rows = days(world, first, 4)

    fees = 2 * (500 * 0.029 + 0.30)
    assert shown(rows[0]) == {"captured": 1000, "fees": fees, "escrow": 900, "escrow_commission": 100}
    assert shown(rows[1]) == {"commission": 50, "available": 450, "refunds_due": 500}
    assert shown(rows[2]) == {"refunds": 500, "payouts": 100, "available": 350}
    assert shown(rows[3]) == {"platform_refunds": 20, "available": 350, "refunds_due": 20}
    assert shown(rows[4]) == {
        "captured": 1000, "fees": fees, "commission": 50, "refunds": 500, "payouts": 100, "platform_refunds": 20,
        "available": 350, "refunds_due": 20,
    }  # fmt: skip
    assert [row.amounts for row in days(world, first + timedelta(days=2), 1)[:1]] == [rows[2].amounts]


def test_the_columns_are_the_ledger_to_the_cent(world: OrderBackend) -> None:
    world.offer_package(price=19.99)
    first = next_morning(world)
    for card in (scenarios.CHARGEBACK, scenarios.CHARGEBACK_PARTIAL, scenarios.CHARGEBACK_LOST, ""):
        order = world.accepted(card=card)
        world.settle()
        world.resolve(order, "COMPLETED", 7)
        next_morning(world)
        world.settle()
    orders = [world.delivered() for _ in range(3)]
    for order in orders:
        world.act("complete", order, BUYER)
    world.refund(orders[0], 3.33)
    world.refund(orders[1], 0.01, "platform")
    world.sandbox.charge_back(UUID(orders[2]))
    world.accepted()
    world.settle()
    next_morning(world)
    pay_out(world, 12.34)
    [transfer] = world.sandbox_transfers()
    world.sandbox.reverse_transfer(transfer.payout_id, Decimal("2.34"))
    world.settle()

    *_, total = rows = days(world, first, 10)

    sums = all_accounts(world)
    amounts = total.amounts
    assert {row.amounts[CHECK] for row in rows} == {0}
    assert {str(name): amounts[name] for name in LIABILITIES if amounts[name]} == {
        name: sums[name] for name in map(str, LIABILITIES) if name in sums
    }
    for name, account in (("commission", "commission"), ("payouts", "paid_out")):
        assert amounts[name] == sums[account]
    for name in ("fees", "chargebacks", "platform_refunds"):
        assert amounts[name] == -sums[name]
    assert amounts["captured"] == 8 * Decimal("19.99")
    assert amounts["captured"] - amounts["refunds"] - amounts["chargebacks"] == -sums["buyers"]


def _command(world: OrderBackend, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m order_service.money_report`."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}",
        "ORDER_DATABASE_URL": url_of(world.database),
        "SANDBOX_DATABASE_URL": "postgresql:///unused",
        "PAYMENTS": "sandbox",
    }
    command = [sys.executable, "-m", "order_service.money_report", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_the_command_writes_a_csv(world: OrderBackend, tmp_path: Path) -> None:
    world.accepted()
    day = world.clock.now().date().isoformat()
    path = tmp_path / "report.csv"

    printed = _command(world, "--from", day, "--to", day)
    written = _command(world, "--from", day, "--to", day, "--out", str(path))

    assert (printed.returncode, written.returncode, written.stdout) == (0, 0, "")
    assert path.read_text() == printed.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["report.csv"]
    header, row, total = csv.reader(printed.stdout.splitlines())
    assert (header, row[0], total[0]) == (["date", *COLUMNS], day, "total")
    assert row[1:] == total[1:]
    assert row[1] == "500.00"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "2026-11-31", "--to", "2026-12-01"), "argument --from: '2026-11-31' is no date"),
        (("--from", "2026-11-01", "--to", ""), "argument --to: '' is no date, such as 2026-11-01"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), "--from 2026-11-02 is after --to 2026-11-01"),
        (("--from", "2026-11-01", "--to", "2026-11-01", "--out", "/no/such/folder.csv"), "could not be written"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(world: OrderBackend, arguments: tuple[str, ...], message: str) -> None:
    refused = _command(world, *arguments)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert message in refused.stderr


def test_a_damaged_ledger_is_said_with_the_report(world: OrderBackend, order_database: Database) -> None:
    world.accepted()
    order_database.execute("ALTER TABLE ledger_entries DISABLE TRIGGER USER")
    order_database.execute("UPDATE ledger_entries SET amount = amount - 1 WHERE amount < -100")
    day = world.clock.now().date().isoformat()

    damaged = _command(world, "--from", day, "--to", day)

    assert damaged.returncode == 1
    assert "do not add up" in damaged.stderr
