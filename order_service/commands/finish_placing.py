"""Finish the attempt to place an order: authorize its payment and store the outcome."""

from __future__ import annotations

from order_service.domain.order import Order
from order_service.domain.payment import Authorization
from order_service.domain.placing import place
from order_service.payments.gateway import ActionRequired, Declined, Gateway, Purchase
from order_service.store.attempts import Attempt
from order_service.store.store import Store
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.idempotency import IdempotencyKeys, ResponseStore

# Definite outcomes: nothing was authorized.
REFUSALS = (Declined, ActionRequired, InvalidArgument)


class FinishPlacing:
    """Authorize the payment of a draft and store the order. The caller holds the attempt's lock."""

    def __init__(
        self, store: Store, gateway: Gateway, idempotency_keys: IdempotencyKeys, responses: ResponseStore[Order]
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._idempotency_keys = idempotency_keys
        self._responses = responses

    def execute(self, attempt: Attempt) -> Order:
        """Return the new order.

        Raises one of REFUSALS, and then the attempt is over and the idempotency key is free; or Unavailable, and then
        the attempt stays.
        """
        draft = attempt.draft
        assert draft is not None
        purchase = Purchase(
            order_id=draft.order_id,
            buyer_id=draft.request.buyer_id,
            amount=draft.terms.price,
            currency=draft.currency,
            token=draft.request.payment_token,
            age=self._store.now() - attempt.created_at,
        )
        try:
            result = self._gateway.authorize(purchase)
        except REFUSALS:
            with self._store.transaction("refused"):
                if not self._store.attempts.end(draft.order_id):
                    raise Unavailable from None
                self._idempotency_keys.abandon(draft.order_id)
            raise
        authorization = Authorization(result.reference, attempt.created_at + result.valid_for)
        with self._store.transaction("placed"):
            if not self._store.attempts.end(draft.order_id):
                raise Unavailable
            now = self._store.now()
            change = place(draft, authorization, now)
            self._store.orders.insert(change, now)
            self._responses.store(change.order.id, change.order)
        return change.order
