"""Access tokens: which the edge takes."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from edge import signing_keys, tokens
from servicekit.identity import SERVICE_AUDIENCE, SERVICE_ISSUER
from tests.support.edge import Edge, assert_refused, get

NEEDS = "/api/orders"
ANYONE = "/api/categories"


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token; None leaves a claim out."""
    good: dict[str, Any] = {
        "iss": signing_keys.USER_ISSUER,
        "aud": signing_keys.USER_AUDIENCE,
        "sub": str(tokens.user_id("someone")),
        "preferred_username": "someone",
        "roles": ["buyer"],
        "exp": 600,
    }
    now = int(time.time())
    claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
    return {name: now + value if isinstance(value, int) else value for name, value in claims.items()}


def signed(edge: Edge, **changes: Any) -> str:
    """Return a token signed with the users' key."""
    key = signing_keys.user_key(edge.folder).load()
    return jwt.encode(claims(**changes), key, algorithm="ES256", headers={"kid": signing_keys.key_id(key)})


def ask(api: httpx.Client, token: str, path: str = NEEDS) -> httpx.Response:
    """Send a GET with a token."""
    return api.get(path, headers={"Authorization": f"Bearer {token}"})


def test_a_good_token_passes_and_goes_on_to_the_service(edge: Edge, api: httpx.Client) -> None:
    token = signed(edge)

    assert ask(api, token).status_code == 200
    assert edge.order.last().metadata["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("spaces", [" ", "  "])
def test_the_letter_case_of_the_scheme_does_not_matter(edge: Edge, api: httpx.Client, scheme: str, spaces: str) -> None:
    token = signed(edge)

    assert api.get(NEEDS, headers={"Authorization": f"{scheme}{spaces}{token}"}).status_code == 200
    assert edge.order.last().metadata["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("path", [NEEDS, ANYONE])
@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -120},
        {"exp": None},
        {"nbf": 600},
        {"iss": None},
        {"iss": "elsewhere"},
        {"iss": SERVICE_ISSUER, "aud": SERVICE_AUDIENCE},
        {"iss": SERVICE_ISSUER},
        {"aud": None},
        {"aud": "elsewhere"},
        {"aud": SERVICE_AUDIENCE},
        {"sub": None},
        {"sub": "someone"},
        {"sub": ""},
        {"sub": "0190a000-0000-7000-8000-00000000000"},
        {"sub": "0190a000-0000-7000-8000-0000000000011"},
        {"sub": "0190a000000070008000000000000001"},
        {"sub": "{0190a000-0000-7000-8000-000000000001}"},
        {"sub": "0190a000-0000-7000-8000-000000000001\n"},
    ],
    ids=lambda changes: ",".join(f"{name}={value}" for name, value in changes.items()),
)
def test_a_token_with_wrong_claims_is_refused(
    edge: Edge, api: httpx.Client, path: str, changes: dict[str, Any]
) -> None:
    assert_refused(ask(api, signed(edge, **changes), path), 401, "UNAUTHORIZED")
    assert edge.received() == 0


def test_a_subject_in_any_letter_case_is_taken(edge: Edge, api: httpx.Client) -> None:
    assert ask(api, signed(edge, sub="0190A000-0000-7000-8000-00000000000f")).status_code == 200


