"""Reconciliation: consistent records have no difference, and each difference is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from marketplace.gig.v1 import gig_pb2
from marketplace.order.v1 import order_pb2
from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import ProviderPayment, TransferReport
from order_service.payments.sandbox import scenarios
from order_service.reconciliation import Findings, Window, check, reconcile
from order_service.reconciliation.findings import text
from order_service.reconciliation.spans import BEGINNING
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.orderservice import BUYER, SELLER, OrderBackend
from tests.support.postgres import PostgresServer
from tests.support.standins import GigStandIn, serving

LEDGER = ("ledger_transactions", "ledger_entries")
PRICE = Decimal("19.99")


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
    """Bring orders into every status, with refunds, chargebacks and payouts of every kind."""
    world.offer_package(price=19.99)
    world.placed()
    world.act("decline", world.placed(), SELLER)
    world.accepted()
    world.act("cancel", world.accepted(), SELLER)
    world.act("accept", world.placed(card=scenarios.CAPTURE_DECLINED), SELLER)
    for refund in (None, 5.01, 19.99):
        world.resolve(disputed(world), "COMPLETED", refund)
    world.resolve(disputed(world), "CANCELLED")
    cards = (scenarios.CHARGEBACK, scenarios.CHARGEBACK, scenarios.CHARGEBACK_PARTIAL)
    charged_back = [world.accepted(card=card) for card in cards]
    finished, late, by_hand = completed(world), world.accepted(), world.accepted()
    world.act("cancel", late, SELLER)
    won, _ = (world.sandbox.charge_back(UUID(order)) for order in (finished, late))
    world.sandbox.refund_by_hand(UUID(by_hand), Decimal(3))
    world.settle()
    world.resolve(charged_back[0], "COMPLETED", 7)
    world.resolve(charged_back[1], "CANCELLED")
    world.resolve(charged_back[2], "CANCELLED")
    world.sandbox.decide_chargeback(won, ChargebackState.WON)
    refunded = completed(world)
    world.refund(refunded, 2, "seller")
    world.refund(refunded, 1, "platform")
    world.act("cancel", world.accepted(card=scenarios.REFUND_FAILS), SELLER)
    world.settle()
    for clock in (world.clock, world.sandbox_clock):
        clock.travel(timedelta(seconds=2))
    world.settle()
    for amount, account in ((10, ""), (11, scenarios.PAYOUT_REFUSED)):
        if account:
            world.rpc.call("SetPayoutAccount", order_pb2.SetPayoutAccountRequest(destination=account), SELLER)
        world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=amount), SELLER)
    world.settle()
    [paid] = world.sandbox_transfers()
    world.sandbox.reverse_transfer(paid.payout_id, Decimal(4))
    world.settle()


def completed(world: OrderBackend) -> str:
    order = world.delivered()
    world.act("complete", order, BUYER)
    return order


def disputed(world: OrderBackend) -> str:
    order = world.delivered()
    world.act("dispute", order, BUYER, "Not what was agreed on")
    return order


def run(world: OrderBackend, window: Window | None = None) -> Findings:
    """Compare the default window, or another, without waiting."""
    return reconcile(world.database, world.sandbox, window, interval=0)


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
    assert (findings.orders, findings.payouts, findings.pending) == (17, 2, 0)
    assert sum(findings.totals.values()) == 0
    assert text(findings).endswith("no differences")


def test_reminders_are_no_difference_and_one_that_fits_no_status_is_one(traded: OrderBackend) -> None:
    traded.placed()
    traded.clock.travel(timedelta(hours=36))
    assert traded.reminders.remind_due() > 0
    traded.clock.travel(timedelta(hours=30))
    traded.delivered()
    traded.accepted()
    traded.clock.travel(timedelta(hours=60))
    assert traded.reminders.remind_due() > 0
    traded.order_timeouts.move_due()
    traded.clock.travel(timedelta(days=11))
    assert traded.reminders.remind_due() > 0
    traded.settle()
    assert differences(traded) == []

    traded.database.execute("UPDATE order_events SET action = 'due_soon' WHERE action = 'expiring'")

    assert "by reminder:due_soon of system: no such row in the table" in differences(traded)[0]


def test_pending_work_is_no_difference(traded: OrderBackend) -> None:
    traded.act("cancel", traded.accepted(), SELLER)
    traded.act("decline", traded.placed(), SELLER)
    traded.act("accept", traded.placed(card=scenarios.CAPTURE_TIMEOUT), SELLER)
    traded.place(payment_token=scenarios.TIMEOUT_AFTER)

    findings = check(traded.database, traded.sandbox)

    assert (findings.differences, findings.pending) == ([], 3)


PARKED = """
    INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at, error, parked_at)
    SELECT 'payment', id, 1, '{"task": "refund"}', now(), 'infinity', 'no such card', now() FROM orders LIMIT 1
