"""Lists of offers: whose offers a list shows, and the filters."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from order_service.domain.listing import ADMINS_ONLY
from order_service.domain.offer import OfferStatus
from servicekit.call import Caller
from servicekit.errors import Forbidden, InvalidArgument, Violation


@dataclass(frozen=True, slots=True)
class OfferFilter:
    """The conditions on the offers of a list; None is no condition.

    `participant_id` is the buyer or the seller; it stands without `buyer_id`, `seller_id` and `gig_id`.
    """

    participant_id: UUID | None = None
    buyer_id: UUID | None = None
    seller_id: UUID | None = None
    gig_id: UUID | None = None
    conversation_id: UUID | None = None
    status: OfferStatus | None = None


@dataclass(frozen=True, slots=True)
class AdminOfferFilters:
    """The filters that only an admin may use, as the client wrote them; empty ones were not given."""

    buyer_id: str = ""
    seller_id: str = ""
    gig_id: str = ""

    @property
    def given(self) -> list[str]:
        """The names of the filters that were given, as clients write them."""
        filters = {"buyerId": self.buyer_id, "sellerId": self.seller_id, "gigId": self.gig_id}
        return [name for name, value in filters.items() if value]


def offer_filter(
    role: str, status: OfferStatus | None, conversation_id: UUID | None, filters: AdminOfferFilters, caller: Caller
) -> OfferFilter:
    """Return the conditions of a list of offers for the caller, who has signed in. `role` is a role of the contract.

    Raises Forbidden when a caller who is no admin lists all offers, and InvalidArgument for an admin's filter without
    `role=admin`.
    """
    if role == "admin":
        if not caller.is_admin:
            raise Forbidden("You don't have permission to list all offers")
        return OfferFilter(
            buyer_id=_id(filters.buyer_id),
            seller_id=_id(filters.seller_id),
            gig_id=_id(filters.gig_id),
            conversation_id=conversation_id,
            status=status,
        )
    if filters.given:
        raise InvalidArgument([Violation(name, ADMINS_ONLY) for name in filters.given])
    match role:
        case "buyer":
            return OfferFilter(buyer_id=caller.id, conversation_id=conversation_id, status=status)
        case "seller":
            return OfferFilter(seller_id=caller.id, conversation_id=conversation_id, status=status)
        case _:
            return OfferFilter(participant_id=caller.id, conversation_id=conversation_id, status=status)


def _id(text: str) -> UUID | None:
    return UUID(text) if text else None
