"""The secrets of endpoints: how they look, how they are kept, and what they sign."""

from __future__ import annotations

import base64

import pytest
from cryptography.fernet import Fernet
from standardwebhooks import Webhook, WebhookVerificationError

from order_service.webhooks.secrets import SecretBox, UnknownKey, new_secret, signed_headers
from servicekit.ids import new_id

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def test_a_secret_is_random_and_of_the_form_that_receivers_libraries_take() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert all(secret.startswith("whsec_") for secret in secrets)
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in secrets} == {32}


def test_what_is_signed_is_verified_with_the_secret_and_no_other() -> None:
    secret, event, body = new_secret(), new_id(), '{"type":"order.placed","data":{"title":"Ünïcode"}}'

    headers = signed_headers(secret, event, body)

    assert headers["webhook-id"] == str(event)
    assert Webhook(secret).verify(body.encode(), headers)["type"] == "order.placed"
    for wrong in (Webhook(new_secret()), Webhook(secret)):
        changed = body if wrong._whsecret != Webhook(secret)._whsecret else body.replace("placed", "lost")
        with pytest.raises(WebhookVerificationError):
            wrong.verify(changed, headers)


def test_a_secret_at_rest_is_read_with_its_key_alone() -> None:
    secret = new_secret()
    encrypted = SecretBox([OLD]).encrypt(secret)

    assert secret not in encrypted
    assert SecretBox([NEW, OLD]).decrypt(encrypted) == secret
    with pytest.raises(UnknownKey):
        SecretBox([NEW]).decrypt(encrypted)


def test_rotation_encrypts_with_the_first_key() -> None:
    secret = new_secret()

    rotated = SecretBox([NEW, OLD]).rotate(SecretBox([OLD]).encrypt(secret))

    assert SecretBox([NEW]).decrypt(rotated) == secret
    assert SecretBox([NEW, OLD]).key_digest == SecretBox([NEW]).key_digest != SecretBox([OLD]).key_digest
