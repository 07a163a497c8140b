"""Send a delivery again because a user asks for it."""

from __future__ import annotations

from uuid import UUID

from order_service.domain.webhook import Delivery
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.database import retry_conflicts
from servicekit.errors import NotFound


class RetryWebhookDelivery:
    """Let a delivery be sent at once, whatever its status and that of its endpoint."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @retry_conflicts
    def execute(self, endpoint_id: UUID, delivery_id: UUID, caller: Caller) -> Delivery:
        """Return the delivery, which is PENDING. Raises NotFound, also for those whom the endpoint does not concern."""
        endpoint = self._store.webhook_endpoints.get(endpoint_id)
        if endpoint is None:
            raise NotFound("Webhook endpoint")
        endpoint.check_access(caller)
        with self._store.transaction("webhook retry"):
            delivery = self._store.webhook_deliveries.lock(delivery_id)
            if delivery is None or delivery.endpoint_id != endpoint_id:
                raise NotFound("Webhook delivery")
            return self._store.webhook_deliveries.retry(delivery)