"""


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE orders SET status = 'DELIVERED' WHERE status = 'IN_PROGRESS'", "its history ends with IN_PROGRESS"),
        ("UPDATE orders SET status = 'IN_PROGRESS' WHERE status = 'PENDING'", "and its payment AUTHORIZED"),
        ("UPDATE order_events SET action = 'deliver' WHERE action = 'accept'", "no such row in the table"),
        ("UPDATE order_events SET is_reminder = true WHERE action = 'accept'", "by reminder:accept of seller"),
        ("DELETE FROM order_events WHERE action = 'complete'", "and a history of"),
        ("DELETE FROM order_events WHERE action = 'place'", "does not begin with its placing"),
        ("DELETE FROM order_events", "and no history"),
        ("UPDATE order_events SET amount = 9 WHERE action = 'refund'", "has refunds of 18.00 after its end"),
        ("UPDATE order_events SET went_to = 'DISPUTED' WHERE action = 'refund'", "COMPLETED to DISPUTED by refund"),
        ("UPDATE orders SET price = price + 1, refund_due = refund_due", "of buyers in the ledger"),
        ("UPDATE orders SET commission_percent = 11 WHERE status = 'COMPLETED'", "of commission in the ledger"),
        ("UPDATE orders SET refund_due = 6 WHERE refund_due = 5.01", "still to be refunded, and nothing is pending"),
        ("UPDATE orders SET platform_refund = 2 WHERE platform_refund = 1", "of platform_refunds in the ledger"),
        ("UPDATE orders SET payment_status = 'CAPTURED' WHERE refunded > 0", "refunded, and its payment is CAPTURED"),
        ("UPDATE orders SET payment_status = 'AUTHORIZED' WHERE payment_status = 'VOIDED'", "and nothing is pending"),
        (
            "UPDATE orders SET payment_status = 'CAPTURING' WHERE status = 'PENDING'",
            "CAPTURING, and nothing is pending",
        ),
        ("UPDATE orders SET refund_due = 1 WHERE status = 'CANCELLED' AND refunded > 0", "is CANCELLED, and only 1.00"),
        ("UPDATE orders SET payment_status = NULL WHERE status = 'COMPLETED'", "from before there were payments"),
        ("UPDATE orders SET payment_reference = payment_reference || 'x'", "has another payment at the provider"),
        ("UPDATE orders SET refunded = refunded + 1 WHERE refunded > 0", "refunded, and records of"),
        ("UPDATE orders SET charged_back = 2 WHERE charged_back > 2", "has 2.00 charged back, and records of"),
        ("UPDATE orders SET fees = 0", "has 0.00 of fees, and records of"),
        (
            "UPDATE orders SET chargeback_state = 'LOST' WHERE chargeback_state = 'WON'",
            "the chargeback 19.99, LOST",
        ),
        ("UPDATE refunds SET state = 'PENDING' WHERE state = 'SUCCEEDED'", "PENDING in our records"),
        ("UPDATE refunds SET amount = amount + 1", "SUCCEEDED in the provider's"),
        ("DELETE FROM refunds WHERE state = 'FAILED'", "none in our records, 19.99 FAILED in the provider's"),
        ("DELETE FROM chargebacks", "none in our records"),
        (
            "UPDATE chargebacks SET state = 'UNDER_REVIEW' WHERE state = 'NEEDS_RESPONSE'",
            "NEEDS_RESPONSE in the provider's",
        ),
        ("DELETE FROM provider_fees", "fee fee_"),
        ("UPDATE payouts SET amount = amount + 1", "of paid_out"),
        ("UPDATE payouts SET reversed = 0", "and the provider has paid 10.00 less 4.00"),
        ("UPDATE payouts SET status = 'PENDING' WHERE status = 'PAID'", "is PENDING, and has no outbox row"),
        ("DELETE FROM payouts WHERE status = 'PAID'", "does not exist, and the provider has paid it"),
        (PARKED, "is parked: no such card"),
    ],
)
def test_a_change_made_outside_the_service_is_named(traded: OrderBackend, statement: str, difference: str) -> None:
    traded.database.execute(statement)

    assert any(difference in each for each in differences(traded)), differences(traded)


@pytest.mark.parametrize(
    ("statement", "sum_of_lines"),
    [
        ("DELETE FROM order_lines WHERE position = 2", "39.98"),
        ("DELETE FROM order_lines", "0"),
        ("UPDATE order_lines SET quantity = 3 WHERE position = 1", "69.47"),
        ("UPDATE order_lines SET unit_price = unit_price + 0.01 WHERE position = 2", "49.49"),
    ],
)
def test_lines_that_do_not_add_up_to_the_price_are_named(
    traded: OrderBackend, statement: str, sum_of_lines: str
) -> None:
    extra = gig_pb2.Extra(id=str(new_id()), title="Second language", price=9.5)
    traded.offer_package(price=19.99, extras=[extra])
    traded.place(quantity=2, extra_ids=[extra.id])
    assert differences(traded) == []

    traded.database.execute(statement)

    (difference,) = differences(traded)
    assert difference.endswith(f"has a price of 49.48, and lines of {sum_of_lines}")


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE refunds SET amount = amount - 0.01", "SUCCEEDED in our records"),
        ("UPDATE refunds SET state = 'FAILED' WHERE state = 'SUCCEEDED'", "FAILED in the provider's"),
        ("DELETE FROM refunds WHERE state = 'SUCCEEDED'", "SUCCEEDED in our records, none in the provider's"),
        ("UPDATE payments SET state = 'VOIDED' WHERE state = 'HELD'", "authorized in our records"),
        ("UPDATE payments SET amount = amount + 1 WHERE state = 'CAPTURED'", "captured in our records"),
        ("UPDATE chargebacks SET amount = amount - 1", "in our records, 18.99 WON in the provider's"),
        ("UPDATE chargebacks SET state = 'LOST' WHERE state = 'NEEDS_RESPONSE'", "LOST in the provider's"),
        ("DELETE FROM chargebacks", "none in the provider's"),
        ("UPDATE fees SET amount = amount + 1", "in our records, 1.88 in the provider's"),
        ("DELETE FROM payments WHERE state = 'HELD'", "is not in the provider's records"),
        ("UPDATE payouts SET amount = amount + 1", "and the provider has paid 11.00"),
        ("UPDATE payouts SET reversed = amount", "less 4.00, and the provider has paid 10.00 less 10.00"),
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

    assert any(difference in each for each in differences(traded)), differences(traded)


def add_seconds(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch, *, long_before: bool, has_money: bool
) -> tuple[ProviderPayment, TransferReport]:
    """Let the provider list a second payment and a second transfer, before all others or among them; return the first.

    Without money the payment was voided, and the transfer came back.
    """
    payment = next(each for each in world.sandbox_payments() if each.captured == PRICE)
    [transfer] = world.sandbox_transfers()
    nothing = Decimal(0)
    second_payment = replace(
        payment,
        captured=payment.captured if has_money else nothing,
        report=replace(payment.report, reference="another payment"),
    )
    second_transfer = replace(
        transfer, reference="another transfer", reversed=nothing if has_money else transfer.amount
    )

    def adding(listed: Callable[..., Iterator[Any]], first: Any, second: Any) -> Callable[..., Iterator[Any]]:
        def list_both(since: datetime, until: datetime) -> Iterator[Any]:
            if long_before and since == BEGINNING:
                yield second
            for each in listed(since, until):
                if each == first and not long_before:
                    yield second
                yield each

        return list_both

    for name, first, second in (
        ("list_payments", payment, second_payment),
        ("list_transfers", transfer, second_transfer),
    ):
        monkeypatch.setattr(world.sandbox, name, adding(getattr(world.sandbox, name), first, second))
    return payment, transfer


@pytest.mark.parametrize(
    ("batch", "long_before"), [(1000, False), (1, False), (1000, True)], ids=["together", "apart", "long before"]
)
def test_a_second_payment_and_a_second_transfer_are_named(
    traded: OrderBackend, monkeypatch: pytest.MonkeyPatch, *, batch: int, long_before: bool
) -> None:
    monkeypatch.setattr("order_service.reconciliation.run.BATCH", batch)
    payment, transfer = add_seconds(traded, monkeypatch, long_before=long_before, has_money=True)

    assert differences(traded) == [
        f"order {payment.order_id}: has another payment at the provider: another payment of {PRICE}",
        f"payout {transfer.payout_id}: has another transfer at the provider: another transfer of 10.00",
    ]


@pytest.mark.parametrize("long_before", [False, True])
def test_a_second_payment_that_was_voided_and_a_second_transfer_that_came_back_are_no_difference(
    traded: OrderBackend, monkeypatch: pytest.MonkeyPatch, *, long_before: bool
) -> None:
    add_seconds(traded, monkeypatch, long_before=long_before, has_money=False)

    assert differences(traded) == []


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE ledger_entries SET amount = amount + 0.01 WHERE number IS NULL", "not to zero"),
        ("DELETE FROM ledger_entries WHERE number IS NULL", "not to zero"),
        ("UPDATE ledger_transactions SET order_id = NULL", "belongs to no order, payout or adjustment"),
        ("UPDATE ledger_transactions SET order_id = gen_random_uuid() WHERE order_id IS NOT NULL", "is expected"),
        ("DELETE FROM ledger_entries WHERE id = (SELECT max(id) FROM ledger_entries WHERE number > 1)", "not to zero"),
    ],
)
def test_a_damaged_ledger_is_named(
    traded: OrderBackend, unprotected_database: Database, statement: str, difference: str
) -> None:
    unprotected_database.execute(statement)

    assert any(difference in each for each in differences(traded)), differences(traded)


# The database refuses this change; a damaged disk would not ask it.
UNCHAINED = """
    ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_check1, DROP CONSTRAINT ledger_entries_check2,
    DROP CONSTRAINT ledger_entries_account_id_number_before_balance_before_fkey
