"""The sandbox beyond the behaviour of every gateway: its cards, the acts of banks, its events and its old records."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.gateway import (
    PaymentReport,
    ProviderChargeback,
    ProviderEvent,
    ProviderFee,
    ProviderRefund,
    Purchase,
    RefundNotMadeError,
    RefundRefusedError,
    RefundRequest,
    Transfer,
    TransferReport,
)
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import MIGRATIONS, Sandbox
from servicekit.clock import Clock
from servicekit.database import Database
from servicekit.ids import new_id
from servicekit.migrations import migrate
from tests.payments.hands import Report
from tests.support.locks import wait_for_a_lock_waiter
from tests.support.postgres import PostgresServer, url_of

PRICE = Decimal("500.00")


@pytest.fixture
def sandbox(sandbox_database: Database) -> Sandbox:
    return Sandbox(sandbox_database)


@pytest.fixture
def clock(sandbox_database: Database) -> Clock:
    return Clock(sandbox_database)


def captured(sandbox: Sandbox, card: str = "") -> tuple[UUID, str]:
    """Capture a payment. Return its order and the sandbox's reference."""
    order = new_id()
    reference = sandbox.authorize(Purchase(order, new_id(), PRICE, "USD", card)).reference
    sandbox.capture(order, reference, PRICE)
    return order, reference


def a_request(payment: tuple[UUID, str], amount: Decimal = PRICE) -> RefundRequest:
    return RefundRequest(new_id(), *payment, amount)


def taken(sandbox: Sandbox) -> list[Report]:
    """Acknowledge the events that wait, and return their reports."""
    events = sandbox.pending_events(100)
    for event in events:
        sandbox.acknowledge(event.event_id)
    return [event.report for event in events]


def chargebacks(report: Report) -> list[tuple[Decimal, ChargebackState]]:
    assert isinstance(report, PaymentReport)
    return [(each.amount, each.state) for each in report.chargebacks]


def test_the_fee_of_a_payment_is_2_9_percent_and_30_cents_rounded_half_up(sandbox: Sandbox) -> None:
    order = new_id()
    reference = sandbox.authorize(Purchase(order, new_id(), Decimal("50.00"), "USD", "")).reference

    reports = [sandbox.capture(order, reference, Decimal("50.00")) for _ in range(2)]

    # 50.00 x 0.029 + 0.30; and 19.99 would be 0.87971.
    assert [[fee.amount for fee in report.fees] for report in reports] == [[Decimal("1.75")]] * 2
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("card", "amount", "decision"),
    [
        (scenarios.CHARGEBACK, PRICE, None),
        (scenarios.CHARGEBACK_PARTIAL, PRICE / 10, None),
        (scenarios.CHARGEBACK_WON, PRICE, ChargebackState.WON),
        (scenarios.CHARGEBACK_LOST, PRICE, ChargebackState.LOST),
    ],
)
def test_a_card_is_charged_back_after_its_capture_and_decided_two_seconds_later(
    sandbox: Sandbox, clock: Clock, card: str, amount: Decimal, decision: ChargebackState | None
) -> None:
    captured(sandbox, card)

    (opened,) = taken(sandbox)
    assert isinstance(opened, PaymentReport)
    assert chargebacks(opened) == [(amount, ChargebackState.NEEDS_RESPONSE)]
    assert opened.chargebacks[0].evidence_due_by is not None
    assert [fee.amount for fee in opened.fees] == [Decimal("15.00")]

    clock.travel(timedelta(seconds=2))

    assert [chargebacks(report) for report in taken(sandbox)] == ([[(amount, decision)]] if decision else [])
    assert taken(sandbox) == []


def test_the_late_card_is_charged_back_once_when_its_order_is_completed(sandbox: Sandbox) -> None:
    late, other = captured(sandbox, scenarios.CHARGEBACK_LATE), captured(sandbox)
    assert taken(sandbox) == []

    assert sandbox.awaiting_completion() == [late[0]]
    for order, _ in (late, late, other):
        sandbox.report_completion(order)

    assert [chargebacks(report) for report in taken(sandbox)] == [[(PRICE, ChargebackState.NEEDS_RESPONSE)]]


