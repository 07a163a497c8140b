"""Signing keys and tokens for tests, made in memory, once a run."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from servicekit.call import Caller
from servicekit.identity import SERVICE_AUDIENCE, SERVICE_ISSUER, SERVICE_ROLES, USER_ROLES, Issuer, Verifier

USER_ISSUER = "https://id.example.com"
USER_AUDIENCE = "marketplace"
PEOPLE = UUID("6f1d9c52-6f0a-4c57-9d5e-3a1e7f0c1a11")


@cache
def signing_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the private key with this name: `user`, `service` or a stranger's."""
    return ec.generate_private_key(ec.SECP256R1())


class MemoryJwks:
    """A JWKS with one key."""

    def __init__(self, name: str) -> None:
        public = jwt.algorithms.ECAlgorithm.to_jwk(signing_key(name).public_key(), as_dict=True)
        self._key = jwt.PyJWK({**public, "kid": name, "alg": "ES256"})

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        return self._key if kid in (None, self._key.key_id) else None


def jwks_file(folder: Path, name: str) -> Path:
    """Write the public key with this name to a JWKS file, for another process, and return its path."""
    public = jwt.algorithms.ECAlgorithm.to_jwk(signing_key(name).public_key(), as_dict=True)
    path = folder / f"{name}.jwks.json"
    path.write_text(json.dumps({"keys": [{**public, "kid": name, "alg": "ES256", "use": "sig"}]}))
    return path


def verifier() -> Verifier:
    """Return a verifier of tokens that are signed with the keys `user` and `service`."""
    people = Issuer(USER_ISSUER, USER_AUDIENCE, MemoryJwks("user"), USER_ROLES)
    return Verifier([people, Issuer(SERVICE_ISSUER, SERVICE_AUDIENCE, MemoryJwks("service"), SERVICE_ROLES)])


def user_id(name: str) -> UUID:
    """Return the id of the user with this name."""
    return uuid5(PEOPLE, name)


def a_caller(name: str, *roles: str) -> Caller:
    """Return a user as a handler sees them."""
    return Caller(user_id(name), name, frozenset(roles))


def token(name: str, *roles: str, key: str = "user", **changed: Any) -> str:
    """Return a user's token. `changed` claims replace the right ones; None leaves a claim out."""
    claims: dict[str, Any] = {
        "iss": USER_ISSUER,
        "aud": USER_AUDIENCE,
        "sub": str(user_id(name)),
        "preferred_username": name,
        "roles": list(roles),
        "exp": int(time.time()) + 3600,
    }
    claims = {claim: value for claim, value in {**claims, **changed}.items() if value is not None}
    return jwt.encode(claims, signing_key(key), algorithm="ES256", headers={"kid": key})


def service_token(name: str = "review", **changed: Any) -> str:
    """Return a token of a service."""
    services = {"iss": SERVICE_ISSUER, "aud": SERVICE_AUDIENCE}
    return token(name, "service", **{"key": "service", **services, **changed})
