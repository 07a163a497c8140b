"""Close an offer whose time is over."""

from __future__ import annotations

from order_service.domain.feed import EventType
from order_service.domain.offer import Offer
from order_service.store.offers import OfferReading
from order_service.store.store import Store


class ExpireOffer:
    """Store that an offer is EXPIRED, and tell of it. To readers it is that already."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, reading: OfferReading) -> Offer | None:
        """Return the expired offer, in the transaction that has locked it.

        Return None while a payment that was begun in time may still place its order.
        """
        if self._store.attempts.may_order_offer(reading.offer.id):
            return None
        expired = reading.offer.at(reading.now)
        self._store.offers.close(expired)
        self._store.feed.add_of_offer(EventType.OFFER_CLOSED, expired)
        return expired
