"""Place an order: its payment is authorized before the call returns, and for an offer captured as well."""

from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from uuid import UUID

from order_service.commands.finish_placing import FinishPlacing
from order_service.commands.give_up_placing import GiveUpPlacing
from order_service.domain.attempt import Attempt, AttemptLimits, State, check_waiting
from order_service.domain.offer import check_orderable
from order_service.domain.order import Order
from order_service.domain.payment import PaymentPolicy
from order_service.domain.placing import (
    Draft,
    OrderPolicy,
    OrderRequest,
    OrderTerms,
    Source,
    draft,
    offer_terms,
    order_terms,
)
from order_service.gigs import Gigs
from order_service.store.store import Store
from servicekit.call import IdempotencyClaim, require_time
from servicekit.errors import OutcomeUnknown, in_doubt
from servicekit.idempotency import IdempotencyKeys, IdempotencyKeyTaken
from servicekit.ids import new_id


class PlaceOrder:
    """Place an order, or continue with one that the same idempotency key began."""

    def __init__(
        self,
        store: Store,
        idempotency_keys: IdempotencyKeys,
        gigs: Gigs,
        finish_placing: FinishPlacing,
        give_up: GiveUpPlacing,
        payment_policy: PaymentPolicy,
        order_policy: OrderPolicy,
        limits: AttemptLimits,
    ) -> None:
        self._store = store
        self._idempotency_keys = idempotency_keys
        self._gigs = gigs
        self._finish_placing = finish_placing
        self._give_up = give_up
        self._payment_policy = payment_policy
        self._order_policy = order_policy
        self._limits = limits

    def execute(
        self,
        source: Source,
        source_id: UUID,
        request: OrderRequest,
        expected_price: Decimal | None,
        claim: IdempotencyClaim | None,
    ) -> Order:
        """Return the new order of a package or an offer, once it is paid for. `expected_price` is in major units.

        Raises NotFound (Package, Offer, Gig), Forbidden, InvalidArgument, Conflict (also PRICE_CHANGED, OFFER_CLOSED,
        LIMIT_REACHED), Unavailable, DeadlineExceeded when too little time is left to begin, and Declined: then nothing
        is left. Raises ActionRequired, and with an idempotency key the placing waits for the buyer's confirmation.
        Raises OutcomeUnknown when the provider was asked: then the same idempotency key, or payment recovery, finishes
        the attempt.
        """
        if claim is not None and claim.attempt_id is not None:
            order = self._resume(claim.attempt_id)
            if order is not None:
                return order
        self._payment_policy.check(request.payment_method, request.payment_token)
        terms = self._terms(source, source_id, request)
        self._check_buyer(request.buyer_id, terms.seller_id)
        new_draft = draft(new_id(), terms, request, self._order_policy, expected_price)
        require_time()
        attempt = self._begin(new_draft, claim)
        with self._store.new_attempt_lock(attempt.order_id), in_doubt():
            with self._store.attempts.due_when_in_doubt(attempt):
                order = self._finish_placing.execute(attempt, attempt.created_at, buyer_waits=True)
            if order is None:
                raise OutcomeUnknown
            return order

    def _check_buyer(self, buyer_id: UUID, seller_id: UUID) -> None:
        """Raise Forbidden and Conflict about blocks, and Conflict (LIMIT_REACHED) about placings that wait."""
        blocks, waiting = self._store.attempts.before_placing(buyer_id, seller_id)
        blocks.check_blocked()
        blocks.check_blocking()
        check_waiting(waiting)

    def _terms(self, source: Source, source_id: UUID, request: OrderRequest) -> OrderTerms:
        """Return the terms of this moment, or those of an offer. Raises NotFound, Forbidden and InvalidArgument."""
        if source is Source.PACKAGE:
            return order_terms(self._gigs.package_terms(source_id), request.extra_ids, request.quantity)
        offer = self._store.offers.get(source_id).offer
        offer.check_buyer(request.buyer_id)
        gig = self._gigs.offered_gig(offer.gig_id)
        gig.check_order()
        return offer_terms(offer, gig.title)

    def _begin(self, new_draft: Draft, claim: IdempotencyClaim | None) -> Attempt:
        """Commit the attempt, and take its lock. Raises IdempotencyKeyTaken, and Conflict about an offer."""
        if new_draft.terms.offer_id is not None:
            return self._begin_of_offer(new_draft, new_draft.terms.offer_id, claim)
        binding = claim and self._idempotency_keys.binding(claim, new_draft.order_id)
        attempt = self._store.attempts.begin_authorization(new_draft, binding)
        if attempt is None:
            raise IdempotencyKeyTaken
        return attempt

    def _begin_of_offer(self, new_draft: Draft, offer_id: UUID, claim: IdempotencyClaim | None) -> Attempt:
        with ExitStack() as begun, self._store.transaction("placing of offer"):
            self._idempotency_keys.begin(claim, new_draft.order_id)
            offer, now = self._store.offers.lock(offer_id)
            check_orderable(offer, now, is_reserved=self._store.attempts.is_offer_reserved(offer_id))
            attempt = self._store.attempts.begin_authorization_of_offer(new_draft)
            # From here on the attempt may be there, also when the commit's response is lost.
            begun.enter_context(in_doubt())
        return attempt

    def _resume(self, order_id: UUID) -> Order | None:
        """Return the order of the attempt; None when the attempt is given up, and the key free again.

        Raises IdempotencyKeyTaken when another call has ended it: the key then has the response, or is free.
        """
        with self._store.attempt_lock(order_id) as is_holder:
            attempt = self._store.attempts.get(order_id)
            if attempt is None:
                raise IdempotencyKeyTaken
            if not is_holder and attempt.state is not State.CONFIRMING:
                raise OutcomeUnknown
            with in_doubt():
                now = self._store.now()
                if attempt.is_over(now, self._limits):
                    self._give_up.execute(attempt)
                    return None
                order = self._finish_placing.execute(attempt, now, buyer_waits=True)
        if order is None:
            raise IdempotencyKeyTaken
        return order
