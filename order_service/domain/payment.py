"""How an order may be paid, which depends on who handles the deployment's payments, and where its money is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from servicekit.errors import InvalidArgument, Violation


class Provider(StrEnum):
    """Who handles payments: Stripe, or the sandbox that takes every card and moves no money."""

    STRIPE = "stripe"
    SANDBOX = "sandbox"


class PaymentStatus(StrEnum):
    """Where the buyer's money is. CAPTURING is for us alone: on the card still, and being taken."""

    AUTHORIZED = "AUTHORIZED"
    CAPTURING = "CAPTURING"
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    REFUNDED = "REFUNDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"


@dataclass(frozen=True, slots=True)
class Hold:
    """Money that is held on a card: the payment provider's name for it, and when the hold ends (aware)."""

    reference: str
    capture_before: datetime


def check_method(method: str, provider: Provider) -> None:
    """Refuses the method `sandbox` where real money moves; `stripe` is taken everywhere.

    Raises InvalidArgument.
    """
    if method == Provider.SANDBOX and provider is not Provider.SANDBOX:
        raise InvalidArgument([Violation("paymentMethod", "sandbox is not accepted here, use stripe")])


def check_token(token: str, *, is_needed: bool) -> None:
    """Refuses a payment without a card where cards are real. Raises InvalidArgument."""
    if is_needed and not token:
        raise InvalidArgument([Violation("paymentToken", "is needed: the card, as Stripe's own client made it")])
