"""Withdraw or decline an offer."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.feed import EventType
from order_service.domain.offer import Offer, decline, withdraw
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.database import retry_conflicts


class WithdrawOffer:
    """Withdraw an offer, as its seller. A placing that has not begun to capture is called off, and its card voided."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, offer_id: UUID, caller: Caller) -> Offer:
        """Return the offer WITHDRAWN. Raises NotFound, Forbidden and Conflict (OFFER_CLOSED, or CONFLICT)."""
        with self._store.transaction("offer withdrawn"):
            offer, now = self._store.offers.lock(offer_id)
            self._store.attempts.call_off(offer_id)
            is_reserved = self._store.attempts.is_offer_reserved(offer_id)
            closed = withdraw(offer, caller, now, is_reserved=is_reserved)
            self._store.offers.close(closed)
            self._store.feed.add_of_offer(EventType.OFFER_CLOSED, closed)
        return closed


class DeclineOffer:
    """Decline an offer, as its buyer, with a message or without. A placing is called off as by WithdrawOffer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, offer_id: UUID, message: str, caller: Caller) -> Offer:
        """Return the offer DECLINED. Raises NotFound, Forbidden and Conflict (OFFER_CLOSED, or CONFLICT).

        Neither blocks nor limits of messages stand in its way: an offer is declined once at most.
        """
        conversation_id = self._store.offers.get(offer_id).offer.conversation_id
        with self._store.transaction("offer declined"):
            conversation = self._store.conversations.lock(conversation_id)
            offer, now = self._store.offers.lock(offer_id)
            self._store.attempts.call_off(offer_id)
            is_reserved = self._store.attempts.is_offer_reserved(offer_id)
            closed = decline(offer, caller, now, is_reserved=is_reserved)
            self._store.offers.close(closed)
            self._store.feed.add_of_offer(EventType.OFFER_CLOSED, closed)
            if message:
                self._store.messages.add(conversation, closed.buyer_id, message, offer_id=offer_id)
        return closed
