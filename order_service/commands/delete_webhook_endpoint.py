"""Delete a webhook endpoint."""

from __future__ import annotations

from uuid import UUID

from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.errors import NotFound


class DeleteWebhookEndpoint:
    """Delete an endpoint. Its deliveries cannot be read or sent any more; the sweep removes their rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, endpoint_id: UUID, caller: Caller) -> None:
        """Delete the endpoint. Raises NotFound, also for those whom it does not concern."""
        endpoint = self._store.webhook_endpoints.get(endpoint_id)
        if endpoint is None:
            raise NotFound("Webhook endpoint")
        endpoint.check_access(caller)
        if not self._store.webhook_endpoints.delete(endpoint_id):
            raise NotFound("Webhook endpoint")
