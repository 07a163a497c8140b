"""The payments of orders, with the real databases of OrderService and of the sandbox."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from marketplace.order.v1 import order_pb2
from order_service.commands.record_report import RecordReport
from order_service.commands.refund_payment import RefundPayment
from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import ProviderRefund, RefundRequest
from order_service.payments.sandbox import scenarios
from tests.support.order_rows import ledger, row_counts
from tests.support.orders import TIMEOUTS
from tests.support.orderservice import ADMIN, BUYER, SELLER, STRANGER, OrderBackend


def test_placing_authorizes_the_price_and_moves_no_money(world: OrderBackend) -> None:
    order = world.placed()

    assert world.payment(order) == ("AUTHORIZED", 0)
    assert world.sandbox_payment(order).authorized == 500
    assert (ledger(world), world.balance()) == ({}, (0, 0, 0))


@pytest.mark.parametrize(("action", "who"), [("decline", SELLER), ("cancel", BUYER)])
def test_the_payment_of_a_pending_order_that_is_declined_or_cancelled_is_voided(
    world: OrderBackend, action: str, who: str
) -> None:
    order = world.placed()

    world.act(action, order, who)
    world.settle()

    assert world.payment(order) == ("VOIDED", 0)
    assert (world.sandbox_payment(order).authorized, world.sandbox_payment(order).captured) == (Decimal(0), Decimal(0))
    assert ledger(world) == {}


def test_the_payment_of_an_order_that_expires_is_voided(world: OrderBackend) -> None:
    order = world.placed()
    world.clock.travel(TIMEOUTS.answer)

    world.order_timeouts.move_due()
    world.settle()

    assert world.payment(order) == ("VOIDED", 0)
    assert world.sandbox_payment(order).authorized == 0


def test_accepting_puts_the_price_in_escrow_and_completing_pays_the_seller_less_the_commission(
    world: OrderBackend,
) -> None:
    world.offer_package(price=19.99)
    order = world.accepted()
    assert world.payment(order) == ("CAPTURED", 0)
    assert world.balance() == (17.99, 0, 0)
    assert ledger(world) == {
        "buyers": Decimal("-19.99"),
        "escrow": Decimal("17.99"),
        "escrow_commission": Decimal("2.00"),
    }

    world.act("deliver", order, SELLER)
    world.act("complete", order, BUYER)

    assert world.payment(order) == ("CAPTURED", 0)
    assert world.balance() == (0, 17.99, 0)
    assert ledger(world) == {
        "buyers": Decimal("-19.99"),
        "available": Decimal("17.99"),
        "commission": Decimal("2.00"),
    }
    assert world.sandbox_payment(order).captured == Decimal("19.99")


def test_an_order_completed_by_its_timeout_pays_the_seller_as_well(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("deliver", order, SELLER)
    world.clock.travel(TIMEOUTS.approval)

    world.order_timeouts.move_due()

    assert (world.status(order), world.balance()) == ("COMPLETED", (0, 450, 0))


def test_cancelling_an_order_in_progress_refunds_everything(world: OrderBackend) -> None:
    order = world.accepted()

    world.act("cancel", order, SELLER)
    assert world.payment(order) == ("CAPTURED", 0)
    assert ledger(world) == {"buyers": Decimal(-500), "refunds_due": Decimal(500)}
    world.settle()

    assert world.payment(order) == ("REFUNDED", 500)
    assert world.sandbox_payment(order).refunded == 500
    assert (ledger(world), world.balance()) == ({}, (0, 0, 0))


def test_a_disputed_order_stays_in_escrow_until_an_admin_resolves_it(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("deliver", order, SELLER)

    disputed = world.act("dispute", order, BUYER, "Not what was agreed on").response.order

    assert (world.status(order), list(disputed.actions)) == ("DISPUTED", [])
    assert world.actions(order, ADMIN) == ["resolve"]
    world.placed()
    assert world.listed(ADMIN, role="admin", status=order_pb2.Order.DISPUTED) == [order]
    assert world.balance() == (450, 0, 0)
    assert world.act("complete", order, BUYER).error == "INVALID_TRANSITION"
    assert world.resolve(order, "COMPLETED", sent_token=BUYER).error == "FORBIDDEN"
    assert world.resolve(order, "COMPLETED", sent_token=STRANGER).error == "NOT_FOUND"


@pytest.mark.parametrize(
    ("refund", "payment", "available"),
    [
        (None, ("CAPTURED", 0), 450),
        (0.0, ("CAPTURED", 0), 450),
        (0.05, ("PARTIALLY_REFUNDED", 0.05), 449.95),
        (120.5, ("PARTIALLY_REFUNDED", 120.5), 341.55),
        (500.0, ("REFUNDED", 500), 0),
    ],
)
def test_a_dispute_can_end_with_a_partial_refund(
    world: OrderBackend, refund: float | None, payment: tuple[str, float], available: float
) -> None:
    order = world.accepted()
    world.act("deliver", order, SELLER)
    world.act("dispute", order, BUYER, "Half of it is missing")

    assert world.resolve(order, "COMPLETED", refund).error == ""
    world.settle()

    assert (world.status(order), world.payment(order), world.balance()) == ("COMPLETED", payment, (0, available, 0))
    assert float(world.sandbox_payment(order).refunded) == (refund or 0)
    assert world.history(order)[-1] == ("admin", "resolve")


def test_a_dispute_can_end_with_a_full_refund(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("deliver", order, SELLER)
    world.act("dispute", order, BUYER, "Nothing of it works")

    world.resolve(order, "CANCELLED")
    world.settle()

    assert (world.status(order), world.payment(order)) == ("CANCELLED", ("REFUNDED", 500))
    assert ledger(world) == {}


def test_a_refund_above_the_price_is_named_and_changes_nothing(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("deliver", order, SELLER)
    world.act("dispute", order, BUYER, "Half of it is missing")

    answer = world.resolve(order, "COMPLETED", 500.01)

    assert (answer.http_status, [each["field"] for each in answer.body["details"]]) == (400, ["refundAmount"])
    assert (world.status(order), world.balance()) == ("DISPUTED", (450, 0, 0))


def test_an_unknown_card_of_the_sandbox_is_named(world: OrderBackend) -> None:
    answer = world.place(payment_token="sandbox_visa")

    assert [each["field"] for each in answer.body["details"]] == ["paymentToken"]
    assert row_counts(world)["attempts"] == 0


def test_an_order_older_than_payments_is_completed_without_money(world: OrderBackend) -> None:
    order = world.placed()
    world.database.execute("UPDATE orders SET payment_status = NULL, payment_reference = '', capture_before = NULL")

    for action, who in (("accept", SELLER), ("deliver", SELLER), ("complete", BUYER)):
        assert world.act(action, order, who).error == ""

    assert not world.get(order, BUYER).response.order.HasField("payment")
    assert (ledger(world), row_counts(world)["outbox"]) == ({}, 0)


def test_a_chargeback_disputes_the_order_and_an_admin_resolves_it(world: OrderBackend) -> None:
    order = world.accepted(card=scenarios.CHARGEBACK)
    world.settle()
    assert world.status(order) == "DISPUTED"
    assert world.history(order)[-1] == ("system", "chargeback")
    assert ledger(world)["chargebacks"] == -500

    world.resolve(order, "CANCELLED")
    world.settle()

    assert world.payment(order) == ("REFUNDED", 500)
    assert world.sandbox_payment(order).refunded == 0
    assert ledger(world) == {}


def test_a_charged_back_order_resolved_for_the_seller_is_the_platforms_loss(world: OrderBackend) -> None:
    order = world.accepted(card=scenarios.CHARGEBACK)
    world.settle()

    world.resolve(order, "COMPLETED", 100)
    world.settle()

    assert world.balance() == (0, 360, 0)
    assert world.payment(order) == ("PARTIALLY_REFUNDED", 100)
    assert world.sandbox_payment(order).refunded == 0
    assert ledger(world) == {"available": Decimal(360), "commission": Decimal(40), "chargebacks": Decimal(-400)}


def test_a_chargeback_of_a_completed_order_is_the_platforms_loss(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("deliver", order, SELLER)
    world.act("complete", order, BUYER)

    world.sandbox.charge_back(world.sandbox_payment(order).order_id)
    world.settle()

    assert (world.status(order), world.balance()) == ("COMPLETED", (0, 450, 0))
    assert ledger(world)["chargebacks"] == -500


def test_a_won_chargeback_is_reversed_in_the_ledger(world: OrderBackend) -> None:
    order = world.accepted()
    chargeback = world.sandbox.charge_back(UUID(order))
    world.settle()
    world.sandbox.decide_chargeback(chargeback, ChargebackState.WON)
    world.settle()

    world.resolve(order, "CANCELLED")
    world.settle()

    assert world.payment(order) == ("REFUNDED", 500)
    assert world.sandbox_payment(order).refunded == 500
    assert ledger(world) == {}


def test_a_refund_that_the_bank_made_first_is_not_paid_twice(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("cancel", order, SELLER)
    world.sandbox.charge_back(world.sandbox_payment(order).order_id)

    world.settle()

    assert world.payment(order) == ("REFUNDED", 500)
    assert world.sandbox_payment(order).refunded == 0
    assert ledger(world) == {}


def test_a_provider_event_that_arrives_before_the_captures_outcome_is_recorded_later(world: OrderBackend) -> None:
    order = world.placed(card=scenarios.CHARGEBACK)
    world.sandbox.capture(world.sandbox_payment(order).order_id, world.sandbox_payment(order).reference, Decimal(500))
    world.database.execute("UPDATE orders SET payment_status = 'CAPTURING'")

    world.worker.provider_events.record_pending()
    assert len(world.sandbox.pending_events(10)) == 1
    world.database.execute("UPDATE orders SET payment_status = 'AUTHORIZED'")
    world.act("accept", order, SELLER)
    world.worker.provider_events.record_pending()

    assert world.status(order) == "DISPUTED"
    assert world.sandbox.pending_events(10) == []


def test_a_provider_event_that_cannot_be_recorded_holds_up_no_other(world: OrderBackend) -> None:
    poisoned, following = world.accepted(), world.accepted()
    world.database.execute(f"ALTER TABLE chargebacks ADD CONSTRAINT poison CHECK (order_id <> '{poisoned}')")
    for order in (poisoned, following):
        world.sandbox.charge_back(UUID(order))

    with capture_logs() as logs:
        world.settle()

    assert (world.status(poisoned), world.status(following)) == ("IN_PROGRESS", "DISPUTED")
    assert [entry["log_level"] for entry in logs if entry["event"].startswith("provider event could not")] == ["error"]
    world.database.execute("ALTER TABLE chargebacks DROP CONSTRAINT poison")
    world.settle()
    assert world.status(poisoned) == "DISPUTED"


def test_a_refund_that_two_workers_make_at_the_same_moment_is_booked_once(world: OrderBackend) -> None:
    order = world.accepted()
    world.act("cancel", order, SELLER)

    class OvertakenGateway:
        """The sandbox, behind whose call another worker makes the same refund."""

        def refund(self, request: RefundRequest) -> ProviderRefund:
            made = world.sandbox.refund(request)
            RefundPayment(world.store, world.sandbox, record_report).execute(UUID(order))
            return made

    record_report = RecordReport(world.store)
    gateway: Any = OvertakenGateway()
    RefundPayment(world.store, gateway, record_report).execute(UUID(order))

    assert world.payment(order) == ("REFUNDED", 500)
    assert ledger(world) == {}
