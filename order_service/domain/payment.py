"""The payment of an order: the payment methods that a deployment takes, and the states of the money."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from servicekit.errors import InvalidArgument, MarketplaceError, Violation

KEY_NEEDED = "This card wants your confirmation: send the request with an Idempotency-Key, or use another card"


class ActionRequired(MarketplaceError):
    """The card wants the buyer's confirmation, with the provider's own client and this secret, before `expires_at`.

    Without an idempotency key there is no secret: nothing of the payment was kept, and the message says so.
    """

    def __init__(self, client_secret: str = "", expires_at: datetime | None = None) -> None:
        if expires_at is None:
            super().__init__("PAYMENT_ACTION_REQUIRED", KEY_NEEDED)
            return
        confirmation = {"clientSecret": client_secret, "expiresAt": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        super().__init__("PAYMENT_ACTION_REQUIRED", extra={"confirmation": confirmation})


class Provider(StrEnum):
    """A payment provider: Stripe, or the sandbox, which takes every card and moves no money."""

    STRIPE = "stripe"
    SANDBOX = "sandbox"


class PaymentStatus(StrEnum):
    """Where the buyer's money is. CAPTURING is internal: authorized, and the capture's outcome is not known yet."""

    AUTHORIZED = "AUTHORIZED"
    CAPTURING = "CAPTURING"
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    REFUNDED = "REFUNDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"


@dataclass(frozen=True, slots=True)
class Authorization:
    """Money that is reserved on a card: the provider's id of the payment, and the end of the reservation (aware)."""

    reference: str
    capture_before: datetime


@dataclass(frozen=True, slots=True)
class PaymentPolicy:
    """How the deployment takes payments. `needs_token` says whether cards are real, so that a buyer must name one."""

    provider: Provider
    needs_token: bool

    def check(self, method: str, token: str) -> None:
        """Refuse the method `sandbox` where real money moves, and a payment without a card where cards are real.

        `stripe` is accepted everywhere. Raises InvalidArgument.
        """
        if method == Provider.SANDBOX and self.provider is not Provider.SANDBOX:
            raise InvalidArgument([Violation("paymentMethod", "sandbox is not accepted here, use stripe")])
        if self.needs_token and not token:
            raise InvalidArgument([Violation("paymentToken", "is needed: the card, as Stripe's own client made it")])
