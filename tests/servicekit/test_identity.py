"""Authentication by access tokens."""

from __future__ import annotations

import base64
import time
from typing import Any

import jwt
import pytest

from servicekit.errors import Unauthenticated
from servicekit.identity import SERVICE_ISSUER, USER_ROLES, Issuer, Verifier
from servicekit.settings import CLOCK_SKEW_SECONDS
from tests.support.identity import (
    USER_AUDIENCE,
    USER_ISSUER,
    MemoryJwks,
    service_token,
    signing_key,
    token,
    user_id,
    verifier,
)


def deep(start: str, level: str, end: str) -> str:
    """Return a token whose header is JSON of many levels."""
    text = start + level * 7000 + end * 7000
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


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
        "Bearer " + token("ann", exp=int(time.time()) - 61),
        "Bearer " + token("ann", nbf=int(time.time()) + 7200),
        "Bearer " + token("ann", iat=int(time.time()) + 7200),
        "Bearer " + token("ann", exp=float("inf")),
        "Bearer " + token("ann", exp=float("nan")),
        "Bearer " + token("ann", exp=10**400),
        "Bearer " + token("ann", exp="soon"),
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
        "Bearer " + token("ann", roles=5),
        "Bearer " + token("ann", roles={"buyer": True}),
        "Bearer " + token("ann", "buyer", roles=["buyer", None]),
        "Bearer " + token("ann", roles=[["buyer"]]),
        "Bearer " + deep("{", '"a":{', "}"),
        "Bearer " + deep('{"a":', "[", "]") + ".x.y",
        "Bearer \ud800.a.b",
        "Bearer ä.ö.ü",
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
    # The minute that is granted to clocks that differ ends in a second.
    expires = int(time.time()) - CLOCK_SKEW_SECONDS + 2
    header = "Bearer " + token("ann", "buyer", exp=expires)
    same_verifier.caller(header)

    while time.time() <= expires + CLOCK_SKEW_SECONDS:
        time.sleep(0.05)

    with pytest.raises(Unauthenticated):
        same_verifier.caller(header)


def test_a_sub_may_be_in_upper_case() -> None:
    assert verifier().caller("Bearer " + token("ann", sub=str(user_id("ann")).upper())).id == user_id("ann")


def test_roles_that_do_not_exist_are_ignored() -> None:
    assert verifier().caller("Bearer " + token("ann", "buyer", "king", "service")).roles == {"buyer"}


def test_the_services_tokens_carry_the_services_role_alone() -> None:
    assert verifier().caller("Bearer " + service_token(roles=["service", "admin"])).roles == {"service"}


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_clocks_may_differ_by_a_minute(claim: str) -> None:
    now = int(time.time())
    changed: dict[str, Any] = {claim: now - 50 if claim == "exp" else now + 50}

    assert verifier().caller("Bearer " + token("ann", **changed)).id == user_id("ann")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("webdev_pro", "webdev_pro"),
        ("O'Brien", "O'Brien"),
        ("  ann ", "ann"),
        ("e\u0301va", "\u00e9va"),
        ("\u5c71\u7530\u3000\u592a\u90ce", "\u5c71\u7530\u3000\u592a\u90ce"),
        ("x" * 50, "x" * 50),
        (" " * 60 + "x" * 50, "x" * 50),
    ],
)
def test_a_name_is_stored_in_its_normal_form(name: str, stored: str) -> None:
    assert verifier().caller("Bearer " + token("ann", preferred_username=name)).username == stored


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "\u00a0",
        "\u3164",
        "\ufe0f",
        "a\0b",
        "a\x1fb",
        "a\x7fb",
        "a\x85b",
        "web\ndev",
        "web\rdev",
        "ann\n",
        "a\tb",
        "a\u2028b",
        "a\u202eb",
        "a\u2066b",
        "a\u200bb",
        "a\ufeffb",
        "a\U000e0041b",
        "\ud800",
        "x" * 51,
        "x" * 5000,
        "\ufb2c" * 30,  # 90 characters in NFC
        "a" + "\u0301" * 100_000,
        5,
        True,
        {"name": "ann"},
        ["ann"],
        [],
    ],
    ids=lambda name: ascii(name)[:20],
)
def test_a_token_with_a_name_that_is_none_is_refused(name: object) -> None:
    with pytest.raises(Unauthenticated):
        verifier().caller("Bearer " + token("ann", preferred_username=name))


def test_a_token_whose_name_is_null_is_refused() -> None:
    claims = jwt.decode(token("ann"), options={"verify_signature": False}) | {"preferred_username": None}
    made = jwt.encode(claims, signing_key("user"), algorithm="ES256", headers={"kid": "user"})

    with pytest.raises(Unauthenticated):
        verifier().caller(f"Bearer {made}")


def test_a_token_without_a_name_is_good_and_has_none() -> None:
    assert verifier().caller("Bearer " + token("ann", preferred_username=None)).username == ""


def test_a_remembered_token_is_refused_once_its_key_is_gone() -> None:
    keys = MemoryJwks("user")
    same_verifier = Verifier([Issuer(USER_ISSUER, USER_AUDIENCE, keys, USER_ROLES)])
    header = "Bearer " + token("ann", "buyer")
    same_verifier.caller(header)

    keys.__init__("stranger")  # type: ignore[misc]  # its one key is another now

    with pytest.raises(Unauthenticated):
        same_verifier.caller(header)
