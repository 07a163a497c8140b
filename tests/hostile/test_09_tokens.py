"""Names in access tokens, clocks that differ, and signing keys that are taken out of the JWKS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from edge import signing_keys, tokens
from tests.support.bystanders import bystanders
from tests.support.eventually import eventually
from tests.support.stack import Stack
from tests.support.story import a_gig

# What the product promises, in seconds.
WITHIN = 60


def token(stack: Stack, data_dir: Path | None = None, **changes: Any) -> str:
    """Return a token of the stack's key, or of the key in another folder, with changed claims."""
    key = signing_keys.user_key(data_dir or stack.data_dir).load()
    claims: dict[str, Any] = {
        "iss": signing_keys.USER_ISSUER,
        "aud": signing_keys.USER_AUDIENCE,
        "sub": str(tokens.user_id("somebody")),
        "preferred_username": "somebody",
        "roles": ["seller", "buyer"],
        "exp": int(time.time()) + 600,
    }
    return jwt.encode(claims | changes, key, algorithm="ES256", headers={"kid": signing_keys.key_id(key)})


def ask(api: httpx.Client, made: str, method: str = "GET", path: str = "/api/orders", **options: Any) -> httpx.Response:
    """Send a request with a token."""
    return api.request(method, path, headers={"Authorization": f"Bearer {made}"}, **options)


NAMES: list[object] = [None, "", "  ", "\0", "a\nb", "a\u202eb", "x" * 5000, 5, {}, []]
# The services alone know these.
NAMES += ["\u3164", "\ufb2c" * 30]
ROLES: list[object] = [None, "seller", {"seller": True}, ["seller", None], 5]


@pytest.mark.parametrize(
    "changes",
    [*({"preferred_username": name} for name in NAMES), *({"roles": roles} for roles in ROLES)],
    ids=lambda changes: ascii(changes)[:40],
)
def test_a_token_with_a_name_or_roles_that_are_none_is_no_token(stack: Stack, changes: dict[str, Any]) -> None:
    with stack.client() as api:
        for response in (
            ask(api, token(stack, **changes), "POST", "/api/gigs", json=a_gig()),
            ask(api, token(stack, **changes)),
        ):
            assert response.status_code == 401, response.text
            assert response.json() == {"error": "Authentication required", "code": "UNAUTHORIZED"}
            assert response.headers["www-authenticate"] == "Bearer"


def test_clocks_may_differ_by_a_minute_at_the_edge_and_in_the_services_alike(stack: Stack) -> None:
    now = int(time.time())
    good: list[dict[str, Any]] = [{"exp": now - 50}, {"nbf": now + 50}, {"iat": now + 50}]
    bad: list[dict[str, Any]] = [{"exp": now - 70}, {"nbf": now + 90}, {"iat": now + 90}]
    with stack.client() as api:
        assert [ask(api, token(stack, **changes)).status_code for changes in good] == [200] * 3
        assert [ask(api, token(stack, **changes)).status_code for changes in bad] == [401] * 3


def test_tokens_of_bad_names_hurt_nobody(stack: Stack) -> None:
    made = [token(stack, preferred_username=name) for name in ("\0", "x" * 5000, "\u202e", None)]
    with bystanders(stack) as others, stack.client() as api:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert {ask(api, each).status_code for each in made} == {401}
    others.require_served()


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack whose keys are changed."""
    stack = Stack(workers=1)
    try:
        yield stack.start()
    finally:
        stack.stop()


def test_a_key_taken_out_of_the_jwks_file_stops_working_within_a_minute(own_stack: Stack, tmp_path: Path) -> None:
    jwks = signing_keys.user_key(own_stack.data_dir).jwks
    before = jwks.read_bytes()
    old, new = token(own_stack), token(own_stack, tmp_path)
    with own_stack.client() as api:
        # Every worker and every thread of the edge remembers the token.
        assert {ask(api, old).status_code for _ in range(20)} == {200}
        assert ask(api, new).status_code == 401

        jwks.write_bytes(signing_keys.user_key(tmp_path).jwks.read_bytes())

        eventually(lambda: ask(api, new).status_code == 200, WITHIN, every=0.5)
        eventually(lambda: ask(api, old).status_code == 401, WITHIN, every=0.5)
        assert {ask(api, old).status_code for _ in range(20)} == {401}
        assert {ask(api, new).status_code for _ in range(20)} == {200}

        jwks.write_text('{"keys": [')
        time.sleep(1)
        assert {ask(api, new).status_code for _ in range(20)} == {200}

        replacement = jwks.with_suffix(".new")
        replacement.write_bytes(before)
        replacement.replace(jwks)
        eventually(lambda: ask(api, old).status_code == 200, WITHIN, every=0.5)
        assert {ask(api, new).status_code for _ in range(20)} == {401}
