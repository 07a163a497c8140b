"""The periodic task of webhooks.

It disables endpoints that do not keep up, deletes old deliveries and what is left of deleted endpoints, and rotates
secrets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from order_service.commands.encrypt_webhook_secrets import EncryptWebhookSecrets
from order_service.domain.webhook import MAX_WAITING, EndpointStatus
from order_service.store.store import Store

# Deliveries can be read for so long.
LIFETIME = timedelta(days=30)
BATCH = 500
# Between two batches, so that they hold up no call.
PAUSE_SECONDS = 0.05


class WebhookSweep:
    """Sweeps; every worker does it."""

    def __init__(self, store: Store, encrypt_secrets: EncryptWebhookSecrets) -> None:
        self._store = store
        self._encrypt_secrets = encrypt_secrets
        self._log = structlog.get_logger()

    def sweep(self) -> None:
        """Disable endpoints that do not keep up, delete what is due, and encrypt the secrets of older keys anew."""
        self._disable_overfull()
        self._encrypt_secrets.execute()
        deliveries = self._store.webhook_deliveries
        _repeat(lambda: deliveries.sweep(LIFETIME, BATCH))
        _repeat(lambda: deliveries.sweep_deleted(BATCH))
        self._store.webhook_endpoints.sweep()

    def _disable_overfull(self) -> None:
        for endpoint_id in self._store.webhook_endpoints.disable_overfull(MAX_WAITING):
            self._log.warning(
                "webhook endpoint changed",
                endpoint=str(endpoint_id),
                status=EndpointStatus.DISABLED,
                reason=f"more than {MAX_WAITING} deliveries wait",
            )


def _repeat(sweep: Callable[[], int]) -> None:
    """Sweep until a batch is not full."""
    while sweep() == BATCH:
        time.sleep(PAUSE_SECONDS)
