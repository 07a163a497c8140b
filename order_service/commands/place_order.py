"""Place an order: its payment is authorized before the call returns."""

from __future__ import annotations

from uuid import UUID

from order_service.commands.finish_placing import FinishPlacing
from order_service.domain.order import Order
from order_service.domain.payment import PaymentPolicy
from order_service.domain.placing import OrderPolicy, OrderRequest, draft
from order_service.gigs import Gigs
from order_service.store.store import Store
from servicekit.call import IdempotencyClaim, require_time
from servicekit.errors import Unavailable
from servicekit.idempotency import IdempotencyKeys
from servicekit.ids import new_id


class PlaceOrder:
    """Place an order, or continue with one that the same idempotency key began."""

    def __init__(
        self,
        store: Store,
        idempotency_keys: IdempotencyKeys,
        gigs: Gigs,
        finish_placing: FinishPlacing,
        payment_policy: PaymentPolicy,
        order_policy: OrderPolicy,
    ) -> None:
        self._store = store
        self._idempotency_keys = idempotency_keys
        self._gigs = gigs
        self._finish_placing = finish_placing
        self._payment_policy = payment_policy
        self._order_policy = order_policy

    def execute(self, package_id: UUID, request: OrderRequest, claim: IdempotencyClaim | None) -> Order:
        """Return the new order, once its payment is authorized.

        Raises NotFound (Package), Forbidden, InvalidArgument, DeadlineExceeded when too little time is left to begin,
        and the gateway's refusals: then nothing is left. Raises Unavailable when the outcome is not known: then the
        same idempotency key, or payment recovery, finishes the attempt.
        """
        if claim is not None and claim.attempt_id is not None:
            return self._resume(claim.attempt_id)
        self._payment_policy.check(request.payment_method, request.payment_token)
        terms = self._gigs.package_terms(package_id)
        new_draft = draft(new_id(), terms, request, self._order_policy)
        require_time()
        with self._store.attempt_lock(new_draft.order_id):
            with self._store.transaction("placing"):
                self._store.attempts.begin_authorization(new_draft)
                self._idempotency_keys.begin(claim, new_draft.order_id)
            return self._resume_locked(new_draft.order_id)

    def _resume(self, order_id: UUID) -> Order:
        with self._store.attempt_lock(order_id) as is_holder:
            if not is_holder:
                raise Unavailable
            return self._resume_locked(order_id)

    def _resume_locked(self, order_id: UUID) -> Order:
        attempt = self._store.attempts.get(order_id)
        # Payment recovery has finished it in the meantime: the idempotency key has the response.
        if attempt is None:
            raise Unavailable
        return self._finish_placing.execute(attempt)
