"""Stripe's records of refunds, disputes and fees, as the gateway makes and finds them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.gateway import (
    RefundNotMadeError,
    RefundRefusedError,
)
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.errors import Unavailable
from servicekit.ids import new_id
from tests.payments.stripe_calls import PRICE, a_request, captured, payments
from tests.support.stripe_double import StripeDouble


def test_an_inquiry_is_no_chargeback_until_it_takes_money(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    dispute = double.dispute(payment[1], "warning_under_review")
    assert stripe.look_up(*payment).chargebacks == ()

    double.move_dispute(dispute["id"], "needs_response")

    (chargeback,) = stripe.look_up(*payment).chargebacks
    assert (chargeback.id, chargeback.state) == (dispute["id"], ChargebackState.NEEDS_RESPONSE)


def test_a_lost_dispute_of_which_a_part_came_back_stays_lost(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    dispute = double.dispute(payment[1])
    double.move_dispute(dispute["id"], "lost")
    dispute["balance_transactions"].append({"id": "txn_part", "amount": 500, "fee": 0, "currency": "usd"})

    assert [each.state for each in stripe.look_up(*payment).chargebacks] == [ChargebackState.LOST]


def test_a_payment_without_refunds_and_disputes_costs_no_call_of_its_own(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    for _ in range(3):
        captured(stripe)
    double.calls.clear()

    reports = [payment.report for payment in payments(stripe)]

    assert [len(report.fees) for report in reports] == [1, 1, 1]
    assert [path for _, path, _, _ in double.calls] == ["/v1/payment_intents"]


def test_more_refunds_than_an_expanded_charge_lists_are_all_found(stripe: StripeGateway) -> None:
    payment = captured(stripe)
    for _ in range(12):
        stripe.refund(a_request(payment, Decimal("1.00")))

    assert len(stripe.look_up(*payment).refunds) == 12


def test_a_refund_of_the_time_of_one_refund_for_each_order_has_the_orders_id(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    payment = captured(stripe)
    double.refund_by_hand(payment[1], 500)["metadata"] = {"order_id": str(payment[0])}

    assert [refund.refund_id for refund in stripe.look_up(*payment).refunds] == [payment[0]]


def test_a_fee_in_another_currency_is_left_out(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    double.intents[payment[1]]["latest_charge"]["balance_transaction"]["currency"] = "eur"

    assert stripe.look_up(*payment).fees == ()


def test_a_refund_that_stripes_balance_does_not_cover_is_pending(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    double.balance = 1998

    refund = stripe.refund(a_request(payment))

    assert refund.state is RefundState.PENDING


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", RefundState.PENDING),
        ("requires_action", RefundState.REQUIRES_ACTION),
        ("canceled", RefundState.FAILED),
        ("failed", RefundState.FAILED),
    ],
)
def test_a_refund_has_the_state_of_its_status(
    stripe: StripeGateway, double: StripeDouble, status: str, state: RefundState
) -> None:
    payment = captured(stripe)
    request = a_request(payment)
    double.move_refund(stripe.refund(request).id, status)

    assert stripe.refund(request).state is state


@pytest.mark.parametrize("code", ["balance_insufficient", "insufficient_funds", "charge_disputed", "amount_too_large"])
def test_a_refund_that_stripe_refuses_for_a_cause_that_mends_itself_can_be_made_later(
    stripe: StripeGateway, double: StripeDouble, code: str
) -> None:
    payment = captured(stripe)
    double.fail("/refunds", 400, method="POST", kind="invalid_request_error", code=code)

    with pytest.raises(RefundNotMadeError) as not_made:
        stripe.refund(a_request(payment))

    assert timedelta(minutes=1) <= not_made.value.delay <= timedelta(hours=1)
    assert code not in not_made.value.reason
    assert stripe.refund(a_request(payment)).state is RefundState.SUCCEEDED


def test_a_refund_that_stripe_refuses_for_any_other_cause_is_refused_for_good(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    payment = captured(stripe)
    double.fail("/refunds", 400, method="POST", kind="invalid_request_error", code="charge_not_refundable")

    with pytest.raises(RefundRefusedError, match="charge_not_refundable"):
        stripe.refund(a_request(payment))


def test_a_refund_of_a_payment_that_stripe_does_not_know_is_tried_again_later(stripe: StripeGateway) -> None:
    with pytest.raises(RefundNotMadeError):
        stripe.refund(a_request((new_id(), "pi_elsewhere")))
    with pytest.raises(Unavailable):
        stripe.look_up(new_id(), "pi_elsewhere")


@pytest.mark.parametrize("after", [False, True], ids=["before the work", "after the work"])
def test_a_refund_whose_fault_stripe_repeats_is_found_or_was_not_made(
    stripe: StripeGateway, double: StripeDouble, after: bool
) -> None:
    payment = captured(stripe)
    request = a_request(payment)
    double.fail("/refunds", 500, method="POST", after=after, is_kept=True)
    with pytest.raises(Unavailable):
        stripe.refund(request)

    if after:
        assert stripe.refund(request).refund_id == request.id
    else:
        with pytest.raises(RefundNotMadeError):
            stripe.refund(request)
        stripe.refund(a_request(payment))

    assert [refund["amount"] for refund in double.refunds] == [1999]


def test_a_refund_of_a_charged_back_payment_is_not_made(stripe: StripeGateway, double: StripeDouble) -> None:
    payment = captured(stripe)
    double.dispute(payment[1])

    with pytest.raises(RefundNotMadeError) as not_made:
        stripe.refund(a_request(payment))

    assert not_made.value.delay == timedelta(hours=1)
    (listed,) = payments(stripe)
    assert (listed.captured, listed.report.refunds) == (PRICE, ())
    assert [(each.amount, each.state) for each in listed.report.chargebacks] == [
        (PRICE, ChargebackState.NEEDS_RESPONSE)
    ]
