"""What has to ask the payment provider before it is answered: placing an order, and accepting one.

Each is an attempt: committed before the call, finished after it together with all that follows from the outcome. Who
dies in between, or is left without an answer, leaves the attempt to the same caller's next try and to every worker's
`Finisher`; the provider knows a call that is made again by the order's id. So the money and the order never part.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter

from order_service.convert import orders as convert
from order_service.domain.lifecycle import Action, Command, Timeouts, end_capture, move
from order_service.domain.order import Change, Draft, Order, Party, Status, place
from order_service.domain.payment import Hold
from order_service.domain.settlement import begin_capture
from order_service.payments.gateway import ActionRequired, Declined, Gateway, Purchase
from order_service.store import Store
from order_service.store.attempts import Attempt, Kind
from servicekit.call import IdempotencyClaim
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.idempotency import IdempotencyKeys

DRAFT = TypeAdapter(Draft)
# Clear answers: nothing was authorised.
REFUSALS = (Declined, ActionRequired, InvalidArgument)


class Cashier:
    """Places and accepts orders."""

    def __init__(self, store: Store, gateway: Gateway, keys: IdempotencyKeys, timeouts: Timeouts) -> None:
        self._store = store
        self._gateway = gateway
        self._keys = keys
        self._timeouts = timeouts

    def place(self, draft: Draft, claim: IdempotencyClaim | None) -> Order:
        """The order, once its payment is authorised.

        Raises what the gateway refuses it with, and then there is nothing; or Unavailable, and then the order will be
        there, or refused, when the provider is back.
        """
        with self._store.hold(draft.order_id):
            with self._store.transaction("placing"):
                self._store.attempts.begin(draft.order_id, Kind.AUTHORIZE, DRAFT.dump_python(draft, mode="json"))
                if claim is not None:
                    self._keys.begin(claim, draft.order_id)
            return self._authorize(self._under_way(draft.order_id))

    def go_on_placing(self, order_id: UUID) -> Order:
        """What `place` began for the same idempotency key, and what nobody has finished yet. Raises as it does."""
        with self._store.hold(order_id) as held:
            attempt = self._store.attempts.get(order_id)
            # Somebody is at it, or has finished it this moment: the key will have the answer.
            if not held or attempt is None:
                raise Unavailable
            return self._authorize(attempt)

    def accept(self, order_id: UUID, parties: Callable[[Order], frozenset[Party]], message: str) -> Order:
        """The order IN_PROGRESS, once its payment is captured. `parties` says who the caller is to the order.

        Raises what `move` does, and `parties`; Declined when the provider refuses the capture for good, and then the
        order is CANCELLED; Unavailable when nobody knows: then the order is being accepted, and the seller's next try,
        or a worker, finishes that.
        """
        command = Command(Action.ACCEPT, message)
        with self._store.hold(order_id) as held:

            def begin(order: Order, now: datetime) -> Change:
                if held and order.is_being_captured and Party.SELLER in parties(order):
                    return Change(order)
                accepted = move(order, command, parties(order), now=now, timeouts=self._timeouts)
                return accepted if order.payment_status is None else Change(begin_capture(order))

            with self._store.transaction("accepting"):
                order = self._store.orders.change(order_id, begin)
                if order.is_being_captured and self._store.attempts.get(order_id) is None:
                    self._store.attempts.begin(order_id, Kind.CAPTURE, {"message": message})
            if order.is_being_captured:
                order = self._capture(order, self._under_way(order_id))
        if order.status is Status.CANCELLED:
            raise Declined
        return order

    def finish(self, attempt: Attempt) -> None:
        """Finishes what somebody else began, unless they are at it. Raises Unavailable when that cannot be done yet."""
        with self._store.hold(attempt.order_id) as held:
            if not held or self._store.attempts.get(attempt.order_id) is None:
                return
            if attempt.kind is Kind.AUTHORIZE:
                self._authorize(attempt)
            else:
                self._capture(self._store.orders.get(attempt.order_id).order, attempt)

    def _under_way(self, order_id: UUID) -> Attempt:
        attempt = self._store.attempts.get(order_id)
        # A worker has finished it already: the hold was lost with its connection.
        if attempt is None:
            raise Unavailable
        return attempt

    def _authorize(self, attempt: Attempt) -> Order:
        draft: Draft = DRAFT.validate_python(attempt.data)
        purchase = Purchase(
            order_id=draft.order_id,
            buyer_id=draft.request.buyer_id,
            amount=draft.terms.price,
            currency=draft.currency,
            token=draft.request.payment_token,
            age=self._store.now() - attempt.created_at,
        )
        try:
            authorization = self._gateway.authorize(purchase)
        except REFUSALS:
            with self._store.transaction("refused"):
                self._store.attempts.end(draft.order_id)
                self._keys.abandon(draft.order_id)
            raise
        hold = Hold(authorization.reference, attempt.created_at + authorization.valid_for)
        with self._store.transaction("placed"):
            if not self._store.attempts.end(draft.order_id):
                raise Unavailable
            order = self._store.orders.place(lambda now: place(draft, hold, now))
            self._keys.finish(draft.order_id, convert.to_placed(order))
        return order

    def _capture(self, order: Order, attempt: Attempt) -> Order:
        try:
            self._gateway.capture(order.id, order.payment_reference, order.price)
        except Declined:
            command = Command(Action.CAPTURE_FAILED)
        else:
            command = Command(Action.ACCEPT, attempt.data["message"])
        with self._store.transaction("accepted"):
            if not self._store.attempts.end(order.id):
                return self._store.orders.get(order.id).order
            return self._store.orders.change(order.id, lambda found, now: end_capture(found, command, now))
