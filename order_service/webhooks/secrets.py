"""The secrets of endpoints: made here, encrypted at rest, and used to sign deliveries."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from standardwebhooks import Webhook

SECRET_BYTES = 32
PREFIX = "whsec_"


class UnknownKey(Exception):
    """No key of WEBHOOK_KEYS decrypts the secret."""


def new_secret() -> str:
    """Return a new secret, as its receiver needs it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(secret: str, event_id: UUID, body: str) -> dict[str, str]:
    """Return the headers of Standard Webhooks for a body that is sent now.

    The time is this machine's, which the receiver compares with its own; nothing stores it.
    """
    now = datetime.now(UTC)
    return {
        "webhook-id": str(event_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(event_id), now, body),
    }


class SecretBox:
    """Encrypts with the first key, and decrypts with all. The keys are Fernet's. `key_digest` names the first one."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self.key_digest = hashlib.sha256(keys[0].encode()).hexdigest()[:16]

    def encrypt(self, secret: str) -> str:
        """Return the secret, encrypted."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """Return the secret. Raises UnknownKey."""
        try:
            return self._fernet.decrypt(encrypted.encode()).decode()
        except InvalidToken as error:
            raise UnknownKey from error

    def rotate(self, encrypted: str) -> str:
        """Return the secret, encrypted with the first key. Raises UnknownKey."""
        return self.encrypt(self.decrypt(encrypted))
