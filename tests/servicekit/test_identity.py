"""Authentication by access tokens."""

from __future__ import annotations

import time

import jwt
import pytest

from servicekit.errors import Unauthenticated
from servicekit.identity import SERVICE_ISSUER
from tests.support.identity import service_token, token, user_id, verifier


def test_no_header_is_anyone() -> None:
    assert verifier().caller(None).is_anonymous


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_case_of_the_scheme_does_not_matter(scheme: str) -> None:
    assert verifier().caller(f"{scheme} {token('ann', 'buyer')}").id == user_id("ann")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer a.b.c",
        "Bearer " + token("ann", exp=int(time.time()) - 1),
        "Bearer " + token("ann", exp=None),
        "Bearer " + token("ann", iss=None),
        "Bearer " + token("ann", aud=None),
        "Bearer " + token("ann", sub=None),
        "Bearer " + token("ann", iss="https://evil.example.com"),
        "Bearer " + token("ann", aud="another"),
        "Bearer " + token("ann", sub="not-a-uuid"),
        "Bearer " + token("ann", sub=""),
        "Bearer " + token("ann", sub=user_id("ann").hex),
        "Bearer " + token("ann", sub=f"{{{user_id('ann')}}}"),
        "Bearer " + token("ann", sub=user_id("ann").urn),
        "Bearer " + token("ann", sub=f" {user_id('ann')}"),
        "Bearer " + token("ann", roles="admin"),
        "Bearer " + token("ann", key="stranger"),
        "Bearer " + token("ann", key="service"),
        "Bearer " + token("ann", iss=SERVICE_ISSUER),
        "Bearer " + service_token(key="user"),
        "Bearer " + jwt.encode({"sub": str(user_id("ann"))}, "", algorithm="none"),
    ],
)
def test_a_bad_token_is_refused(header: str) -> None:
    with pytest.raises(Unauthenticated):
        verifier().caller(header)


def test_a_forged_signature_is_refused() -> None:
    head, payload, signature = token("ann", "buyer").split(".")
    other = token("ann", "admin").split(".")[1]

    with pytest.raises(Unauthenticated):
        verifier().caller(f"Bearer {head}.{other}.{signature}")
    assert payload != other


def test_a_token_that_was_accepted_is_refused_once_it_expires() -> None:
    same_verifier = verifier()
    expires = int(time.time()) + 1
    header = "Bearer " + token("ann", "buyer", exp=expires)
    same_verifier.caller(header)

    while time.time() <= expires:
        time.sleep(0.05)

    with pytest.raises(Unauthenticated):
        same_verifier.caller(header)


def test_a_sub_may_be_in_upper_case() -> None:
    assert verifier().caller("Bearer " + token("ann", sub=str(user_id("ann")).upper())).id == user_id("ann")


def test_roles_that_do_not_exist_are_ignored() -> None:
    assert verifier().caller("Bearer " + token("ann", "buyer", "king", "service")).roles == {"buyer"}


def test_the_services_tokens_carry_the_services_role_alone() -> None:
    assert verifier().caller("Bearer " + service_token(roles=["service", "admin"])).roles == {"service"}
