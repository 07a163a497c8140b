"""OrderService is killed at each of its crash points; after a restart the reconciliation finds no difference."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from order_service.payments.gateway import Gateway
from order_service.reconciliation import check
from servicekit import crash
from servicekit.database import Database, Statement
from tests.payments.test_instrumented import WITHOUT_CRASH_POINTS
from tests.support.order_scenario import EXPECTED, WEBHOOK_SECRET, killed_at, run_scenario
from tests.support.orderservice import BUYER, OrderBackend
from tests.support.postgres import url_of
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver

ROOT = Path(__file__).resolve().parents[2]
# The code that moves money or binds idempotency keys: every commit in it has a name. The sandbox is the provider's.
FOLDERS = (ROOT / "order_service", ROOT / "servicekit" / "outbox", ROOT / "servicekit" / "idempotency.py")
EVENT_IDS = Statement("SELECT id FROM events WHERE NOT is_internal")
# What an offer ends with is told once.
OFFERS = Statement("""
    SELECT status, count(*) AS number FROM offers JOIN events ON events.offer_id = offers.id
    WHERE type = 'offer.closed' AND subject ->> 'status' = status GROUP BY status
""")
# The methods that make a transaction; their first argument is its name.
TRANSACTIONS = ("transaction", "commit_one")
# Transactions that commit nothing, whose name is the caller's, or that OrderService's topics do not make.
UNNAMED = {
    ("audit.py", "snapshot"),
    ("feed_reader.py", "number"),
    ("orders.py", "place"),
    ("rows.py", "_coalesce"),
    ("rows.py", "_put_behind"),
    ("admin.py", "contents"),
    ("admin.py", "resend"),
    ("ledger_audit.py", "_unlimited"),
    ("money_report.py", "movements"),
    ("reconciliation_runs.py", "_unlimited"),
    ("reconciliation_runs.py", "end_work"),
}


def transactions() -> Iterator[tuple[str, str, str]]:
    """Yield the file, function and name (or an empty string) of each transaction in the code."""
    for folder in FOLDERS:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.py")):
            if "sandbox" in path.parts:
                continue
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef) and function.name not in TRANSACTIONS:
                    yield from ((path.name, function.name, name) for name in _transaction_names(function))


def _transaction_names(function: ast.FunctionDef) -> Iterator[str]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in TRANSACTIONS:
            name = call.args[0] if call.args else None
            yield str(name.value) if isinstance(name, ast.Constant) else ""


# Their crashes are in tests/files/test_file_crashes.py and tests/files/test_removal_crashes.py.
OF_FILES = {"file", "unsent files", "erase files"}
NAMES = sorted({name for _, _, name in transactions() if name} - OF_FILES)
CALLS = sorted({name for name in vars(Gateway) if not name.startswith("_")} - WITHOUT_CRASH_POINTS)
POINTS = [f"{name}:{when}" for name in NAMES for when in ("commit", "committed")]
POINTS += [f"payments.{call}:{when}" for call in CALLS for when in ("before", "after")]


def test_every_commit_has_a_crash_point() -> None:
    unnamed = {(file, function) for file, function, name in transactions() if not name}

    assert unnamed <= UNNAMED
    assert {"placing", "placed", "accepting", "accepted", "provider event", "payout", "outbox", "idempotency"} <= set(
        NAMES
    )


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_at_a_crash_point_leaves_nothing_unfinished_and_nothing_done_twice(
    world: OrderBackend, order_database: Database, sandbox_database: Database, receiver: WebhookReceiver, point: str
) -> None:
    receiver.expect("seller", WEBHOOK_SECRET)
    webhook = receiver.url_of("seller")

    assert killed_at(point, url_of(order_database), url_of(sandbox_database), webhook) == crash.STATUS
    orders = run_scenario(world, webhook)
    world.settle_with_retries()

    assert {key: (world.status(order), world.payment(order)) for key, order in orders.items()} == EXPECTED
    assert sorted(world.listed(BUYER)) == sorted(orders.values())
    assert world.balance() == (1080, 800, 100)
    findings = check(order_database, world.sandbox)
    assert (findings.differences, findings.orders, findings.payouts, findings.pending) == ([], 10, 1, 0)
    payments = world.sandbox_payments()
    placed = [str(payment.order_id) for payment in payments if str(payment.order_id) in orders.values()]
    assert sorted(placed) == sorted(orders.values())
    # The cards that nobody confirmed have nothing authorized.
    assert all(str(payment.order_id) in placed or not payment.authorized for payment in payments)
    ends = {row["status"]: row["number"] for row in order_database.fetch_all(OFFERS)}
    assert ends == {"ACCEPTED": 1, "WITHDRAWN": 1, "DECLINED": 1, "EXPIRED": 1}
    assert receiver.event_ids("seller") == {str(row["id"]) for row in order_database.fetch_all(EVENT_IDS)}
    assert receiver.invalid == []


def test_the_same_requests_again_bring_the_same_orders(world: OrderBackend, receiver: WebhookReceiver) -> None:
    receiver.expect("seller", WEBHOOK_SECRET)
    webhook = receiver.url_of("seller")

    orders = run_scenario(world, webhook)
    world.settle_with_retries()

    assert run_scenario(world, webhook) == orders
    assert sorted(world.listed(BUYER)) == sorted(orders.values())
