"""What browsers need: CORS for pages of any origin, preflights, and the security headers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from marketplace.gig.v1 import gig_pb2
from tests.support.edge import (
    Edge,
    assert_readable_by_pages,
    assert_refused,
    assert_safe_in_browsers,
    get,
    read_response,
)
from tests.support.upstream import returns

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"
PICTURE = f"/media/cd/{'cd' * 16}.png"
PAGE = {"origin": "https://shop.example"}


def preflight(method: str, *headers: str) -> dict[str, str]:
    """Return the headers with which a browser asks whether a page may send a request."""
    named = {"access-control-request-headers": ",".join(headers)} if headers else {}
    return PAGE | {"access-control-request-method": method} | named


@pytest.fixture
def picture(edge: Edge) -> Iterator[str]:
    """Yield the path of a picture."""
    file = edge.folder / PICTURE[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"picture")
    yield PICTURE
    file.unlink()


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_a_page_of_any_origin_may_read_what_the_api_answers(edge: Edge, http2: bool) -> None:
    edge.gig.responses["GetGig"] = returns(gig_pb2.GetGigResponse(gig=gig_pb2.Gig(title="x")), ("etag", '"1"'))
    made, gone = ("POST", "/api/gigs", 201), ("DELETE", GIG, 204)

    with edge.client(http2=http2) as api:
        for method, path, status in [("GET", GIG, 200), ("HEAD", GIG, 200), made, gone]:
            response = api.request(method, path, headers=PAGE | edge.bearer())
            assert response.status_code == status
            assert_readable_by_pages(response)
            assert_safe_in_browsers(response)
        known = api.get(GIG, headers=PAGE | {"if-none-match": '"1"'})
        assert known.status_code == 304
        assert_readable_by_pages(known)


def test_a_page_may_read_a_stream(edge: Edge, api: httpx.Client) -> None:
    stream = api.get("/api/watch", headers=PAGE | edge.bearer())

    assert stream.headers["content-type"] == "text/event-stream"
    assert_readable_by_pages(stream)


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-1"}], ids=["whole", "range"])
def test_a_page_may_read_and_show_a_picture(api: httpx.Client, picture: str, headers: dict[str, str]) -> None:
    response = api.get(picture, headers=PAGE | headers)

    assert response.is_success
    assert_readable_by_pages(response)
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert response.headers.get_list("content-security-policy") == ["default-src 'none'; sandbox"]
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]


def test_a_picture_that_is_not_there_can_be_told_from_one_that_may_not_be_read(api: httpx.Client) -> None:
    assert_refused(api.get(f"/media/00/{'f' * 32}.png", headers=PAGE), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/gigs", "POST"), ("/gig/", "GET"), (GIG, "PATCH"), ("/api/orders", "GET"), (f"{GIG}/images", "POST")],
)
def test_a_preflight_needs_no_token_and_names_what_the_path_takes(api: httpx.Client, path: str, method: str) -> None:
    response = api.options(path, headers=preflight(method, "authorization", "content-type"))

    assert response.status_code == 204
    assert_readable_by_pages(response)
    assert method in response.headers["access-control-allow-methods"].split(", ")
    assert response.headers["access-control-allow-methods"] == response.headers["allow"]
    allowed = response.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "idempotency-key", "if-match", "if-none-match"} <= set(allowed)
    assert {"last-event-id", "x-request-id", "traceparent", "x-grpc-web", "x-user-agent", "grpc-timeout"} <= set(
        allowed
    )
    assert int(response.headers["access-control-max-age"]) > 600


def test_a_picture_takes_a_preflight(api: httpx.Client) -> None:
    response = api.options(PICTURE, headers=preflight("GET", "range"))

    assert response.status_code == 204
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/orders", {}, 204),
        ("/api/orders", PAGE, 204),
        ("/api/orders", {"access-control-request-method": "GET"}, 204),
        ("/api/nothing", preflight("GET"), 404),
    ],
    ids=["plain", "of a page", "without an origin", "unknown path"],
)
def test_what_is_no_preflight_gets_no_answer_to_one(
    api: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    response = api.options(path, headers=headers)

    assert response.status_code == status
    assert ("allow" in response.headers) == (status == 204)
    for name in ("methods", "headers"):
        assert f"access-control-allow-{name}" not in response.headers
    assert "access-control-max-age" not in response.headers


def test_only_a_preflight_names_methods(edge: Edge, api: httpx.Client) -> None:
    refused = api.put("/api/orders", headers=preflight("PUT"))

    assert_refused(refused, 405, "METHOD_NOT_ALLOWED")
    assert "access-control-allow-methods" not in refused.headers


def test_a_service_cannot_set_what_pages_may_read(edge: Edge, api: httpx.Client) -> None:
    said = ("access-control-allow-origin", "https://evil.example"), ("access-control-allow-credentials", "true")
    edge.gig.responses["GetGig"] = returns(gig_pb2.GetGigResponse(gig=gig_pb2.Gig()), *said)

    assert_readable_by_pages(api.get(GIG, headers=PAGE))


def test_what_arrives_before_its_request_is_complete_can_be_read_as_well(edge: Edge) -> None:
    with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=10)) as connection:
        connection.sendall(get("/api/nothing", "Origin: https://shop.example", "Content-Length: 5", method="POST"))
        assert_refused(read_response(connection), 404, "NOT_FOUND")


ORIGINS = ["https://shop.example", "http://localhost:3000"]


@pytest.fixture(scope="module")
def narrow() -> Iterator[Edge]:
    """Yield an edge that lets the pages of two origins read."""
    edge = Edge(cors_origins=", ".join(ORIGINS))
    try:
        yield edge.start()
    finally:
        edge.stop()


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(
    ("path", "status"), [("/api/categories", 200), ("/api/orders", 401), ("/api/nothing", 404), ("/api/gigs?x=1", 400)]
)
def test_a_listed_origin_is_named_in_every_response(narrow: Edge, origin: str, path: str, status: int) -> None:
    with narrow.client() as api:
        response = api.get(path, headers={"origin": origin})

    assert response.status_code == status
    assert_readable_by_pages(response, origin)


@pytest.mark.parametrize(
    "origin",
    [
        [],
        ["https://shop.example.evil"],
        ["http://shop.example"],
        ["https://shop.example:8443"],
        ["https://SHOP.example"],
        ["https://shop.example/"],
        ["null"],
        ["*"],
        [""],
        ORIGINS,
    ],
    ids=str,
)
def test_any_other_origin_is_not_named_but_varies_the_response(narrow: Edge, origin: list[str]) -> None:
    with narrow.client() as api:
        for path in ("/api/categories", "/api/orders"):
            response = api.get(path, headers=[("origin", each) for each in origin])
            assert "access-control-allow-origin" not in response.headers
            assert response.headers["vary"] == "Origin"


def test_a_preflight_of_a_listed_origin_is_answered_with_it(narrow: Edge) -> None:
    with narrow.client() as api:
        listed = api.options("/api/orders", headers=preflight("POST"))
        other = api.options("/api/orders", headers=preflight("POST") | {"origin": "https://other.example"})

    assert listed.status_code == other.status_code == 204
    assert_readable_by_pages(listed, "https://shop.example")
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"


def test_a_header_too_large_is_an_error_that_a_listed_origin_may_read(narrow: Edge) -> None:
    request = get("/api/categories", "Origin: https://shop.example", "X-Large: " + "a" * 20_000)

    response = narrow.raw(request)

    assert response.status_code == 431
    assert_readable_by_pages(response, "https://shop.example")


@pytest.mark.parametrize("large", ["a" * 100_000, "\0"], ids=["431", "400"])
def test_headers_that_envoy_has_not_read_name_no_origin(narrow: Edge, large: str) -> None:
    response = narrow.raw(get("/api/categories", "Origin: https://shop.example", f"X-Large: {large}"))

    assert response.status_code in (400, 431)
    assert response.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in response.headers
