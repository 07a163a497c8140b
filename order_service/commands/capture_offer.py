"""Capture the payment for an offer, and store the order: its seller has agreed to it already."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from order_service.commands.give_up_placing import GiveUpPlacing
from order_service.commands.record_report import RecordReport
from order_service.domain.attempt import Attempt, AttemptLimits
from order_service.domain.feed import EventType
from order_service.domain.offer import BeingOrdered, Offer, OfferClosed, OfferStatus, accept
from order_service.domain.order import Order
from order_service.domain.payment import Authorization
from order_service.domain.placing import place
from order_service.payments.gateway import AlreadyCapturedError, Declined, Gateway, PaymentReport
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import Conflict, Unavailable
from servicekit.idempotency import ResponseStore


class CaptureOffer:
    """The second half of placing an order of an offer, once its payment is authorized.

    `begin` commits that the money may be taken from now on: until the provider has answered, nobody can close the
    offer. Whoever closes it before that wins, and the payment is voided.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        responses: ResponseStore[Order],
        give_up: GiveUpPlacing,
        record_report: RecordReport,
        limits: AttemptLimits,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._responses = responses
        self._give_up = give_up
        self._record_report = record_report
        self._limits = limits

    def begin(self, attempt: Attempt, authorization: Authorization, *, buyer_waits: bool) -> Attempt | None:
        """Return the attempt to capture; None when another call captures, or the attempt is over.

        When somebody else has closed or reserved the offer meanwhile, the attempt is given up, and a buyer who waits
        gets the Conflict.
        """
        refusal, capturing = self._begin(attempt, authorization)
        if refusal is None:
            return capturing
        # When the provider does not answer, payment recovery voids the payment.
        with contextlib.suppress(Unavailable):
            self._give_up.execute(replace(attempt, reference=authorization.reference))
        if buyer_waits:
            raise refusal
        return None

    def execute(self, attempt: Attempt, now: datetime) -> Order | None:
        """Return the order IN_PROGRESS; None when another call has ended the attempt, or it was voided.

        Raises Declined when the capture is refused for good: the payment is voided, and the offer stays open. Raises
        Unavailable when the outcome is not known, and then the attempt stays. After `limits.response` it is voided,
        unless the money was captured.
        """
        draft = attempt.draft
        assert draft is not None
        try:
            captured = self._gateway.capture(draft.order_id, attempt.reference, draft.terms.price)
        except Declined:
            self._refuse(attempt)
            raise
        except Unavailable:
            if not attempt.is_capture_over(now, self._limits):
                raise
            return self._void(attempt)
        return self._place(attempt, captured)

    @retry_conflicts
    def _begin(self, attempt: Attempt, authorization: Authorization) -> tuple[Conflict | None, Attempt | None]:
        """Commit that the payment is going to be captured, or return why it must not be."""
        assert attempt.offer_id is not None
        with self._store.transaction("capturing"):
            offer = self._store.offers.lock(attempt.offer_id).offer
            refusal = self._refusal(offer, attempt.order_id)
            if refusal is not None:
                return refusal, None
            return None, self._store.attempts.begin_capture_of_offer(attempt, authorization)

    def _refusal(self, offer: Offer, order_id: UUID) -> Conflict | None:
        """Return why the order cannot be placed any more. The end of the offer does not count: it was begun before."""
        # Another call may have placed this very order.
        if offer.order_id == order_id:
            return None
        if offer.status is not OfferStatus.OPEN:
            return OfferClosed(offer.status)
        return BeingOrdered() if self._store.attempts.is_offer_reserved(offer.id, order_id) else None

    def _refuse(self, attempt: Attempt) -> None:
        with self._store.transaction("capture refused"):
            if not self._store.attempts.refuse_capture_of_offer(attempt.order_id):
                return
        # When the provider does not answer, payment recovery voids the payment.
        with contextlib.suppress(Unavailable):
            self._give_up.execute(attempt)

    def _void(self, attempt: Attempt) -> Order | None:
        """Void the payment, or place the order when it turns out to be captured. Raises Unavailable."""
        try:
            self._gateway.void(attempt.order_id, attempt.reference)
        except AlreadyCapturedError:
            return self._place(attempt, self._gateway.look_up(attempt.order_id, attempt.reference))
        self._refuse(attempt)
        return None

    @retry_conflicts
    def _place(self, attempt: Attempt, captured: PaymentReport) -> Order | None:
        """Store the order and close the offer, unless another call has. `captured` is the provider's report."""
        draft = attempt.draft
        assert draft is not None and attempt.offer_id is not None and attempt.capture_before is not None
        with self._store.transaction("placed from offer"):
            offer, now = self._store.offers.lock(attempt.offer_id)
            change = place(draft, Authorization(attempt.reference, attempt.capture_before), now)
            # Cards that wait for a confirmation: they come too late.
            self._store.attempts.call_off(offer.id)
            if not self._store.orders.add_captured(change, self._responses.serialize(change.order)):
                return None
            accepted = accept(offer, attempt.order_id)
            self._store.offers.close(accepted)
            self._store.feed.add_of_offer(EventType.OFFER_CLOSED, accepted)
            for posting in change.postings:
                self._store.ledger.post(posting, now)
            order = self._record_report.execute(attempt.order_id, captured)
            self._store.unlock_attempt_with_commit(attempt.order_id)
        return order
