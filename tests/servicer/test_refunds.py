"""Refunds that fail, wait, are made by hand or decided by an admin, and chargebacks beside them."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from marketplace.order.v1 import order_pb2
from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.gateway import ProviderRefund, RefundRequest
from order_service.payments.sandbox import scenarios
from servicekit.database import Statement
from servicekit.errors import Unavailable
from servicekit.outbox.relay import AWAY_SECONDS
from tests.support.identity import token
from tests.support.order_rows import all_accounts, concurrently, ledger
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend

REFUNDS = Statement("SELECT amount, state, provider_id <> '' AS is_named FROM refunds ORDER BY created_at, id")


def completed(world: OrderBackend, card: str = "") -> str:
    """Return an order that is over, its seller paid."""
    order = world.accepted(card=card)
    world.act("deliver", order, SELLER)
    world.act("complete", order, BUYER)
    world.settle()
    return order


def cancelled(world: OrderBackend, card: str = "") -> str:
    """Return an order in progress that its seller has cancelled, its refund not made yet."""
    order = world.accepted(card=card)
    world.settle()
    world.act("cancel", order, SELLER)
    return order


def pass_seconds(world: OrderBackend, seconds: float) -> None:
    world.clock.travel(timedelta(seconds=seconds))
    world.sandbox_clock.travel(timedelta(seconds=seconds))
    world.settle()


def chargeback(world: OrderBackend, order: str, sent_token: str) -> tuple[float, str] | None:
    """Return amount and state of the chargeback that the order shows to a caller."""
    shown = world.get(order, sent_token).response.order
    if not shown.HasField("chargeback"):
        return None
    return shown.chargeback.amount, order_pb2.Order.Chargeback.State.Name(shown.chargeback.state)


def test_an_admin_refunds_a_completed_order_from_the_sellers_balance(world: OrderBackend) -> None:
    order = completed(world)
    assert world.actions(order, ADMIN) == ["refund"]

    answer = world.refund(order, 120.5)
    assert (answer.error, world.balance()) == ("", (0, 341.55, 0))
    world.settle()

    assert world.payment(order) == ("PARTIALLY_REFUNDED", 120.5)
    assert world.sandbox_payment(order).refunded == Decimal("120.50")
    assert ledger(world) == {
        "buyers": Decimal("-379.50"),
        "available": Decimal("341.55"),
        "commission": Decimal("37.95"),
    }
    event = world.events(order, BUYER).response.events[-1]
    assert (event.by, event.action, event.amount, event.message) == ("admin", "refund", 120.5, "It never worked")
    assert world.status(order) == "COMPLETED"


def test_a_refund_at_the_platforms_cost_leaves_the_seller_alone(world: OrderBackend) -> None:
    order = completed(world)

    world.refund(order, 100, "platform")
    world.settle()

    assert (world.balance(), world.payment(order)) == ((0, 450, 0), ("PARTIALLY_REFUNDED", 100))
    assert ledger(world)["platform_refunds"] == -100


def test_all_of_the_only_sale_can_go_back(world: OrderBackend) -> None:
    order = completed(world)

    assert world.refund(order, 500).error == ""
    world.settle()

    assert (world.balance(), world.payment(order)) == ((0, 0, 0), ("REFUNDED", 500))
    assert (ledger(world), world.actions(order, ADMIN)) == ({}, [])
    assert world.refund(order, 1).error == "INVALID_TRANSITION"


def test_a_refund_that_the_seller_cannot_pay_is_refused_and_changes_nothing(world: OrderBackend) -> None:
    order = completed(world)
    world.rpc.call("RequestPayout", order_pb2.RequestPayoutRequest(amount=400), SELLER)

    answer = world.refund(order, 100)

    assert (answer.http_status, answer.error) == (409, "INSUFFICIENT_BALANCE")
    assert (world.balance()[1], world.payment(order)) == (50, ("CAPTURED", 0))
    assert world.refund(order, 100, "platform").error == ""


@pytest.mark.parametrize(
    ("amount", "paid_by", "message", "fields"),
    [
        (0, "seller", "Late", ["amount"]),
        (0.001, "seller", "Late", ["amount"]),
        (500.01, "seller", "Late", ["amount"]),
        (1, "nobody", "Late", ["from"]),
        (1, "platform", "", ["message"]),
    ],
)
def test_a_malformed_refund_is_named(
    world: OrderBackend, amount: float, paid_by: str, message: str, fields: list[str]
) -> None:
    answer = world.refund(completed(world), amount, paid_by, message=message)

    assert (answer.http_status, [each["field"] for each in answer.body["details"]]) == (400, fields)


def test_more_than_is_left_is_a_conflict(world: OrderBackend) -> None:
    order = completed(world)
    world.refund(order, 300, "platform")

    answer = world.refund(order, 200.01, "platform")

    assert (answer.error, answer.http_status) == ("CONFLICT", 409)
    assert world.refund(order, 200, "platform").error == ""


@pytest.mark.parametrize("action", ["refund", "resolve"])
def test_only_an_admin_who_is_no_side_decides(world: OrderBackend, action: str) -> None:
    order = completed(world) if action == "refund" else world.delivered()
    admin_seller = token("webdev_pro", "seller", "admin")
    admin_buyer = token("happy_buyer", "buyer", "admin")

    def decide(sent_token: str) -> str:
        if action == "refund":
            return world.refund(order, 1, sent_token=sent_token).error
        return world.resolve(order, "COMPLETED", sent_token=sent_token).error

    assert [decide(each) for each in (SELLER, BUYER, admin_seller, admin_buyer)] == ["FORBIDDEN"] * 4
    assert decide(STRANGER) == "NOT_FOUND"
    assert action not in world.actions(order, admin_seller)
    assert decide(ADMIN) == ""


def test_a_repeated_refund_with_the_same_key_is_made_once(world: OrderBackend) -> None:
    order = completed(world)

    answers = [world.refund(order, 100, key="once") for _ in range(3)]
    world.settle()

    assert [answer.error for answer in answers] == ["", "", ""]
    assert (world.payment(order), world.balance()) == (("PARTIALLY_REFUNDED", 100), (0, 360, 0))
    assert world.refund(order, 101, key="once").error == "IDEMPOTENCY_KEY_REUSED"


def test_two_admins_at_the_same_moment_never_refund_more_than_the_price(world: OrderBackend) -> None:
    order = completed(world)

    answers = concurrently(world, [lambda: world.refund(order, 300, "platform")] * 2)
    world.settle()

    assert sorted(answer.code.name for answer in answers) == ["FAILED_PRECONDITION", "OK"]
    assert world.payment(order) == ("PARTIALLY_REFUNDED", 300)


@pytest.mark.parametrize(("outcome", "payment"), [("COMPLETED", ("CAPTURED", 0)), ("CANCELLED", ("REFUNDED", 500))])
@pytest.mark.parametrize("is_delivered", [False, True])
def test_an_admin_decides_an_order_that_is_not_disputed(
    world: OrderBackend, outcome: str, payment: tuple[str, float], is_delivered: bool
) -> None:
    order = world.delivered() if is_delivered else world.accepted()
    assert world.resolve(order, outcome, message="").body["details"][0]["field"] == "message"

    assert world.resolve(order, outcome).error == ""
    world.settle()

    assert (world.status(order), world.payment(order)) == (outcome, payment)
    assert world.history(order)[-1] == ("admin", "resolve")


def test_an_admin_calls_a_pending_order_off(world: OrderBackend) -> None:
    order = world.placed()
    assert [each["field"] for each in world.resolve(order, "COMPLETED").body["details"]] == ["outcome"]
    assert [each["field"] for each in world.resolve(order, "CANCELLED", 0).body["details"]] == ["refundAmount"]

    assert world.resolve(order, "CANCELLED", message="").error == ""
    world.settle()

    assert (world.status(order), world.payment(order)) == ("CANCELLED", ("VOIDED", 0))


def test_a_refund_that_fails_after_it_was_accepted_is_made_anew(world: OrderBackend) -> None:
    order = cancelled(world, scenarios.REFUND_FAILS)
    world.settle()
    assert world.payment(order) == ("REFUNDED", 500)

    pass_seconds(world, 2)

    assert world.payment(order) == ("REFUNDED", 500)
    rows = world.database.fetch_all(REFUNDS)
    assert [(row["state"], row["is_named"]) for row in rows] == [("FAILED", True), ("SUCCEEDED", True)]
    assert world.sandbox_payment(order).refunded == 500
    assert ledger(world) == {}


def fail_all(world: OrderBackend) -> None:
    """Let every refund at the provider fail."""
    for payment in world.sandbox_payments():
        for refund in payment.report.refunds:
            world.sandbox.fail_refund(refund.id)


@pytest.mark.parametrize("case", ["response lost", "event first", "buyer had to act"])
def test_a_refund_that_fails_before_it_counted_is_made_anew(
    world: OrderBackend, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    order = cancelled(world)
    refund = world.sandbox.refund

    def refund_once(request: RefundRequest) -> ProviderRefund:
        monkeypatch.setattr(world.sandbox, "refund", refund)
        made = refund(request)
        if case == "buyer had to act":
            return replace(made, state=RefundState.REQUIRES_ACTION)
        fail_all(world)
        if case == "response lost":
            raise Unavailable
        world.worker.provider_events.record_pending()
        return made

    monkeypatch.setattr(world.sandbox, "refund", refund_once)
    world.deliver_outbox()
    if case == "buyer had to act":
        fail_all(world)
        world.worker.provider_events.record_pending()
    for _ in range(2):
        # No event is read: the deliveries alone must do it.
        world.clock.travel(timedelta(seconds=61))
        time.sleep(AWAY_SECONDS)
        world.deliver_outbox()

    assert world.sandbox_payment(order).refunded == 500
    assert (world.payment(order), ledger(world)) == (("REFUNDED", 500), {})
    rows = world.database.fetch_all(REFUNDS)
    assert [(row["state"], row["is_named"]) for row in rows] == [("FAILED", True), ("SUCCEEDED", True)]


def test_refunds_that_fail_at_once_are_a_minute_apart(world: OrderBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    order = cancelled(world)
    refund = world.sandbox.refund

    def refund_and_fail(request: RefundRequest) -> ProviderRefund:
        made = refund(request)
        fail_all(world)
        return replace(made, state=RefundState.FAILED)

    monkeypatch.setattr(world.sandbox, "refund", refund_and_fail)
    for made in (1, 2, 3):
        world.deliver_outbox()

        assert len(world.database.fetch_all(REFUNDS)) == made
        world.clock.travel(timedelta(seconds=61))
    assert world.payment(order) == ("CAPTURED", 0)


def test_a_refund_that_the_providers_balance_does_not_cover_waits_and_is_made_later(world: OrderBackend) -> None:
    order = cancelled(world, scenarios.REFUND_WAITS)
    world.settle()
    assert (world.payment(order), ledger(world)["refunds_due"]) == (("CAPTURED", 0), Decimal(500))

    pass_seconds(world, 12)

    assert (world.payment(order), ledger(world)) == (("REFUNDED", 500), {})


def test_an_admins_refund_that_is_refused_for_good_is_undone(world: OrderBackend) -> None:
    order = completed(world, scenarios.REFUND_REFUSED)
    world.refund(order, 100)
    assert world.balance() == (0, 360, 0)

    world.settle()

    assert (world.balance(), world.payment(order)) == ((0, 450, 0), ("CAPTURED", 0))
    event = world.events(order, BUYER).response.events[-1]
    assert (event.by, event.action, event.amount) == ("system", "refund_failed", 100)
    assert ledger(world) == {"buyers": Decimal(-500), "available": Decimal(450), "commission": Decimal(50)}


def test_a_refund_that_was_made_by_hand_counts(world: OrderBackend) -> None:
    order = world.accepted()
    world.sandbox.refund_by_hand(UUID(order), Decimal(50))
    world.settle()
    assert world.payment(order) == ("PARTIALLY_REFUNDED", 50)

    world.act("cancel", order, SELLER)
    world.settle()

    assert world.payment(order) == ("REFUNDED", 500)
    assert [row["amount"] for row in world.database.fetch_all(REFUNDS)] == [50, 450]
    assert ledger(world) == {}


def test_a_refund_by_hand_whose_report_is_late_is_looked_up_before_the_rest_is_refunded(world: OrderBackend) -> None:
    order = cancelled(world)
    world.sandbox.refund_by_hand(UUID(order), Decimal(50))

    # The outbox alone: no event is read.
    world.deliver_outbox()

    assert world.sandbox_payment(order).refunded == 500
    assert world.payment(order) == ("REFUNDED", 500)
    world.settle()
    assert ledger(world) == {}


def test_of_a_partial_chargeback_the_rest_is_refunded_and_all_of_it_once_the_bank_gives_in(world: OrderBackend) -> None:
    order = world.accepted()
    paid_back = world.sandbox.charge_back(UUID(order), Decimal(50))
    world.settle()
    assert (world.status(order), chargeback(world, order, SELLER)) == ("DISPUTED", (50, "NEEDS_RESPONSE"))

    world.resolve(order, "CANCELLED")
    world.settle()
    assert world.payment(order) == ("REFUNDED", 500)
    assert world.sandbox_payment(order).refunded == 450

    world.sandbox.decide_chargeback(paid_back, ChargebackState.WON)
    world.settle()

    assert world.sandbox_payment(order).refunded == 500
    assert (world.payment(order), ledger(world)) == (("REFUNDED", 500), {})
    assert chargeback(world, order, ADMIN) == (50, "WON")


def test_a_lost_chargeback_that_is_reinstated_returns_the_loss(world: OrderBackend) -> None:
    order = completed(world)
    paid_back = world.sandbox.charge_back(UUID(order))
    world.settle()
    world.sandbox.decide_chargeback(paid_back, ChargebackState.LOST)
    world.settle()
    assert ledger(world)["chargebacks"] == -500
    assert chargeback(world, order, ADMIN) == (500, "LOST")
    assert world.history(order)[-1] == ("system", "chargeback")

    world.sandbox.decide_chargeback(paid_back, ChargebackState.WON)
    world.settle()

    assert "chargebacks" not in ledger(world)
    assert (world.status(order), chargeback(world, order, SELLER)) == ("COMPLETED", (500, "WON"))


def test_a_buyer_does_not_see_the_chargeback(world: OrderBackend) -> None:
    order = world.accepted(card=scenarios.CHARGEBACK)
    world.settle()

    assert [chargeback(world, order, each) for each in (BUYER, SELLER, ADMIN)] == [
        None,
        (500, "NEEDS_RESPONSE"),
        (500, "NEEDS_RESPONSE"),
    ]
    assert world.get(order, SELLER).response.order.chargeback.HasField("evidence_due_by")


@pytest.mark.parametrize(
    ("card", "amount", "state"),
    [
        (scenarios.CHARGEBACK_PARTIAL, 50, "NEEDS_RESPONSE"),
        (scenarios.CHARGEBACK_WON, 500, "WON"),
        (scenarios.CHARGEBACK_LOST, 500, "LOST"),
        (scenarios.CHARGEBACK_LATE, 500, "NEEDS_RESPONSE"),
    ],
)
def test_the_sandboxs_cards_charge_back(world: OrderBackend, card: str, amount: float, state: str) -> None:
    order = world.accepted(card=card)
    if card == scenarios.CHARGEBACK_LATE:
        world.act("deliver", order, SELLER)
        world.settle()
        assert chargeback(world, order, SELLER) is None
        world.act("complete", order, BUYER)
    world.settle()
    pass_seconds(world, 3)

    assert chargeback(world, order, SELLER) == (amount, state)
    assert world.status(order) == ("COMPLETED" if card == scenarios.CHARGEBACK_LATE else "DISPUTED")


def test_a_refund_after_a_chargeback_moves_money_only_beyond_what_the_bank_holds(world: OrderBackend) -> None:
    order = completed(world)
    world.sandbox.charge_back(UUID(order), Decimal(200))
    world.settle()

    world.refund(order, 300)
    world.settle()

    assert world.sandbox_payment(order).refunded == 100
    assert world.payment(order) == ("PARTIALLY_REFUNDED", 300)
    assert "chargebacks" not in ledger(world)
    assert world.balance() == (0, 180, 0)


def test_the_providers_fees_are_booked_as_the_platforms_cost(world: OrderBackend) -> None:
    order = world.accepted()
    assert all_accounts(world)["fees"] == Decimal("-14.80")

    world.sandbox.charge_back(UUID(order))
    world.settle()

    assert (all_accounts(world)["fees"], all_accounts(world)["fees_paid"]) == (Decimal("-29.80"), Decimal("29.80"))
