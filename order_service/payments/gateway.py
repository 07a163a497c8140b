"""The interface to a payment provider.

Every call that moves money can be repeated: with the same id it does nothing twice and returns the first result.
`Unavailable` means that the outcome is not known; the caller repeats the same call until it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from servicekit.errors import MarketplaceError


class Declined(MarketplaceError):
    """The provider refuses the payment for good. The message is for the buyer."""

    def __init__(self, message: str = "") -> None:
        super().__init__("PAYMENT_DECLINED", message)


class ActionRequired(MarketplaceError):
    """The card needs the buyer's confirmation. Nothing was authorized."""

    def __init__(self) -> None:
        super().__init__("PAYMENT_ACTION_REQUIRED")


class ChargedBackError(Exception):
    """A refund is impossible: the buyer's bank has taken the money back already."""


class PayoutRefusedError(Exception):
    """The provider refuses the payout for good. The text is the provider's reason."""


class NotCoveredError(Exception):
    """The platform's balance does not cover a payout. It was definitely not made, and may be made later.

    `retry_after` is the time until it makes sense again, where the provider knows it.
    """

    def __init__(self, retry_after: timedelta | None = None) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Purchase:
    """A payment to authorize. `amount` is in major units of `currency`; `token` is empty when there is none.

    `age` is the time since the first request for this authorization.
    """

    order_id: UUID
    buyer_id: UUID
    amount: Decimal
    currency: str
    token: str
    age: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class AuthorizationResult:
    """Money that was reserved on a card: the provider's id of the payment, and how long it stays reserved."""

    reference: str
    valid_for: timedelta


@dataclass(frozen=True, slots=True)
class Transfer:
    """A payout to make: `amount` in major units of `currency` to the seller's `destination` (may be empty).

    `refusals` is the number of NotCoveredErrors so far. A provider that repeats its response to the same request must
    be asked anew after each.
    """

    payout_id: UUID
    amount: Decimal
    currency: str
    destination: str
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A report of the provider about a chargeback. Events may be repeated and may arrive in any order.

    `event_id` is the provider's id of the report, `chargeback_id` of the chargeback, `reference` of the payment.
    """

    event_id: str
    chargeback_id: str
    reference: str
    amount: Decimal
    state: ChargebackState


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """A payment in the provider's own records, in major units. `authorized` is the amount that is not captured yet."""

    order_id: UUID
    reference: str
    authorized: Decimal
    captured: Decimal
    refunded: Decimal
    charged_back: Decimal


@dataclass(frozen=True, slots=True)
class ProviderPayout:
    """A payout in the provider's own records."""

    payout_id: UUID
    amount: Decimal


class Gateway(Protocol):
    """A payment provider."""

    @property
    def minimum(self) -> Decimal:
        """The smallest price, in major units."""
        ...

    @property
    def needs_token(self) -> bool:
        """Whether cards are real."""
        ...

    def authorize(self, purchase: Purchase) -> AuthorizationResult:
        """Reserve the amount on the card.

        Raises Declined, ActionRequired or InvalidArgument (paymentToken) when nothing was done, and Unavailable.
        """
        ...

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """Take the reserved money. Raises Declined when that is refused for good, Unavailable."""
        ...

    def void(self, order_id: UUID, reference: str) -> None:
        """Release the reserved money. Does nothing when none is reserved any more. Raises Unavailable."""
        ...

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """Give captured money back, once for each order. Raises ChargedBackError, Unavailable."""
        ...

    def pay_out(self, transfer: Transfer) -> str:
        """Pay a seller and return the provider's id of the payout.

        Raises PayoutRefusedError, NotCoveredError, Unavailable.
        """
        ...

    def check_destination(self, destination: str) -> None:
        """Refuse a destination that cannot be paid. Raises InvalidArgument (destination), Unavailable."""
        ...

    def list_payments(self) -> Iterator[ProviderPayment]:
        """Yield the payments in the provider's own records. Raises Unavailable."""
        ...

    def list_payouts(self) -> Iterator[ProviderPayout]:
        """Yield the payouts in the provider's own records. Raises Unavailable."""
        ...