"""


def test_a_balance_that_is_not_the_sum_of_its_entries_is_named(
    traded: OrderBackend, unprotected_database: Database
) -> None:
    unprotected_database.execute(UNCHAINED)
    unprotected_database.execute("UPDATE ledger_entries SET balance = balance + 1 WHERE number = 3")

    found = differences(traded)

    assert any("is wrong at its entry 3" in each for each in found), found
    assert any("is wrong at its entry 4" in each for each in found), found


def test_a_difference_that_is_gone_in_the_next_check_is_not_reported(traded: OrderBackend) -> None:
    traded.database.execute("UPDATE payouts SET status = 'PENDING' WHERE status = 'PAID'")

    def repair(seconds: float) -> None:
        traded.database.execute("UPDATE payouts SET status = 'PAID' WHERE status = 'PENDING'")

    findings = reconcile(traded.database, traded.sandbox, interval=0, wait=repair)

    assert (findings.differences, findings.payouts) == ([], 2)


def test_an_order_that_could_not_be_moved_by_time_is_named_until_it_is_moved(traded: OrderBackend) -> None:
    order_id = traded.delivered()
    order = traded.store.orders.get(UUID(order_id)).order

    traded.store.put_off_orders.put_off(order, "RaiseException('poisoned')")

    assert differences(traded) == [
        f"order {order_id}: could not be moved by time or reminded of, tries: 1, RaiseException('poisoned')"
    ]
    traded.act("complete", order_id, BUYER)
    assert differences(traded) == []
