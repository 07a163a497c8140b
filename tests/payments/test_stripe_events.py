"""Stripe's webhook events: their signatures, and the provider events that they become."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
from order_service.payments.gateway import (
    ConfirmationReport,
    PaymentReport,
    ProviderChargeback,
    ProviderEvent,
    ProviderFee,
    ProviderRefund,
    TransferReport,
)
from order_service.payments.stripe.events import TYPES, webhook_parser
from servicekit.errors import InvalidArgument
from servicekit.ids import new_id

SECRET = "whsec_1"
DUE = datetime(2026, 12, 24, tzinfo=UTC)
parse = webhook_parser(SECRET)


def an_event(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"id": "evt_1", "type": kind, "data": {"object": resource}}


def a_dispute(kind: str = "charge.dispute.created", status: str = "needs_response", **changes: Any) -> dict[str, Any]:
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "payment_intent": "pi_1",
        "amount": 1999,
        "currency": "usd",
        "status": status,
        "balance_transactions": [{"id": "txn_1", "amount": -1999, "fee": 1500, "currency": "usd"}],
        "evidence_details": {"due_by": int(DUE.timestamp())},
    }
    return an_event(kind, {**dispute, **changes})


def a_refund(kind: str = "refund.created", status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    refund = {"id": "re_1", "object": "refund", "payment_intent": "pi_1", "amount": 500, "metadata": {}}
    return an_event(kind, {**refund, "status": status, **changes})


def signed(payload: bytes, secret: str = SECRET, at: float | None = None) -> str:
    """Return Stripe's signature of these bytes."""
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def parse_signed(event: dict[str, Any]) -> ProviderEvent | None:
    payload = json.dumps(event).encode()
    return parse(payload, signed(payload))


@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        ("charge.dispute.created", "needs_response", ChargebackState.NEEDS_RESPONSE),
        ("charge.dispute.funds_withdrawn", "under_review", ChargebackState.UNDER_REVIEW),
        ("charge.dispute.updated", "under_review", ChargebackState.UNDER_REVIEW),
        ("charge.dispute.closed", "won", ChargebackState.WON),
        ("charge.dispute.funds_reinstated", "won", ChargebackState.WON),
        ("charge.dispute.closed", "lost", ChargebackState.LOST),
        ("charge.dispute.updated", "appeal_under_review", ChargebackState.LOST),
    ],
)
def test_a_dispute_event_becomes_a_chargeback_with_its_fee(kind: str, status: str, state: ChargebackState) -> None:
    chargeback = ProviderChargeback("dp_1", Decimal("19.99"), state, DUE)
    report = PaymentReport("pi_1", chargebacks=(chargeback,), fees=(ProviderFee("txn_1", Decimal("15.00")),))

    assert parse_signed(a_dispute(kind, status)) == ProviderEvent("evt_1", report)


@pytest.mark.parametrize(
    ("given_back", "state"), [(1999, ChargebackState.WON), (500, ChargebackState.LOST), (None, ChargebackState.WON)]
)
def test_a_lost_dispute_whose_money_is_back_is_won(given_back: int | None, state: ChargebackState) -> None:
    transactions = [
        {"id": "txn_1", "amount": -1999, "fee": 1500, "currency": "usd"},
        {"id": "txn_2", "amount": given_back, "fee": 0, "currency": "usd"},
    ]

    event = parse_signed(
        a_dispute("charge.dispute.funds_reinstated", "lost", balance_transactions=transactions if given_back else [])
    )

    assert event is not None
    assert isinstance(event.report, PaymentReport)
    assert [each.state for each in event.report.chargebacks] == [state]


def test_a_dispute_without_a_time_for_evidence_has_none() -> None:
    event = parse_signed(a_dispute(evidence_details={"due_by": 0}, balance_transactions=[]))

    chargeback = ProviderChargeback("dp_1", Decimal("19.99"), ChargebackState.NEEDS_RESPONSE, None)
    assert event == ProviderEvent("evt_1", PaymentReport("pi_1", chargebacks=(chargeback,)))


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
@pytest.mark.parametrize(("status", "state"), [("succeeded", RefundState.SUCCEEDED), ("failed", RefundState.FAILED)])
def test_a_refund_event_becomes_a_refund_with_our_id_or_without(kind: str, status: str, state: RefundState) -> None:
    ours = new_id()

    for data, refund_id in (({"refund_id": str(ours)}, ours), ({}, None), ({"refund_id": "x"}, None)):
        refund = ProviderRefund("re_1", refund_id, Decimal("5.00"), state)
        event = parse_signed(a_refund(kind, status, metadata=data))
        assert event == ProviderEvent("evt_1", PaymentReport("pi_1", refunds=(refund,)))


