"""Authentication: access tokens become Callers. Every token is checked here, even when the edge has checked it.

Users' tokens are signed with a key of the user JWKS. The services' own tokens are signed with the services' key; only
they can carry the role `service`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import jwt

from servicekit import usernames
from servicekit.call import ANYONE, Caller
from servicekit.errors import Unauthenticated
from servicekit.ids import new_id
from servicekit.jwks import Jwks
from servicekit.settings import CLOCK_SKEW_SECONDS

ALGORITHMS = ("ES256", "EdDSA", "RS256")
USER_ROLES = frozenset(("seller", "buyer", "admin"))
SERVICE_ROLES = frozenset(("service",))
SERVICE_ISSUER = "marketplace-services"
SERVICE_AUDIENCE = "marketplace-internal"
SERVICE_TOKEN_SECONDS = 300
REMEMBERED_TOKENS = 10_000
# What a token can raise while it is parsed: it may be anything, also JSON of a thousand levels.
BAD_TOKEN = (jwt.PyJWTError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Issuer:
    """A signer of tokens. `roles` are the roles that its tokens can carry; others in them are ignored."""

    name: str
    audience: str
    keys: Jwks
    roles: frozenset[str]


class _Verified(NamedTuple):
    """A token that was verified: it counts until it expires, and while the key that signed it is known."""

    caller: Caller
    expires: float
    key: jwt.PyJWK
    key_id: str | None
    keys: Jwks

    def is_valid(self) -> bool:
        return time.time() < self.expires + CLOCK_SKEW_SECONDS and self.keys.find(self.key_id) is self.key


class Verifier:
    """Turns `Authorization` headers into Callers. Valid tokens are remembered, by their digests, while they count.

    The tokens of `erased` users are bad ones, however long they would be valid.
    """

    def __init__(self, issuers: list[Issuer], erased: Container[UUID] = frozenset()) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._erased = erased
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._lock = threading.Lock()

    def caller(self, authorization: str | None) -> Caller:
        """Return the caller; ANYONE without a header. Raises Unauthenticated for a bad token."""
        if authorization is None:
            return ANYONE
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        with self._lock:
            known = self._verified.get(digest)
        if known and known.is_valid():
            return self._checked(known.caller)
        verified = self._verify(token)
        with self._lock:
            self._verified[digest] = verified
            while len(self._verified) > REMEMBERED_TOKENS:
                self._verified.popitem(last=False)
        return self._checked(verified.caller)

    def _checked(self, caller: Caller) -> Caller:
        if caller.id in self._erased:
            raise Unauthenticated
        return caller

    def _verify(self, token: str) -> _Verified:
        try:
            header = jwt.get_unverified_header(token)
            issuer = self._issuers[jwt.decode(token, options={"verify_signature": False})["iss"]]
            key_id = header.get("kid")
            key = issuer.keys.find(key_id)
            if key is None or header.get("alg") not in ALGORITHMS:
                raise Unauthenticated
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[header["alg"]],
                audience=issuer.audience,
                issuer=issuer.name,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            caller = Caller(_user_id(claims["sub"]), _username(claims), _roles(claims) & issuer.roles)
            return _Verified(caller, float(claims["exp"]), key, key_id, issuer.keys)
        except BAD_TOKEN as error:
            raise Unauthenticated from error


def _username(claims: dict[str, Any]) -> str:
    """Return the name in a token; empty when it has none. Raises ValueError, TypeError when it is no person's name.

    A token without the claim is good: not every issuer has names, and only what shows a name needs one.
    """
    return usernames.normalize(claims["preferred_username"]) if "preferred_username" in claims else ""


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    """Return the roles in a token; none without the claim. Raises TypeError unless they are a list of texts."""
    roles = claims.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise TypeError("the roles are no list of texts")
    return frozenset(roles)


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