def test_a_refund_that_fails_is_pending_and_fails_a_second_later_the_first_time(sandbox: Sandbox, clock: Clock) -> None:
    payment = captured(sandbox, scenarios.REFUND_FAILS)
    first = a_request(payment)

    made = sandbox.refund(first)
    assert (made.state, made.refund_id) == (RefundState.PENDING, first.id)
    assert taken(sandbox) == []
    clock.travel(timedelta(seconds=1))

    assert taken(sandbox) == [PaymentReport(payment[1], refunds=(replace(made, state=RefundState.FAILED),))]
    assert sandbox.refund(first) == replace(made, state=RefundState.FAILED)
    assert sandbox.refund(a_request(payment)).state is RefundState.SUCCEEDED


def test_a_card_without_refunds_refuses_them_for_good(sandbox: Sandbox) -> None:
    with pytest.raises(RefundRefusedError):
        sandbox.refund(a_request(captured(sandbox, scenarios.REFUND_REFUSED)))


def test_a_refund_that_waits_for_the_balance_is_made_after_ten_seconds(sandbox: Sandbox, clock: Clock) -> None:
    payment = captured(sandbox, scenarios.REFUND_WAITS)
    for _ in range(2):
        with pytest.raises(RefundNotMadeError):
            sandbox.refund(a_request(payment))
        clock.travel(timedelta(seconds=5))

    assert sandbox.refund(a_request(payment)).state is RefundState.SUCCEEDED


def test_a_chargeback_moves_forward_only_and_a_lost_one_can_be_reinstated(sandbox: Sandbox) -> None:
    order, _ = captured(sandbox)
    chargeback = sandbox.charge_back(order, Decimal("50.00"))
    states = [ChargebackState.UNDER_REVIEW, ChargebackState.LOST, ChargebackState.LOST, ChargebackState.WON]

    for state in states:
        sandbox.decide_chargeback(chargeback, state)
    with pytest.raises(ValueError, match="cannot become"):
        sandbox.decide_chargeback(chargeback, ChargebackState.LOST)

    reported = [state for report in taken(sandbox) for _, state in chargebacks(report)]
    assert reported == [
        ChargebackState.NEEDS_RESPONSE,
        ChargebackState.UNDER_REVIEW,
        ChargebackState.LOST,
        ChargebackState.WON,
    ]


def test_a_decision_of_somebody_else_comes_before_the_cards(sandbox: Sandbox, clock: Clock) -> None:
    captured(sandbox, scenarios.CHARGEBACK_LOST)
    (opened,) = taken(sandbox)
    assert isinstance(opened, PaymentReport)

    sandbox.decide_chargeback(opened.chargebacks[0].id, ChargebackState.WON)
    clock.travel(timedelta(seconds=2))

    assert [chargebacks(report) for report in taken(sandbox)] == [[(PRICE, ChargebackState.WON)]]


def test_a_refund_by_hand_and_its_failure_are_reported(sandbox: Sandbox) -> None:
    order, reference = captured(sandbox)

    provider_id = sandbox.refund_by_hand(order, Decimal("20.00"))
    sandbox.fail_refund(provider_id)
    sandbox.fail_refund(provider_id)

    made = ProviderRefund(provider_id, None, Decimal("20.00"), RefundState.SUCCEEDED)
    assert taken(sandbox) == [
        PaymentReport(reference, refunds=(made,)),
        PaymentReport(reference, refunds=(replace(made, state=RefundState.FAILED),)),
    ]


def test_nobody_takes_more_of_a_payment_than_is_left(sandbox: Sandbox) -> None:
    order, _ = captured(sandbox)
    sandbox.refund_by_hand(order, Decimal("200.00"))
    sandbox.charge_back(order)

    with pytest.raises(ValueError, match="is left"):
        sandbox.refund_by_hand(order, Decimal("0.01"))
    with pytest.raises(ValueError, match="is left"):
        sandbox.charge_back(order)


