"""Authentication: access tokens become Callers. Every token is checked here, even when the edge has checked it.

Users' tokens are signed with a key of the user JWKS. The services' own tokens are signed with the services' key; only
they can carry the role `service`.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import jwt
import structlog

from servicekit.call import ANYONE, Caller
from servicekit.errors import Unauthenticated, Unavailable
from servicekit.ids import new_id

ALGORITHMS = ("ES256", "EdDSA", "RS256")
USER_ROLES = frozenset(("seller", "buyer", "admin"))
SERVICE_ROLES = frozenset(("service",))
SERVICE_ISSUER = "marketplace-services"
SERVICE_AUDIENCE = "marketplace-internal"
SERVICE_TOKEN_SECONDS = 300
REMEMBERED_TOKENS = 10_000


class Jwks(Protocol):
    """A source of public keys."""

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id. Without an id, return the only key, if there is exactly one."""
        ...


class FileJwks:
    """The keys of a JWKS file, which is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: int | None = None
        self._keys: dict[str | None, jwt.PyJWK] = {}

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id, as Jwks.find does. Raises OSError, ValueError when the file is not readable."""
        changed_at = self._path.stat().st_mtime_ns
        if changed_at != self._read_at:
            keys = jwt.PyJWKSet.from_dict(json.loads(self._path.read_text())).keys
            self._keys = {key.key_id: key for key in keys}
            self._read_at = changed_at
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)


class UrlJwks:
    """The keys of a JWKS that an identity provider publishes. Fetched when needed, kept for five minutes."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_keys=True, lifespan=300, timeout=3)

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key with this id, as Jwks.find does. Raises Unavailable when the JWKS cannot be fetched."""
        try:
            if kid is not None:
                return self._client.get_signing_key(kid)
            keys = self._client.get_signing_keys()
            return keys[0] if len(keys) == 1 else None
        except jwt.PyJWKClientConnectionError as error:
            structlog.get_logger().error("the user JWKS cannot be fetched", reason=str(error))
            raise Unavailable from error
        except jwt.PyJWKClientError:
            return None


def jwks_from(source: str) -> Jwks:
    """Return the keys of a JWKS, given as an http(s) URL or as a file's path."""
    return UrlJwks(source) if source.startswith(("https://", "http://")) else FileJwks(Path(source))


@dataclass(frozen=True)
class Issuer:
    """A signer of tokens. `roles` are the roles that its tokens can carry; others in them are ignored."""

    name: str
    audience: str
    keys: Jwks
    roles: frozenset[str]


class Verifier:
    """Turns `Authorization` headers into Callers. Valid tokens are remembered until they expire."""

    def __init__(self, issuers: list[Issuer]) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._verified: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._lock = threading.Lock()

    def caller(self, authorization: str | None) -> Caller:
        """Return the caller; ANYONE without a header. Raises Unauthenticated for a bad token."""
        if authorization is None:
            return ANYONE
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        with self._lock:
            known = self._verified.get(token)
            if known and known[1] > time.time():
                return known[0]
        caller, expires = self._verify(token)
        with self._lock:
            self._verified[token] = (caller, expires)
            while len(self._verified) > REMEMBERED_TOKENS:
                self._verified.popitem(last=False)
        return caller

    def _verify(self, token: str) -> tuple[Caller, float]:
        try:
            header = jwt.get_unverified_header(token)
            issuer = self._issuers[jwt.decode(token, options={"verify_signature": False})["iss"]]
            key = issuer.keys.find(header.get("kid"))
            if key is None or header.get("alg") not in ALGORITHMS:
                raise Unauthenticated
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[header["alg"]],
                audience=issuer.audience,
                issuer=issuer.name,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            roles = claims.get("roles", [])
            if not isinstance(roles, list):
                raise Unauthenticated
            caller = Caller(
                id=_user_id(claims["sub"]),
                username=str(claims.get("preferred_username", "")),
                roles=issuer.roles.intersection(role for role in roles if isinstance(role, str)),
            )
            return caller, float(claims["exp"])
        except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unauthenticated from error


def _user_id(sub: str) -> UUID:
    """Return the id in a token's `sub`. Raises ValueError unless it is a UUID in the usual form.

    This is the one place that checks it. `UUID` alone also accepts braces, a `urn:uuid:` prefix and missing hyphens.
    """
    user_id = UUID(sub)
    if str(user_id) != sub.lower():
        raise ValueError(f"not a user's id: {sub!r}")
    return user_id


class ServiceTokens:
    """The access tokens of a service's own calls: short-lived, and renewed when needed."""

    def __init__(self, signing_key: str, service: str) -> None:
        self._signing_key = signing_key
        self._service = service
        self._id = new_id()
        self._token = ""
        self._renew_at = 0.0

    def authorization(self) -> str:
        """Return the `Authorization` header of a call to another service."""
        now = time.time()
        if now >= self._renew_at:
            claims = {
                "iss": SERVICE_ISSUER,
                "aud": SERVICE_AUDIENCE,
                "sub": str(self._id),
                "preferred_username": self._service,
                "roles": ["service"],
                "iat": int(now),
                "exp": int(now) + SERVICE_TOKEN_SECONDS,
            }
            self._token = jwt.encode(claims, self._signing_key, algorithm="ES256")
            self._renew_at = now + SERVICE_TOKEN_SECONDS / 2
        return f"Bearer {self._token}"
