"""Offers between the domain and the protos."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from marketplace.offer.v1 import offer_pb2
from order_service.domain.offer import DEFAULT_LIFETIME, Offer, OfferStatus, OfferTerms
from order_service.domain.offer_listing import AdminOfferFilters, OfferFilter, offer_filter
from servicekit.call import Caller
from servicekit.money import to_decimal
from servicekit.times import to_timestamp


def from_terms(request: offer_pb2.MakeOfferRequest) -> OfferTerms:
    """Return what a seller proposes."""
    has_lifetime = request.HasField("expires_in_hours")
    return OfferTerms(
        title=request.title,
        description=request.description,
        price=to_decimal(request.price),
        delivery_days=request.delivery_days,
        revisions=request.revisions,
        lifetime=timedelta(hours=request.expires_in_hours) if has_lifetime else DEFAULT_LIFETIME,
    )


def from_listing(request: offer_pb2.ListOffersRequest, caller: Caller) -> OfferFilter:
    """Return the conditions of a list. Raises Forbidden and InvalidArgument."""
    status = OfferStatus(offer_pb2.Offer.Status.Name(request.status)) if request.status else None
    conversation_id = UUID(request.conversation_id) if request.conversation_id else None
    filters = AdminOfferFilters(request.buyer_id, request.seller_id, request.gig_id)
    return offer_filter(request.role, status, conversation_id, filters, caller)


def to_made(offer: Offer) -> offer_pb2.MakeOfferResponse:
    """Convert a new offer to the response of MakeOffer."""
    return offer_pb2.MakeOfferResponse(offer=to_offer(offer))


def to_offer(offer: Offer) -> offer_pb2.Offer:
    """Convert an offer. It is the same for both sides and admins."""
    return offer_pb2.Offer(
        id=str(offer.id),
        conversation_id=str(offer.conversation_id),
        gig_id=str(offer.gig_id),
        seller_id=str(offer.seller_id),
        buyer_id=str(offer.buyer_id),
        title=offer.title,
        description=offer.description,
        price=float(offer.price),
        delivery_days=offer.delivery_days,
        revisions=offer.revisions,
        status=offer_pb2.Offer.Status.Value(offer.status),
        expires_at=to_timestamp(offer.expires_at),
        order_id=str(offer.order_id) if offer.order_id else None,
        created_at=to_timestamp(offer.created_at),
    )