def test_a_refunded_charge_is_read_where_it_lists_its_refunds() -> None:
    refund = a_refund()["data"]["object"]
    charge = {"id": "ch_1", "payment_intent": "pi_1"}

    event = parse_signed(an_event("charge.refunded", {**charge, "refunds": {"data": [refund]}}))

    assert event is not None
    assert event.report == PaymentReport(
        "pi_1", refunds=(ProviderRefund("re_1", None, Decimal("5.00"), RefundState.SUCCEEDED),)
    )
    assert parse_signed(an_event("charge.refunded", charge)) is None


def test_a_reversed_transfer_is_reported_with_what_came_back() -> None:
    payout = new_id()
    transfer = {"id": "tr_1", "amount": 1999, "amount_reversed": 500, "metadata": {"payout_id": str(payout)}}

    event = parse_signed(an_event("transfer.reversed", transfer))

    assert event == ProviderEvent("evt_1", TransferReport(payout, Decimal("19.99"), Decimal("5.00"), "tr_1"))


@pytest.mark.parametrize(
    "kind",
    ["payment_intent.amount_capturable_updated", "payment_intent.payment_failed", "payment_intent.canceled"],
)
def test_an_event_about_a_confirmation_becomes_a_report_about_the_order(kind: str) -> None:
    order = new_id()

    event = parse_signed(an_event(kind, {"id": "pi_1", "metadata": {"order_id": str(order)}}))

    assert event == ProviderEvent("evt_1", ConfirmationReport(order))


@pytest.mark.parametrize("metadata", [{}, None, {"order_id": "17"}, {"order_id": 17}])
def test_a_confirmation_of_a_payment_that_is_not_ours_is_ignored(metadata: Any) -> None:
    assert parse_signed(an_event("payment_intent.canceled", {"id": "pi_1", "metadata": metadata})) is None


@pytest.mark.parametrize(
    "event",
    [
        a_dispute("payment_intent.succeeded"),
        a_dispute("charge.dispute.created", "warning_needs_response"),
        a_dispute("charge.dispute.closed", "warning_closed"),
        a_dispute("charge.dispute.closed", "prevented"),
        a_dispute(payment_intent=None),
        a_refund(payment_intent=None),
        an_event("transfer.reversed", {"id": "tr_1", "amount": 1, "amount_reversed": 1, "metadata": {}}),
        an_event("something.new", {}),
    ],
    ids=[
        "another type",
        "an inquiry",
        "an inquiry's end",
        "a prevented dispute",
        "no payment of ours",
        "a refund of no payment of ours",
        "no payout of ours",
        "unknown",
    ],
)
def test_an_event_without_meaning_for_orders_is_ignored(event: dict[str, Any]) -> None:
    assert parse_signed(event) is None


def test_stripe_takes_as_many_types_as_are_polled() -> None:
    assert len(set(TYPES)) == len(TYPES) <= 20


def test_a_wrong_or_old_signature_is_refused() -> None:
    payload = json.dumps(a_dispute()).encode()
    good = signed(payload)

    for signature in (
        "",
        "nonsense",
        signed(payload, "whsec_2"),
        signed(payload + b" "),
        signed(payload, at=time.time() - 301),
    ):
        with pytest.raises(InvalidArgument) as refusal:
            parse(payload, signature)
        assert [violation.field for violation in refusal.value.violations] == ["stripe-signature"]
    with pytest.raises(InvalidArgument):
        parse(payload + b" ", good)
    assert parse(payload, good) is not None


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"no JSON", b'{"id": "x", "type": 5}', b"\xff"])
def test_a_signed_payload_that_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse(payload, signed(payload))
