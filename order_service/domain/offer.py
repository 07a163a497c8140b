"""Offers: what a seller proposes to one buyer."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class OfferStatus(StrEnum):
    """The status of an offer. All but OPEN are final."""

    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"


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
