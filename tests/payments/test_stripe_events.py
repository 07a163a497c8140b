"""Stripe's webhook events: their signatures, and the provider events that they become."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import ConfirmationReport, ProviderEvent
from order_service.payments.stripe.events import webhook_parser
from servicekit.errors import InvalidArgument
from servicekit.ids import new_id

SECRET = "whsec_1"
parse = webhook_parser(SECRET)


def an_event(kind: str = "charge.dispute.created", status: str = "needs_response", **changes: Any) -> dict[str, Any]:
    dispute = {"id": "dp_1", "object": "dispute", "payment_intent": "pi_1", "amount": 1999, "status": status}
    return {"id": "evt_1", "type": kind, "data": {"object": {**dispute, **changes}}}


def signed(payload: bytes, secret: str = SECRET, at: float | None = None) -> str:
    """Return Stripe's signature of these bytes."""
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def parse_signed(event: dict[str, Any]) -> ProviderEvent | ConfirmationReport | None:
    payload = json.dumps(event).encode()
    return parse(payload, signed(payload))


@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        ("charge.dispute.created", "needs_response", ChargebackState.OPEN),
        ("charge.dispute.funds_withdrawn", "under_review", ChargebackState.OPEN),
        ("charge.dispute.closed", "won", ChargebackState.WON),
        ("charge.dispute.funds_reinstated", "won", ChargebackState.WON),
        ("charge.dispute.closed", "lost", ChargebackState.LOST),
    ],
)
def test_a_dispute_event_becomes_a_chargeback_state_by_its_type_and_status(
    kind: str, status: str, state: ChargebackState
) -> None:
    assert parse_signed(an_event(kind, status)) == ProviderEvent("evt_1", "dp_1", "pi_1", Decimal("19.99"), state)


def an_intent_event(kind: str, metadata: Any) -> dict[str, Any]:
    return {"id": "evt_1", "type": kind, "data": {"object": {"id": "pi_1", "metadata": metadata}}}


@pytest.mark.parametrize(
    "kind",
    ["payment_intent.amount_capturable_updated", "payment_intent.payment_failed", "payment_intent.canceled"],
)
def test_an_event_about_a_confirmation_becomes_a_report_about_the_order(kind: str) -> None:
    order = new_id()

    assert parse_signed(an_intent_event(kind, {"order_id": str(order)})) == ConfirmationReport("evt_1", order)


@pytest.mark.parametrize("metadata", [{}, None, {"order_id": "17"}, {"order_id": 17}])
def test_a_confirmation_of_a_payment_that_is_not_ours_is_ignored(metadata: Any) -> None:
    assert parse_signed(an_intent_event("payment_intent.canceled", metadata)) is None


@pytest.mark.parametrize(
    "event",
    [
        an_event("payment_intent.succeeded"),
        an_event("charge.dispute.updated"),
        an_event("charge.dispute.created", "warning_needs_response"),
        an_event("charge.dispute.closed", "warning_closed"),
        an_event(payment_intent=None),
        {"id": "evt_2", "type": "something.new", "data": {"object": {}}},
    ],
    ids=["another type", "an update", "an inquiry", "an inquiry's end", "no payment of ours", "unknown"],
)
def test_an_event_without_meaning_for_orders_is_ignored(event: dict[str, Any]) -> None:
    assert parse_signed(event) is None


def test_a_wrong_or_old_signature_is_refused() -> None:
    payload = json.dumps(an_event()).encode()
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
