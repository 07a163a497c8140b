"""The end of offers: every worker closes those whose time is over, and each is closed once."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import structlog

from order_service.commands.expire_offer import ExpireOffer
from order_service.store.store import Store

# Before every offer.
FIRST = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


class OfferExpiry:
    """Finds the offers whose time is over and calls ExpireOffer for each, in a transaction of its own."""

    def __init__(self, store: Store, expire_offer: ExpireOffer) -> None:
        self._store = store
        self._expire_offer = expire_offer
        self._log = structlog.get_logger()

    def expire_due(self) -> int:
        """Close the offers that are due now. Return how many this call closed."""
        place: tuple[datetime, UUID] | None = FIRST
        number = 0
        while place is not None:
            place, is_closed = self._expire_next(place)
            number += is_closed
        if number:
            self._log.info("offers expired", number=number)
        return number

    def _expire_next(self, after: tuple[datetime, UUID]) -> tuple[tuple[datetime, UUID] | None, bool]:
        """Close the next offer. Return its place, None when there is none, and whether it was closed."""
        with self._store.transaction("offer expired"):
            due = self._store.offers.lock_next_expired(after)
            if due is None:
                return None, False
            expired = self._expire_offer.execute(due)
        return (due.offer.expires_at, due.offer.id), expired is not None
