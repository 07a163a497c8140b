"""Finish the attempt to place an order: authorize its payment and store the outcome."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn
from uuid import UUID

from order_service.commands.capture_offer import CaptureOffer
from order_service.commands.give_up_placing import GiveUpPlacing
from order_service.commands.purchase import purchase_of
from order_service.domain.attempt import Attempt, AttemptLimits, Kind, State
from order_service.domain.order import Order
from order_service.domain.payment import ActionRequired, Authorization
from order_service.domain.placing import place
from order_service.payments.gateway import ConfirmationNeededError, Declined, Gateway
from order_service.store.store import Store
from servicekit.database import retry_conflicts
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.idempotency import IdempotencyKeys, ResponseStore

# Definite outcomes: nothing was authorized, and nothing will be.
REFUSALS = (Declined, InvalidArgument)
# Payment recovery first asks for a confirmation after this time.
FIRST_ASK = timedelta(seconds=2)


class FinishPlacing:
    """Authorize the payment of a draft and store the order. The payment for an offer is captured as well.

    The caller holds the attempt's lock, or the attempt is CONFIRMING: then the provider is only asked about the
    payment, and of two calls that learn of the confirmation the row of the attempt lets one store the order.
    """

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        idempotency_keys: IdempotencyKeys,
        responses: ResponseStore[Order],
        give_up: GiveUpPlacing,
        capture_offer: CaptureOffer,
        limits: AttemptLimits,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._idempotency_keys = idempotency_keys
        self._responses = responses
        self._give_up = give_up
        self._capture_offer = capture_offer
        self._limits = limits

    def execute(self, attempt: Attempt, now: datetime, *, buyer_waits: bool) -> Order | None:
        """Return the new order; None when another call has ended the attempt. `now` is aware, and was just read.

        Raises one of REFUSALS, or a Conflict about the offer, and then the attempt is over and the idempotency key is
        free. A refused confirmation is raised to a buyer who waits; otherwise it is kept for the buyer's next request,
        and the result is None. Raises ActionRequired, and then the attempt waits for the confirmation; without an
        idempotency key it is given up. Raises Unavailable, and then the attempt stays.
        """
        if attempt.kind is Kind.CAPTURE:
            return self._capture_offer.execute(attempt, now)
        if attempt.state is State.REFUSED:
            self._refuse(attempt.order_id)
            raise Declined
        read_at = time.monotonic()
        try:
            result = self._gateway.authorize(purchase_of(attempt, now))
        except ConfirmationNeededError as needed:
            self._await_confirmation(attempt, needed)
        except REFUSALS:
            if attempt.state is State.CONFIRMING and not buyer_waits:
                self._store.attempts.keep_refusal(attempt.order_id)
                return None
            self._refuse(attempt.order_id)
            raise
        authorization = Authorization(result.reference, attempt.created_at + result.valid_for)
        if attempt.offer_id is not None:
            capturing = self._capture_offer.begin(attempt, authorization, buyer_waits=buyer_waits)
            return self._capture_offer.execute(capturing, now) if capturing else None
        # The database's time, without a question to it.
        return self._place(attempt, authorization, now + timedelta(seconds=time.monotonic() - read_at))

    @retry_conflicts
    def _place(self, attempt: Attempt, authorization: Authorization, now: datetime) -> Order | None:
        draft = attempt.draft
        assert draft is not None
        change = place(draft, authorization, now)
        is_placed = self._store.orders.place(change, self._responses.serialize(change.order))
        return change.order if is_placed else None

    @retry_conflicts
    def _refuse(self, order_id: UUID) -> None:
        with self._store.transaction("refused"):
            if self._store.attempts.end_refused(order_id):
                self._idempotency_keys.free(order_id)

    def _await_confirmation(self, attempt: Attempt, needed: ConfirmationNeededError) -> NoReturn:
        """Keep the payment for a buyer who can come back: one with an idempotency key, in time."""
        before = attempt.confirmation_end(self._limits)
        if not self._idempotency_keys.is_bound(attempt.order_id):
            # When the provider does not answer, payment recovery voids the payment.
            with contextlib.suppress(Unavailable):
                self._give_up.execute(replace(attempt, reference=needed.reference))
            raise ActionRequired from None
        if before <= self._store.now():
            self._give_up.execute(replace(attempt, reference=needed.reference))
            raise Unavailable from None
        self._store.attempts.await_confirmation(attempt.order_id, needed.reference, before, FIRST_ASK)
        raise ActionRequired(needed.client_secret, before) from None
