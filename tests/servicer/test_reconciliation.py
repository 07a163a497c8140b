"""Reconciliation: consistent records have no difference, and each difference is named."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from marketplace.order.v1 import order_pb2
from order_service import reconciliation
from order_service.payments.sandbox import scenarios
from order_service.reconciliation import check, report
from servicekit.database import Database
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.postgres import PostgresServer
from tests.support.standins import GigStandIn, serving

LEDGER = ("ledger_transactions", "ledger_entries")


@pytest.fixture(scope="module")
def traded_urls(postgres: PostgresServer) -> dict[str, str]:
    """Trade once for all tests; return the URLs of the two databases, from which each test gets copies."""
    urls = {service: postgres.fresh(service) for service in ("order", "sandbox")}
    gigs = GigStandIn()
    with serving(gigs) as address:
        trade(OrderBackend(Database(urls["order"]), Database(urls["sandbox"]), gigs, address))
    return urls


@pytest.fixture
def order_database(postgres: PostgresServer, traded_urls: dict[str, str]) -> Iterator[Database]:
    """Return a copy of the orders database after the trading."""
    database = Database(postgres.copy("order", traded_urls["order"]))
    yield database
    database.close()


@pytest.fixture
def sandbox_database(postgres: PostgresServer, traded_urls: dict[str, str]) -> Iterator[Database]:
    """Return a copy of the sandbox's database after the trading."""
    database = Database(postgres.copy("sandbox", traded_urls["sandbox"]))
    yield database
    database.close()


@pytest.fixture
def traded(world: OrderBackend) -> OrderBackend:
    """Return an OrderService that has traded."""
    world.offer_package(price=19.99)
    return world


def trade(world: OrderBackend) -> None:
    """Bring orders into every status, and make payouts and chargebacks."""
    world.offer_package(price=19.99)
    world.placed()
    world.act("decline", world.placed(), SELLER)
    world.accepted()
    world.act("cancel", world.accepted(), SELLER)
    world.act("accept", world.placed(card=scenarios.CAPTURE_DECLINED), SELLER)
    for refund in (None, 5.01, 19.99):
        world.resolve(disputed(world), "COMPLETED", refund)
    world.resolve(disputed(world), "CANCELLED")
    charged_back = [world.accepted(card=scenarios.CHARGEBACK) for _ in range(3)]
    finished = world.delivered()
    world.act("complete", finished, BUYER)
    late = world.accepted()
    world.act("cancel", late, SELLER)
    for order in (finished, late):
        world.sandbox.report_chargeback(world.sandbox_payment(order).order_id)
    world.settle()
    world.resolve(charged_back[0], "COMPLETED", 7)
    world.resolve(charged_back[1], "CANCELLED")
    world.sandbox.report_chargeback_won(world.sandbox_payment(finished).order_id)
    for amount, account in ((10, ""), (11, scenarios.PAYOUT_REFUSED)):
        if account:
            world.rpc.call("SetPayoutAccount", order_pb2.SetPayoutAccountRequest(destination=account), SELLER)
        world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=amount), SELLER)
    world.settle()


def disputed(world: OrderBackend) -> str:
    order = world.delivered()
    world.act("dispute", order, BUYER, "Not what was agreed on")
    return order


def differences(world: OrderBackend) -> list[str]:
    return check(world.database, world.sandbox).differences


@pytest.fixture
def unprotected_database(traded: OrderBackend) -> Iterator[Database]:
    """Disable the triggers that keep the ledger append-only."""
    for table in LEDGER:
        traded.database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield traded.database


def test_consistent_records_have_no_difference(traded: OrderBackend) -> None:
    findings = check(traded.database, traded.sandbox)

    assert findings.differences == []
    assert (findings.orders, findings.payouts, findings.pending) == (14, 2, 0)
    assert sum(findings.totals.values()) == 0
    assert report(findings).endswith("no differences")


