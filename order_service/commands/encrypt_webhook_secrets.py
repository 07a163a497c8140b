"""Encrypt the secrets of webhook endpoints with the first of WEBHOOK_KEYS."""

from __future__ import annotations

from uuid import UUID

import structlog

from order_service.store.store import Store
from order_service.webhooks.secrets import SecretBox, UnknownKey

BATCH = 100


class EncryptWebhookSecrets:
    """Encrypt anew what is encrypted with an older key, so that the older key can be removed."""

    def __init__(self, store: Store, secret_box: SecretBox) -> None:
        self._store = store
        self._secret_box = secret_box
        self._log = structlog.get_logger()

    def execute(self) -> None:
        """Encrypt all secrets with the first key. Those of unknown keys stay as they are."""
        endpoints, digest = self._store.webhook_endpoints, self._secret_box.key_digest
        after, replaced = UUID(int=0), 0
        while found := endpoints.with_other_keys(digest, after, BATCH):
            for stored in found:
                try:
                    replaced += endpoints.replace_secret(stored, self._secret_box.rotate(stored.secret), digest)
                except UnknownKey:
                    continue
            after = found[-1].id
        if replaced:
            self._log.info("webhook secrets encrypted with the new key", endpoints=replaced)
