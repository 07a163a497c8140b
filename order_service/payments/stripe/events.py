"""Stripe's webhooks: checked by their signature, parsed into provider events."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import stripe

from order_service.domain.chargeback import ChargebackState
from order_service.payments.gateway import ProviderEvent
from servicekit.errors import InvalidArgument, Violation

# The largest age of a webhook, in seconds, so that an intercepted one cannot be replayed later.
TOLERANCE = 300
CENT = Decimal("0.01")

# Event types. A dispute (Stripe's word for a chargeback) moves the money when it opens; its status tells how it ended.
OPENED = frozenset(("charge.dispute.created", "charge.dispute.funds_withdrawn"))
ENDED = frozenset(("charge.dispute.closed", "charge.dispute.funds_reinstated"))
# Statuses of an inquiry, which takes no money. It changes to a status of a dispute when it does.
INQUIRIES = ("warning_needs_response", "warning_under_review", "warning_closed")


def takes_money(status: str) -> bool:
    """Return whether the bank has the money at this status: it is not won, and no inquiry."""
    return status not in (*INQUIRIES, "won")


def webhook_parser(secret: str) -> Callable[[bytes, str], ProviderEvent | None]:
    """Return a parser of webhooks that are signed with this secret. It returns None for an event of no interest.

    The parser raises InvalidArgument for a webhook that is not signed by Stripe, was signed long ago, or is malformed.
    """

    def parse(payload: bytes, signature: str) -> ProviderEvent | None:
        try:
            text = payload.decode()
            stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE)
            event = json.loads(text)
            return _to_event(event["id"], event["type"], event["data"]["object"])
        except stripe.SignatureVerificationError as error:
            raise InvalidArgument([Violation("stripe-signature", "is not Stripe's, or too old")]) from error
        except (ValueError, LookupError, TypeError) as error:
            raise InvalidArgument([Violation("", "is not an event of Stripe's")]) from error

    return parse


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
