"""Stripe's webhooks: checked by their signature, parsed into provider events."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import stripe

from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import ConfirmationReport, ProviderEvent
from order_service.payments.stripe.names import ORDER
from servicekit.errors import InvalidArgument, Violation

# The largest age of a webhook, in seconds, so that an intercepted one cannot be replayed later.
TOLERANCE = 300
CENT = Decimal("0.01")

# Event types. A dispute (Stripe's word for a chargeback) moves the money when it opens; its status tells how it ended.
OPENED = frozenset(("charge.dispute.created", "charge.dispute.funds_withdrawn"))
ENDED = frozenset(("charge.dispute.closed", "charge.dispute.funds_reinstated"))
# What becomes of a payment that the buyer has to confirm: https://docs.stripe.com/payments/paymentintents/lifecycle
CONFIRMATIONS = frozenset(
    ("payment_intent.amount_capturable_updated", "payment_intent.payment_failed", "payment_intent.canceled")
)
# Statuses of an inquiry, which takes no money. It changes to a status of a dispute when it does.
INQUIRIES = ("warning_needs_response", "warning_under_review", "warning_closed")


def takes_money(status: str) -> bool:
    """Return whether the bank has the money at this status: it is not won, and no inquiry."""
    return status not in (*INQUIRIES, "won")


def webhook_parser(secret: str) -> Callable[[bytes, str], ProviderEvent | ConfirmationReport | None]:
    """Return a parser of webhooks that are signed with this secret. It returns None for an event of no interest.

    The parser raises InvalidArgument for a webhook that is not signed by Stripe, was signed long ago, or is malformed.
    """

    def parse(payload: bytes, signature: str) -> ProviderEvent | ConfirmationReport | None:
        try:
            text = payload.decode()
            stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE)
            event = json.loads(text)
            if event["type"] in CONFIRMATIONS:
                return _to_confirmation(event["id"], event["data"]["object"])
            return _to_event(event["id"], event["type"], event["data"]["object"])
        except stripe.SignatureVerificationError as error:
            raise InvalidArgument([Violation("stripe-signature", "is not Stripe's, or too old")]) from error
        except (ValueError, LookupError, TypeError) as error:
            raise InvalidArgument([Violation("", "is not an event of Stripe's")]) from error

    return parse


def _to_confirmation(event_id: str, intent: dict[str, Any]) -> ConfirmationReport | None:
    try:
        return ConfirmationReport(event_id, UUID((intent.get("metadata") or {}).get(ORDER)))
    except (ValueError, AttributeError, TypeError):
        # A payment of the same account that is not ours.
        return None


def _to_event(event_id: str, kind: str, dispute: dict[str, Any]) -> ProviderEvent | None:
    state = _state_of(kind, dispute)
    if state is None or not dispute.get("payment_intent"):
        return None
    amount = int(dispute["amount"]) * CENT
    return ProviderEvent(event_id, dispute["id"], str(dispute["payment_intent"]), amount, state)


def _state_of(kind: str, dispute: dict[str, Any]) -> ChargebackState | None:
    if kind in OPENED:
        return None if dispute.get("status") in INQUIRIES else ChargebackState.OPEN
    if kind in ENDED:
        return {"won": ChargebackState.WON, "lost": ChargebackState.LOST}.get(dispute.get("status", ""))
    return None