def test_a_bad_subject_is_answered_before_a_bad_body(edge: Edge, api: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {signed(edge, sub='someone')}", "Content-Type": "text/plain"}

    for content in (b"x", b"x" * (1 << 20) + b"x"):
        assert_refused(api.post("/api/gigs?x=1", content=content, headers=headers), 401, "UNAUTHORIZED")


def unsigned(edge: Edge) -> str:
    """Return a token of the algorithm `none`."""
    return jwt.encode(claims(), "", algorithm="none")


def of_another_key(edge: Edge) -> str:
    """Return a token signed with another key under our key's id."""
    kid = signing_keys.key_id(signing_keys.user_key(edge.folder).load())
    return jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": kid})


def of_an_unknown_key(edge: Edge) -> str:
    """Return a token signed with another key, id and algorithm."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims(), key, algorithm="RS256", headers={"kid": "other"})


def of_the_public_key_as_secret(edge: Edge) -> str:
    """Return a token signed with HMAC, with the public key as the secret."""
    secret = signing_keys.user_key(edge.folder).jwks.read_bytes()
    head = {"alg": "HS256", "kid": json.loads(secret)["keys"][0]["kid"]}
    text = ".".join(base64url(json.dumps(each).encode()) for each in (head, claims()))
    return f"{text}.{base64url(hmac.digest(secret, text.encode(), 'sha256'))}"


def base64url(data: bytes) -> str:
    """Return bytes as they stand in tokens."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def changed(edge: Edge) -> str:
    """Return a good token with another payload."""
    head, _, signature = signed(edge).split(".")
    return f"{head}.{base64url(json.dumps(claims(roles=['admin'])).encode())}.{signature}"


def of_the_services(edge: Edge) -> str:
    """Return a service's own token, signed with the services' key."""
    service = signing_keys.service_key(edge.folder).load()
    made = claims(iss=SERVICE_ISSUER, aud=SERVICE_AUDIENCE, roles=["service"])
    return jwt.encode(made, service, algorithm="ES256", headers={"kid": signing_keys.key_id(service)})


@pytest.mark.parametrize("path", [NEEDS, ANYONE])
@pytest.mark.parametrize(
    "forge", [unsigned, of_another_key, of_an_unknown_key, of_the_public_key_as_secret, changed, of_the_services]
)
def test_a_forged_token_is_refused(edge: Edge, api: httpx.Client, path: str, forge: Any) -> None:
    assert_refused(ask(api, forge(edge), path), 401, "UNAUTHORIZED")
    assert edge.received() == 0


@pytest.mark.parametrize("path", [NEEDS, ANYONE])
@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer a", "Bearer a.b", "Bearer a.b.c", "Bearer ..", "Basic YTpi", "a.b.c"]
)
def test_what_has_not_the_form_of_a_token_is_refused(edge: Edge, path: str, value: str) -> None:
    assert_refused(edge.raw(get(path, f"Authorization: {value}")), 401, "UNAUTHORIZED")
    assert edge.received() == 0


@pytest.mark.parametrize("shape", ['Bearer "{}"', "Bearer {}, x", "Bearer x {}", "Token {}", "{}", "Bearer {} ; x"])
def test_a_good_token_in_odd_wrapping_is_refused(edge: Edge, api: httpx.Client, shape: str) -> None:
    assert_refused(api.get(NEEDS, headers={"Authorization": shape.format(signed(edge))}), 401, "UNAUTHORIZED")


def test_two_tokens_are_none(edge: Edge) -> None:
    header = f"Authorization: Bearer {signed(edge)}"

    assert_refused(edge.raw(get(NEEDS, header, header)), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("name", ["access_token", "token", "authorization"])
def test_a_token_in_the_query_never_counts(edge: Edge, api: httpx.Client, name: str) -> None:
    assert_refused(api.get(f"{NEEDS}?{name}={signed(edge)}"), 401, "UNAUTHORIZED")
    assert edge.received() == 0


def test_a_token_in_a_cookie_or_another_header_never_counts(edge: Edge, api: httpx.Client) -> None:
    for header in ("Cookie", "X-Authorization", "Proxy-Authorization", "X-Jwt"):
        response = api.get(NEEDS, headers={header: f"Bearer {signed(edge)}"})
        assert_refused(response, 401, "UNAUTHORIZED")


def test_a_token_that_has_run_out_is_refused_though_it_was_good_before(edge: Edge, api: httpx.Client) -> None:
    # Envoy grants a minute for clocks that differ; the token is 58 seconds past its end.
    token = signed(edge, exp=-58)
    assert ask(api, token).status_code == 200

    time.sleep(3)

    assert_refused(ask(api, token), 401, "UNAUTHORIZED")


def test_the_user_stands_in_the_access_log(edge: Edge, api: httpx.Client) -> None:
    api.get(ANYONE, headers={"Authorization": f"Bearer {signed(edge)}", "X-Request-Id": "whose"})

    [line] = edge.access_log("whose")
    assert line["user"] == str(tokens.user_id("someone"))


def test_nobody_stands_in_the_access_log_without_a_token(edge: Edge, api: httpx.Client) -> None:
    api.get(ANYONE, headers={"X-Edge-User": str(tokens.user_id("someone")), "X-Request-Id": "nobody"})

    [line] = edge.access_log("nobody")
    assert "user" not in line