def test_pending_work_is_no_difference(traded: OrderBackend) -> None:
    traded.act("cancel", traded.accepted(), SELLER)
    traded.act("decline", traded.placed(), SELLER)
    traded.act("accept", traded.placed(card=scenarios.CAPTURE_TIMEOUT), SELLER)
    traded.place(payment_token=scenarios.TIMEOUT_AFTER)

    findings = check(traded.database, traded.sandbox)

    assert (findings.differences, findings.pending) == ([], 3)


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE orders SET status = 'DELIVERED' WHERE status = 'IN_PROGRESS'", "its history ends with IN_PROGRESS"),
        ("UPDATE orders SET status = 'IN_PROGRESS' WHERE status = 'PENDING'", "and its payment AUTHORIZED"),
        ("UPDATE order_events SET action = 'deliver' WHERE action = 'accept'", "no such row in the table"),
        ("DELETE FROM order_events WHERE action = 'complete'", "and a history of 3 rows"),
        ("DELETE FROM order_events WHERE action = 'place'", "does not begin with its placing"),
        ("UPDATE orders SET price = price + 1, refund_due = refund_due", "other amounts for capture:"),
        ("UPDATE orders SET commission_percent = 11 WHERE status = 'COMPLETED'", "other amounts for release:"),
        ("UPDATE orders SET refund_due = 6 WHERE refund_due = 5.01", "refunded, and nothing is pending"),
        ("UPDATE orders SET payment_status = 'CAPTURED' WHERE refunded > 0", "refunded, and its payment is CAPTURED"),
        ("UPDATE orders SET payment_status = 'AUTHORIZED' WHERE payment_status = 'VOIDED'", "and nothing is pending"),
        ("UPDATE orders SET payment_reference = payment_reference || 'x'", "reference in our records"),
        ("UPDATE payouts SET amount = amount + 1", "other amounts for payout:"),
        ("UPDATE payouts SET status = 'PENDING' WHERE status = 'PAID'", "is PENDING, and has no outbox row"),
        ("DELETE FROM payouts WHERE status = 'PAID'", "does not exist, and the provider has paid it"),
        ("DELETE FROM chargebacks", "which has not happened"),
    ],
)
def test_a_change_made_outside_the_service_is_named(traded: OrderBackend, statement: str, difference: str) -> None:
    traded.database.execute(statement)

    assert any(difference in text for text in differences(traded)), differences(traded)


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE payments SET refunded = refunded - 0.01 WHERE refunded > 0", "refunded in our records"),
        ("UPDATE payments SET state = 'VOIDED' WHERE state = 'HELD'", "authorized in our records"),
        ("UPDATE payments SET charged_back = charged_back - 1 WHERE charged_back > 0", "charged back in our records"),
        ("DELETE FROM payments WHERE state = 'HELD'", "is not in the provider's records"),
        ("UPDATE payouts SET amount = amount + 1", "and the provider has paid 11.00"),
        ("DELETE FROM payouts", "and the provider has paid nothing"),
        (
            """INSERT INTO payments (order_id, reference, token, amount, currency, state, held_until)
            VALUES (gen_random_uuid(), 'x', '', 5, 'USD', 'HELD', now())""",
            "does not exist, and the provider has 5.00",
        ),
    ],
)
def test_a_difference_to_the_providers_records_is_named(
    traded: OrderBackend, sandbox_database: Database, statement: str, difference: str
) -> None:
    sandbox_database.execute(statement)

    assert any(difference in text for text in differences(traded)), differences(traded)


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE ledger_entries SET amount = amount + 1 WHERE number IS NULL", "not to zero"),
        ("DELETE FROM ledger_entries WHERE number IS NULL", "not to zero"),
        ("UPDATE ledger_transactions SET order_id = NULL", "belongs to no order, payout or adjustment"),
        (
            "UPDATE ledger_transactions SET order_id = gen_random_uuid() WHERE order_id IS NOT NULL",
            "is not in the ledger",
        ),
    ],
)
def test_a_damaged_ledger_is_named(
    traded: OrderBackend, unprotected_database: Database, statement: str, difference: str
) -> None:
    unprotected_database.execute(statement)

    assert any(difference in text for text in differences(traded)), differences(traded)


def test_a_difference_that_is_gone_in_the_next_check_is_not_reported(
    traded: OrderBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    traded.database.execute("UPDATE payouts SET status = 'PENDING' WHERE status = 'PAID'")

    def repair(seconds: float) -> None:
        traded.database.execute("UPDATE payouts SET status = 'PAID' WHERE status = 'PENDING'")

    monkeypatch.setattr(reconciliation, "sleep", repair)

    assert reconciliation.check_repeatedly(traded.database, traded.sandbox).differences == []


def test_an_order_that_could_not_be_moved_by_time_is_named_until_it_is_moved(traded: OrderBackend) -> None:
    order_id = traded.delivered()
    order = traded.store.orders.get(UUID(order_id)).order

    traded.store.put_off_orders.put_off(order, "RaiseException('poisoned')")

    assert differences(traded) == [
        f"order {order_id}: could not be moved by time, tries: 1, RaiseException('poisoned')"
    ]
    traded.act("complete", order_id, BUYER)
    assert differences(traded) == []
