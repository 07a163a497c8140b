"""Offers: domain to proto."""

from __future__ import annotations

from marketplace.offer.v1 import offer_pb2
from order_service.domain.offer import Offer
from servicekit.times import to_timestamp


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
