"""The interface to a payment provider.

Every call that moves money can be repeated: with the same id it does nothing twice and returns the first result.
`Unavailable` means that the outcome is not known; the caller repeats the same call until it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from order_service.domain.chargeback import ChargebackState
from order_service.domain.refund import RefundState
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


class RefundNotMadeError(Exception):
    """The provider has definitely not made a refund, for a cause that mends itself: `reason`, in our own words.

    Examples are a balance that does not cover it, and money that a bank holds, or that was refunded by hand. The caller
    looks the payment up, and tries again under a new id, after `delay` when the look-up shows nothing new.
    """

    def __init__(self, reason: str, delay: timedelta) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class RefundRefusedError(Exception):
    """The provider refuses a refund for good. The text is the provider's reason."""


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
class ProviderRefund:
    """A refund in the provider's records. `id` is the provider's; `refund_id` is ours, None for one made by hand."""

    id: str
    refund_id: UUID | None
    amount: Decimal
    state: RefundState


@dataclass(frozen=True, slots=True)
class ProviderChargeback:
    """A chargeback in the provider's records: `amount` in major units, `evidence_due_by` (aware) while it is known."""

    id: str
    amount: Decimal
    state: ChargebackState
    evidence_due_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProviderFee:
    """A fee that the provider took, in major units; below zero when it gave it back. `id` is that of its booking."""

    id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PaymentReport:
    """The provider's records about a payment after its capture, or a part of them. `reference` is the payment's id."""

    reference: str
    refunds: tuple[ProviderRefund, ...] = ()
    chargebacks: tuple[ProviderChargeback, ...] = ()
    fees: tuple[ProviderFee, ...] = ()


@dataclass(frozen=True, slots=True)
class TransferReport:
    """The provider's record of a payout: `reversed` is the part of `amount` that came back. In major units.

    `reference` is the provider's id of it; events of the sandbox from before it was told have none.
    """

    payout_id: UUID
    amount: Decimal
    reversed: Decimal
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmationReport:
    """A report that a buyer has confirmed the payment of an order, or that this has failed."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A report that the provider makes by itself. Events may be repeated, and may arrive in any order.

    `event_id` is the provider's id of the report.
    """

    event_id: str
    report: PaymentReport | TransferReport | ConfirmationReport


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """A payment in the provider's own records, in major units. `authorized` is the amount that is not captured yet."""

    order_id: UUID
    authorized: Decimal
    captured: Decimal
    report: PaymentReport


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund to make. `id` is ours; `reference` is the payment's id, `amount` is in major units."""

    id: UUID
    order_id: UUID
    reference: str
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

        Raises AlreadyCapturedError, Unavailable.
        """
        ...

    def capture(self, order_id: UUID, reference: str, amount: Decimal) -> PaymentReport:
        """Take the reserved money. Return the fee, where the provider names it at once, and nothing else.

        Raises Declined when that is refused for good, Unavailable.
        """
        ...

    def void(self, order_id: UUID, reference: str) -> None:
        """Release the reserved money. Does nothing when none is reserved any more.

        Raises AlreadyCapturedError, Unavailable.
        """
        ...

    def refund(self, request: RefundRequest) -> ProviderRefund:
        """Give captured money back, once for each id. Return the provider's record of the refund.

        Raises RefundNotMadeError and RefundRefusedError when nothing was done, and Unavailable.
        """
        ...

    def pay_out(self, transfer: Transfer) -> str:
        """Pay a seller and return the provider's id of the payout.

        Raises PayoutRefusedError, NotCoveredError, Unavailable.
        """
        ...

    def check_destination(self, destination: str) -> None:
        """Refuse a destination that cannot be paid. Raises InvalidArgument (destination), Unavailable."""
        ...

    def look_up(self, order_id: UUID, reference: str) -> PaymentReport:
        """Return everything in the provider's records about a captured payment. Raises Unavailable."""
        ...

    def list_payments(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        """Yield the payments that the provider created from `since` on and before `until`, oldest or newest first.

        Raises Unavailable.
        """
        ...

    def list_transfers(self, since: datetime, until: datetime) -> Iterator[TransferReport]:
        """Yield the payouts that the provider created from `since` on and before `until`. Raises Unavailable."""
        ...
