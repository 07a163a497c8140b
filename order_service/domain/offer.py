"""Offers: what a seller proposes to one buyer, who may do what with it, and until when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, InvalidArgument, NotFound, Violation

# The most that are open at once in a conversation.
MAX_OPEN = 10
DEFAULT_LIFETIME = timedelta(hours=168)


class OfferStatus(StrEnum):
    """The status of an offer. All but OPEN are final."""

    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"


class OfferClosed(Conflict):
    """The offer is not open any more, or not in time."""

    def __init__(self, status: OfferStatus) -> None:
        super().__init__(f"The offer is closed: it is {status}", code="OFFER_CLOSED")


class BeingOrdered(Conflict):
    """A payment for the offer is under way or in doubt: when that is decided, the offer is ordered, or open again."""

    def __init__(self) -> None:
        super().__init__("The offer is just being ordered, and its payment is not decided yet; try again later")


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """What a seller proposes: `price` in major units, and how long the offer is open."""

    title: str
    description: str
    price: Decimal
    delivery_days: int
    revisions: int
    lifetime: timedelta = DEFAULT_LIFETIME

    def check_price(self, minimum: Decimal, currency: str) -> None:
        """Refuse a price that the payment provider does not take. Raises InvalidArgument."""
        if self.price < minimum:
            message = f"must be at least {minimum} {currency}, as a payment must"
            raise InvalidArgument([Violation("price", message)])


@dataclass(frozen=True, slots=True)
class OfferedGig:
    """A gig that an offer is about, as GigService has it now."""

    seller_id: UUID
    title: str
    is_suspended: bool

    def check_offer(self, caller: Caller) -> None:
        """Raise Forbidden for the gig of another, and NotFound for one that is suspended."""
        if caller.id != self.seller_id:
            raise Forbidden("You can only offer a gig of your own")
        self.check_order()

    def check_order(self) -> None:
        """Raise NotFound for a gig that is suspended. A paused one is no obstacle."""
        if self.is_suspended:
            raise NotFound("Gig")


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer. `price` is in major units; from `expires_at` on it is EXPIRED, whatever is stored."""

    id: UUID
    conversation_id: UUID
    gig_id: UUID
    seller_id: UUID
    buyer_id: UUID
    title: str
    description: str
    price: Decimal
    delivery_days: int
    revisions: int
    status: OfferStatus
    expires_at: datetime
    created_at: datetime
    order_id: UUID | None = None

    def at(self, now: datetime) -> Offer:
        """Return the offer as it is at this time."""
        is_over = self.status is OfferStatus.OPEN and now >= self.expires_at
        return replace(self, status=OfferStatus.EXPIRED) if is_over else self

    def check_access(self, caller: Caller) -> None:
        """Raise NotFound for everyone but the two sides and admins."""
        if caller.id not in (self.seller_id, self.buyer_id) and not caller.is_admin:
            raise NotFound("Offer")

    def check_buyer(self, buyer_id: UUID) -> None:
        """Refuse an order of anybody else. Raises Forbidden for the seller, and NotFound for others."""
        if buyer_id == self.seller_id:
            raise Forbidden("You can't order your own offer")
        if buyer_id != self.buyer_id:
            raise NotFound("Offer")


def make(
    offer_id: UUID,
    terms: OfferTerms,
    *,
    conversation_id: UUID,
    gig_id: UUID,
    seller_id: UUID,
    buyer_id: UUID,
    now: datetime,
) -> Offer:
    """Return a new offer."""
    return Offer(
        id=offer_id,
        conversation_id=conversation_id,
        gig_id=gig_id,
        seller_id=seller_id,
        buyer_id=buyer_id,
        title=terms.title,
        description=terms.description,
        price=terms.price,
        delivery_days=terms.delivery_days,
        revisions=terms.revisions,
        status=OfferStatus.OPEN,
        expires_at=now + terms.lifetime,
        created_at=now,
    )


def check_number(open_offers: int) -> None:
    """Refuse one more offer beside so many open ones of the conversation. Raises Conflict (LIMIT_REACHED)."""
    if open_offers >= MAX_OPEN:
        message = f"A conversation can have {MAX_OPEN} open offers; withdraw one first"
        raise Conflict(message, code="LIMIT_REACHED")


def withdraw(offer: Offer, caller: Caller, now: datetime, *, is_reserved: bool) -> Offer:
    """Return the offer WITHDRAWN. `is_reserved` says whether a payment for it cannot be called off.

    Raises NotFound, Forbidden for all but its seller, BeingOrdered and OfferClosed.
    """
    offer.check_access(caller)
    if caller.id != offer.seller_id:
        raise Forbidden("You don't have permission to withdraw this offer")
    check_orderable(offer, now, is_reserved=is_reserved)
    return replace(offer, status=OfferStatus.WITHDRAWN)


def decline(offer: Offer, caller: Caller, now: datetime, *, is_reserved: bool) -> Offer:
    """Return the offer DECLINED. Raises as `withdraw`, and Forbidden for all but its buyer."""
    offer.check_access(caller)
    if caller.id != offer.buyer_id:
        raise Forbidden("You don't have permission to decline this offer")
    check_orderable(offer, now, is_reserved=is_reserved)
    return replace(offer, status=OfferStatus.DECLINED)


def check_orderable(offer: Offer, now: datetime, *, is_reserved: bool) -> None:
    """Refuse to begin anything with an offer that is not open, or reserved by a payment.

    Raises BeingOrdered for a reserved one, also after its end, and OfferClosed.
    """
    if is_reserved:
        raise BeingOrdered
    status = offer.at(now).status
    if status is not OfferStatus.OPEN:
        raise OfferClosed(status)


def accept(offer: Offer, order_id: UUID) -> Offer:
    """Return the offer ACCEPTED. Its payment began in time, so its end may be over by now."""
    return replace(offer, status=OfferStatus.ACCEPTED, order_id=order_id)
