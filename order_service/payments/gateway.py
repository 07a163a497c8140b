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


class ConfirmationNeededError(Exception):
    """The card wants the buyer's confirmation, made with the provider's own client and `client_secret`.

    The payment waits for it under the provider's id, `reference`; nothing is reserved yet. The secret is not part of
    the exception's text.
    """

    def __init__(self, reference: str, client_secret: str) -> None:
        super().__init__(reference)
        self.reference = reference
        self.client_secret = client_secret


class AlreadyCapturedError(Exception):
    """A payment cannot be voided: its money was captured."""


class ChargedBackError(Exception):
    """A refund is impossible: the buyer's bank has taken the money back already."""


class PayoutRefusedError(Exception):
    """The provider refuses the payout for good. The text is the provider's reason."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A payment to authorize. `amount` is in major units of `currency`; `token` is empty when there is none.

    `age` is the time since the first request for this authorization; `reference` is the provider's id of the payment
    where it is known.
    """

    order_id: UUID
    buyer_id: UUID
    amount: Decimal
    currency: str
    token: str
    age: timedelta = timedelta(0)
    reference: str = ""


@dataclass(frozen=True, slots=True)
class AuthorizationResult:
    """Money that was reserved on a card: the provider's id of the payment, and how long it stays reserved."""

    reference: str
    valid_for: timedelta


@dataclass(frozen=True, slots=True)
class Transfer:
    """A payout to make: `amount` in major units of `currency` to the seller's `destination` (may be empty)."""

    payout_id: UUID
    amount: Decimal
    currency: str
    destination: str


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
class ConfirmationReport:
    """A report of the provider that a buyer has confirmed the payment of an order, or that this has failed."""

    event_id: str
    order_id: UUID


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

        Raises Declined or InvalidArgument (paymentToken) when nothing is reserved and nothing will be, and Unavailable.
        Raises ConfirmationNeededError while the card waits for the buyer's confirmation.
        """
        ...

    def abandon(self, purchase: Purchase) -> None:
        """Make sure that nothing is reserved for this purchase, now or later: also when `authorize` is still under way.

        Raises Unavailable.
        """
        ...

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """Take the reserved money. Raises Declined when that is refused for good, Unavailable."""
        ...

    def void(self, order_id: UUID, reference: str) -> None:
        """Release the reserved money. Does nothing when none is reserved any more.

        Raises AlreadyCapturedError, Unavailable.
        """
        ...

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """Give captured money back, once for each order. Raises ChargedBackError, Unavailable."""
        ...

    def pay_out(self, transfer: Transfer) -> str:
        """Pay a seller and return the provider's id of the payout. Raises PayoutRefusedError, Unavailable."""
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
