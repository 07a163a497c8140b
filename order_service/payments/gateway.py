"""What OrderService asks of a payment provider.

Every call that moves money may be made again: with the same id it does nothing twice and answers as it did at first.
`Unavailable` means that nobody knows whether it was done; whoever began it makes the same call again until it is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from servicekit.errors import MarketplaceError


class Declined(MarketplaceError):
    """The provider refuses the payment for good. The message is the buyer's to read."""

    def __init__(self, message: str = "") -> None:
        super().__init__("PAYMENT_DECLINED", message)


class ActionRequired(MarketplaceError):
    """The card wants the buyer to confirm the payment first. Nothing was authorised."""

    def __init__(self) -> None:
        super().__init__("PAYMENT_ACTION_REQUIRED")


class ChargedBackError(Exception):
    """A refund that cannot be made: the buyer's bank has taken the money back already."""


class PayoutRefusedError(Exception):
    """The provider refuses the payout for good. The text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What is to be authorised. `amount` is in major units of `currency`; `token` is empty when none was given.

    `age` is how long ago it was first asked for.
    """

    order_id: UUID
    buyer_id: UUID
    amount: Decimal
    currency: str
    token: str
    age: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Authorization:
    """Money that is held on a card: the provider's own name for it, and how long it is held from its beginning."""

    reference: str
    valid_for: timedelta


@dataclass(frozen=True, slots=True)
class Transfer:
    """A payout to be made: `amount` in major units of `currency` to the seller's `destination` (may be empty)."""

    payout_id: UUID
    amount: Decimal
    currency: str
    destination: str


class ChargebackState(StrEnum):
    """Where a chargeback stands: the bank has taken the money back, or has given it back to us, or keeps it."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """What a provider reports by itself, of a chargeback. It may come twice, and later than what came after it.

    `event_id` is the report's, `chargeback_id` the chargeback's, `reference` that of the payment.
    """

    event_id: str
    chargeback_id: str
    reference: str
    amount: Decimal
    state: ChargebackState


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """What the provider's own book says of a payment, in major units. `held` is authorised and not captured."""

    order_id: UUID
    reference: str
    held: Decimal
    captured: Decimal
    refunded: Decimal
    charged_back: Decimal


@dataclass(frozen=True, slots=True)
class ProviderPayout:
    """What the provider's own book says of a payout that was paid."""

    payout_id: UUID
    amount: Decimal


class Gateway(Protocol):
    """A payment provider. `minimum` is the smallest price it takes; it `needs_token` where cards are real."""

    @property
    def minimum(self) -> Decimal: ...

    @property
    def needs_token(self) -> bool: ...

    def authorize(self, purchase: Purchase) -> Authorization:
        """Holds the amount on the card.

        Raises Declined, ActionRequired, InvalidArgument (paymentToken) when nothing was done, and Unavailable.
        """
        ...

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """Takes what is held. Raises Declined when that is refused for good, Unavailable."""
        ...

    def void(self, order_id: UUID, reference: str) -> None:
        """Lets go of what is held; fine when nothing is held any more. Raises Unavailable."""
        ...

    def refund(self, order_id: UUID, reference: str, amount: Decimal) -> None:
        """Gives back of what was captured, once an order. Raises ChargedBackError, Unavailable."""
        ...

    def pay_out(self, transfer: Transfer) -> str:
        """Pays a seller; the provider's name for it. Raises PayoutRefusedError, Unavailable."""
        ...

    def check_destination(self, destination: str) -> None:
        """Raises InvalidArgument (destination) when nobody can be paid there, Unavailable."""
        ...

    def payments(self) -> Iterator[ProviderPayment]:
        """The provider's own book, for comparison with ours. Raises Unavailable."""
        ...

    def payouts(self) -> Iterator[ProviderPayout]:
        """The payouts in the provider's own book. Raises Unavailable."""
        ...