def test_a_refund_that_waits_for_another_counts_it(sandbox: Sandbox, sandbox_database: Database) -> None:
    payment = captured(sandbox)
    other = Database(url_of(sandbox_database))

    with ThreadPoolExecutor(1) as pool:
        with other.transaction():
            Sandbox(other).refund_by_hand(payment[0], Decimal("400.00"))
            refund = pool.submit(sandbox.refund, a_request(payment, Decimal("200.00")))
            wait_for_a_lock_waiter(sandbox_database)
        with pytest.raises(RefundNotMadeError):
            refund.result(30)
        pool.submit(sandbox_database.close).result(30)
    other.close()


def test_a_reversed_payout_is_reported_with_what_came_back(sandbox: Sandbox) -> None:
    payout = new_id()
    reference = sandbox.pay_out(Transfer(payout, PRICE, "USD", ""))

    sandbox.reverse_transfer(payout, Decimal("100.00"))
    sandbox.reverse_transfer(payout)

    assert taken(sandbox) == [
        TransferReport(payout, PRICE, Decimal("100.00"), reference),
        TransferReport(payout, PRICE, PRICE, reference),
    ]


def test_an_event_is_a_report_as_it_was_and_comes_until_it_is_acknowledged(sandbox: Sandbox) -> None:
    order, reference = captured(sandbox)
    chargeback = sandbox.charge_back(order)
    sandbox.decide_chargeback(chargeback, ChargebackState.LOST)

    first, second = sandbox.pending_events(10)
    assert sandbox.pending_events(10) == [first, second]
    assert isinstance(first.report, PaymentReport)
    due = first.report.chargebacks[0].evidence_due_by
    opened = ProviderChargeback(chargeback, PRICE, ChargebackState.NEEDS_RESPONSE, due)
    fee = ProviderFee(f"fee_{chargeback}", Decimal("15.00"))
    assert first == ProviderEvent(first.event_id, PaymentReport(reference, chargebacks=(opened,), fees=(fee,)))

    sandbox.acknowledge(first.event_id)
    assert sandbox.pending_events(10) == [second]


def test_old_records_are_migrated_to_refunds_chargebacks_and_events(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.empty("sandbox", "sandbox_old"))
    old = [path for path in MIGRATIONS.glob("0*.py") if path.name < "0003"]
    for path in old:
        shutil.copy(path, tmp_path)
    migrate(database, tmp_path)
    refunded, won, lost, opened = new_id(), new_id(), new_id(), new_id()
    for order, given_back, charged_back in ((refunded, 20, 0), (won, 0, 0), (lost, 0, 480), (opened, 0, 50)):
        database.execute(
            "INSERT INTO payments VALUES (%s, %s, '', 500, 'USD', 'CAPTURED', %s, %s, app_now() + interval '6 days')",
            (order, f"sandbox_{order}", given_back, charged_back),
        )
    for order, amount, states in ((won, 500, "OPEN WON"), (lost, 480, "OPEN LOST"), (opened, 50, "OPEN")):
        for state in states.split():
            database.execute(
                "INSERT INTO notices (event_id, dispute_id, reference, amount, state) VALUES (%s, %s, %s, %s, %s)",
                (f"event_{order}_{state}", f"dispute_sandbox_{order}", f"sandbox_{order}", amount, state),
            )

    migrate(database, MIGRATIONS)

    sandbox = Sandbox(database)
    # The refund of an order had no id of its own: it is the order's.
    assert sandbox.look_up(refunded, f"sandbox_{refunded}").refunds == (
        ProviderRefund(f"refund_sandbox_{refunded}", refunded, Decimal("20.00"), RefundState.SUCCEEDED),
    )
    assert [chargebacks(sandbox.look_up(order, f"sandbox_{order}"))[0] for order in (won, lost, opened)] == [
        (Decimal("500.00"), ChargebackState.WON),
        (Decimal("480.00"), ChargebackState.LOST),
        (Decimal("50.00"), ChargebackState.NEEDS_RESPONSE),
    ]
    now = Clock(database).now()
    assert len(list(sandbox.list_payments(now - timedelta(days=1, minutes=1), now - timedelta(hours=23)))) == 4
    reported = [state for report in taken(sandbox) for _, state in chargebacks(report)]
    assert sorted(reported) == ["LOST", "NEEDS_RESPONSE", "NEEDS_RESPONSE", "NEEDS_RESPONSE", "WON"]
    database.close()
