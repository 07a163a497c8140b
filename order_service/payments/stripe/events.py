"""What Stripe reports by itself, believed by its signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import stripe

from order_service.payments.gateway import ChargebackState, ProviderEvent
from servicekit.errors import InvalidArgument, Violation

# Seconds that a report may be old, so that nobody who has overheard one can send it again later.
TOLERANCE = 300
CENT = Decimal("0.01")

# By the event's type, and for the end of a dispute by its status. The money moves when it opens, whatever it is called.
OPENED = frozenset(("charge.dispute.created", "charge.dispute.funds_withdrawn"))
ENDED = frozenset(("charge.dispute.closed", "charge.dispute.funds_reinstated"))
# An inquiry takes no money, and becomes a dispute of its own status when it does.
INQUIRIES = ("warning_needs_response", "warning_under_review", "warning_closed")


def takes_money(status: str) -> bool:
    """Whether the bank has the money while a dispute stands so: it is not won, and more than an inquiry."""
    return status not in (*INQUIRIES, "won")


def reader(secret: str) -> Callable[[bytes, str], ProviderEvent | None]:
    """Reads events that are signed with this secret; None for one that says nothing to us.

    Raises InvalidArgument for one that is not signed by Stripe, was signed long ago, or cannot be read.
    """

    def read(payload: bytes, signature: str) -> ProviderEvent | None:
        try:
            text = payload.decode()
            stripe.WebhookSignature.verify_header(text, signature, secret, TOLERANCE)
            event = json.loads(text)
            return _to_event(event["id"], event["type"], event["data"]["object"])
        except stripe.SignatureVerificationError as error:
            raise InvalidArgument([Violation("stripe-signature", "is not Stripe's, or too old")]) from error
        except (ValueError, LookupError, TypeError) as error:
            raise InvalidArgument([Violation("", "is not an event of Stripe's")]) from error

    return read


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
