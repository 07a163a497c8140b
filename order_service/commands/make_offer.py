"""Make an offer to the other side of a conversation."""

from __future__ import annotations

from uuid import UUID

from order_service.commands.writing import Writing
from order_service.domain.feed import EventType
from order_service.domain.offer import Offer, OfferTerms, check_number, make
from order_service.domain.placing import OrderPolicy
from order_service.gigs import Gigs
from order_service.store.store import Store
from servicekit.call import Caller, IdempotencyClaim
from servicekit.database import retry_conflicts
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.ids import new_id


class MakeOffer:
    """Store an offer of the caller, with a message that shows it."""

    def __init__(
        self,
        store: Store,
        gigs: Gigs,
        writing: Writing,
        idempotency_keys: IdempotencyKeys,
        responses: ResponseStore[Offer],
        order_policy: OrderPolicy,
    ) -> None:
        self._store = store
        self._gigs = gigs
        self._writing = writing
        self._idempotency_keys = idempotency_keys
        self._responses = responses
        self._order_policy = order_policy

    def execute(
        self, conversation_id: UUID, gig_id: UUID, terms: OfferTerms, caller: Caller, claim: IdempotencyClaim | None
    ) -> Offer:
        """Return the new offer.

        Raises InvalidArgument for its price, NotFound (Conversation, Gig), Forbidden for the gig of another and for
        somebody who is blocked, RateLimited, and Conflict (LIMIT_REACHED) when too many are open.
        """
        terms.check_price(self._order_policy.minimum, self._order_policy.currency)
        self._store.conversations.get(conversation_id).check_side(caller)
        # Before the transaction: no row stays locked during the call to GigService.
        self._gigs.offered_gig(gig_id).check_offer(caller)
        return self._make(conversation_id, gig_id, terms, caller, claim)

    @retry_conflicts
    def _make(
        self, conversation_id: UUID, gig_id: UUID, terms: OfferTerms, caller: Caller, claim: IdempotencyClaim | None
    ) -> Offer:
        assert caller.id is not None
        offer_id = new_id()
        with self._store.transaction("offer made"):
            self._idempotency_keys.begin(claim, offer_id)
            self._writing.begin(caller.id)
            conversation = self._store.conversations.lock(conversation_id)
            buyer_id = conversation.other(caller.id).id
            self._writing.count(caller.id, buyer_id)
            check_number(self._store.offers.count_open(conversation_id))
            offer = make(
                offer_id,
                terms,
                conversation_id=conversation_id,
                gig_id=gig_id,
                seller_id=caller.id,
                buyer_id=buyer_id,
                now=self._store.now(),
            )
            self._store.offers.add(offer)
            self._store.messages.add(conversation, caller.id, "", offer_id=offer_id)
            self._store.feed.add_of_offer(EventType.OFFER_MADE, offer)
            self._responses.store(offer_id, offer)
        return offer
