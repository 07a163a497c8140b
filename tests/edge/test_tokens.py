"""Access tokens: which the edge takes."""

from __future__ import annotations

import base64
import hmac
import json
import random
import re
import socket
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.protobuf import empty_pb2

from edge import signing_keys, tokens
from edge.name_patterns import HIDDEN, SHAPE
from servicekit import usernames
from servicekit.identity import SERVICE_AUDIENCE, SERVICE_ISSUER
from servicekit.text import is_invisible
from tests.support.edge import Edge, an_edge, assert_refused, fetches, get, read_response
from tests.support.eventually import eventually
from tests.support.grpc_web import call

# Characters of all kinds: hidden, blank, combining, of one to four bytes.
INTERESTING = [*b" !Aaz~", 0xA0, 0xE9, 0x301, 0x416, 0x3000, 0x5C71, 0x1F600, *([0x61] * 30)]
INTERESTING += [0, 9, 10, 31, 127, 0x85, 0xAD, 0x61C, 0x200B, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xFB2C, 0x3164, 0xE0041]
NEEDS = "/api/orders"
ANYONE = "/api/categories"
# The same RPCs by gRPC-Web.
GRPC_WEB = {
    NEEDS: "/marketplace.order.v1.OrderService/ListOrders",
    ANYONE: "/marketplace.gig.v1.GigService/ListCategories",
}


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
    return {name: now + value if type(value) is int else value for name, value in claims.items()}


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
        {"nbf": 120},
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
        {"preferred_username": ""},
        {"preferred_username": "   "},
        {"preferred_username": "a\0b"},
        {"preferred_username": "web\ndev"},
        {"preferred_username": "ann\n"},
        {"preferred_username": "a\x7fb"},
        {"preferred_username": "a\x85b"},
        {"preferred_username": "a\u202eb"},
        {"preferred_username": "a\u200bb"},
        {"preferred_username": "a\U000e0041b"},
        {"preferred_username": "a\u2028b"},
        {"preferred_username": "\ud800"},
        {"preferred_username": "x" * 51},
        {"preferred_username": "\u592a" * 51},
        {"preferred_username": "x" * 5000},
        {"preferred_username": True},
        {"preferred_username": {"name": "ann"}},
        {"preferred_username": ["ann"]},
    ],
    ids=lambda changes: ",".join(f"{name}={ascii(value)[:30]}" for name, value in changes.items()),
)
def test_a_token_with_wrong_claims_is_refused(
    edge: Edge, api: httpx.Client, path: str, changes: dict[str, Any]
) -> None:
    assert_refused(ask(api, signed(edge, **changes), path), 401, "UNAUTHORIZED")
    assert edge.received() == 0


def test_a_subject_in_any_letter_case_is_taken(edge: Edge, api: httpx.Client) -> None:
    assert ask(api, signed(edge, sub="0190A000-0000-7000-8000-00000000000f")).status_code == 200


@pytest.mark.parametrize(
    "name", ["a", "O'Brien", "  ann  ", "\u00e9" * 50, "\u5c71\u7530\u3000\u592a\u90ce", "x" * 50, None]
)
def test_a_name_of_shown_characters_is_taken(edge: Edge, api: httpx.Client, name: str | None) -> None:
    assert ask(api, signed(edge, preferred_username=name)).status_code == 200


def test_the_edge_knows_every_hidden_character_of_unicode_and_no_other() -> None:
    hidden = re.compile(HIDDEN.encode())
    # A lone surrogate has no UTF-8.
    chars = (chr(code) for code in (*range(0xD800), *range(0xE000, sys.maxunicode + 1)))

    wrong = [
        ascii(char)
        for char in chars
        if bool(hidden.fullmatch(char.encode())) != (unicodedata.category(char) in usernames.HIDDEN_CATEGORIES)
    ]

    assert not wrong


def test_the_edge_takes_every_name_that_the_services_take_and_hardly_another(edge: Edge) -> None:
    shape, hidden = re.compile(SHAPE.encode()), re.compile(HIDDEN.encode())
    generated = random.Random(1)
    for _ in range(3000):
        name = "".join(map(chr, generated.choices(INTERESTING, k=generated.choice((0, 1, 2, 3, 49, 50, 51)))))
        taken = bool(shape.fullmatch(name.encode()) and not hidden.fullmatch(name.encode()))
        try:
            usernames.normalize(name)
        except ValueError:
            # The services alone know what is invisible, and how long a name is in NFC.
            assert not taken or is_invisible(name) or len(unicodedata.normalize("NFC", name)) > 50, ascii(name)
        else:
            assert taken or name != name.strip(), ascii(name)


@pytest.mark.parametrize("changes", [{"sub": "someone"}, {"preferred_username": "a\u202eb"}], ids=min)
def test_a_bad_claim_is_answered_before_a_bad_body(edge: Edge, api: httpx.Client, changes: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {signed(edge, **changes)}", "Content-Type": "text/plain"}

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
    token = forge(edge)

    assert_refused(ask(api, token, path), 401, "UNAUTHORIZED")
    by_grpc_web = call(api, GRPC_WEB[path], empty_pb2.Empty(), {"Authorization": f"Bearer {token}"})
    assert (by_grpc_web.status, by_grpc_web.code) == (16, "UNAUTHORIZED")
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
    # A minute is granted to clocks that differ; the token is 58 seconds past its end.
    token = signed(edge, exp=-58)
    assert ask(api, token).status_code == 200

    time.sleep(3)

    assert_refused(ask(api, token), 401, "UNAUTHORIZED")


def replace_user_key(edge: Edge, folder: Path, *, in_place: bool) -> ec.EllipticCurvePrivateKey:
    """Put another key into the edge's JWKS file and return it."""
    other = signing_keys.user_key(folder)
    target = Path(edge.settings.user_jwks)
    if in_place:
        target.write_bytes(other.jwks.read_bytes())
    else:
        other.jwks.replace(target)
    return other.load()


@pytest.mark.parametrize("in_place", [True, False])
def test_a_jwks_file_is_read_again_and_a_key_taken_out_stops_working(tmp_path: Path, in_place: bool) -> None:
    with an_edge() as edge, edge.client() as api:
        old = signed(edge)
        assert ask(api, old).status_code == 200

        new_key = replace_user_key(edge, tmp_path, in_place=in_place)
        new = jwt.encode(claims(), new_key, algorithm="ES256", headers={"kid": signing_keys.key_id(new_key)})

        eventually(lambda: ask(api, old).status_code == 401, 60, every=0.2)
        assert ask(api, new).status_code == 200

        Path(edge.settings.user_jwks).write_text('{"keys": [')
        failed = fetches(edge, "failed")
        eventually(lambda: fetches(edge, "failed") > failed, 60, every=0.2)
        assert ask(api, new).status_code == 200


def test_nothing_but_the_jwks_is_served_of_its_folder(edge: Edge) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(jwks_socket(edge).replace("@", "\0"))
        for name, status in (("user.jwks.json", 200), ("user.pem", 404), ("", 404), ("../keys/user.pem", 404)):
            connection.sendall(get(f"/{name}"))
            assert read_response(connection).status_code == status, name


def jwks_socket(edge: Edge) -> str:
    """Return the name of the socket on which the edge serves itself its JWKS."""
    found = re.search("@marketplace-jwks-[0-9a-f]+", (edge.folder / "envoy.yaml").read_text())
    assert found
    return found[0]


def test_the_user_stands_in_the_access_log(edge: Edge, api: httpx.Client) -> None:
    api.get(ANYONE, headers={"Authorization": f"Bearer {signed(edge)}", "X-Request-Id": "whose"})

    [line] = edge.access_log("whose")
    assert line["user"] == str(tokens.user_id("someone"))


def test_nobody_stands_in_the_access_log_without_a_token(edge: Edge, api: httpx.Client) -> None:
    api.get(ANYONE, headers={"X-Edge-User": str(tokens.user_id("someone")), "X-Request-Id": "nobody"})

    [line] = edge.access_log("nobody")
    assert "user" not in line
