"""Errors: which of several is answered, what bare statuses of gRPC become, and what Envoy makes by itself."""

from __future__ import annotations

import grpc
import httpx
import pytest

from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge, assert_refused, details_of, get
from tests.support.upstream import fails, returns

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"
GONE = [("x-error-status", "404"), ("x-error-body", '{"error": "Gig not found", "code": "NOT_FOUND"}')]


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("early", [False, True], ids=["with-the-status", "before-the-status"])
def test_an_error_of_a_service_comes_out_as_it_says(edge: Edge, http2: bool, early: bool) -> None:
    edge.gig.responses["GetGig"] = fails(grpc.StatusCode.NOT_FOUND, "told to gRPC", GONE, early=early)

    with edge.client(http2=http2) as api:
        for _ in range(3):
            body = assert_refused(api.get(GIG), 404, "NOT_FOUND")
            assert body == {"error": "Gig not found", "code": "NOT_FOUND"}


def test_an_error_of_a_service_carries_neither_tag_nor_place(edge: Edge, api: httpx.Client) -> None:
    more = [("etag", '"1"'), ("location", "/api/gigs/1")]
    edge.gig.responses["GetGig"] = fails(grpc.StatusCode.NOT_FOUND, "", [*GONE, *more])

    assert_refused(api.get(GIG), 404, "NOT_FOUND")


def test_a_service_may_say_when_to_come_back(edge: Edge, api: httpx.Client) -> None:
    away = [("x-error-status", "503"), ("x-error-body", '{"error": "Away", "code": "UNAVAILABLE"}')]
    edge.gig.responses["CreateGig"] = fails(grpc.StatusCode.UNAVAILABLE, "", [*away, ("retry-after", "7")])

    response = api.post("/api/gigs", json={}, headers=edge.bearer())

    assert_refused(response, 503, "UNAVAILABLE")
    assert response.headers["retry-after"] == "7"


def test_the_violations_that_a_service_names_come_out(edge: Edge, api: httpx.Client) -> None:
    body = (
        '{"error": "The request is invalid", "code": "INVALID_ARGUMENT", '
        '"details": [{"field": "title", "message": "\\u00e4 \\"x\\""}]}'
    )
    said = [("x-error-status", "400"), ("x-error-body", body)]
    edge.gig.responses["CreateGig"] = fails(grpc.StatusCode.INVALID_ARGUMENT, "", said)

    response = api.post("/api/gigs", json={}, headers=edge.bearer())

    assert details_of(response) == {"title": 'ä "x"'}


@pytest.mark.parametrize(
    ("status", "http", "code"),
    [
        (grpc.StatusCode.CANCELLED, 503, "UNAVAILABLE"),
        (grpc.StatusCode.UNKNOWN, 500, "INTERNAL"),
        (grpc.StatusCode.INVALID_ARGUMENT, 500, "INTERNAL"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.NOT_FOUND, 404, "NOT_FOUND"),
        (grpc.StatusCode.PERMISSION_DENIED, 403, "FORBIDDEN"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 503, "UNAVAILABLE"),
        (grpc.StatusCode.FAILED_PRECONDITION, 500, "INTERNAL"),
        (grpc.StatusCode.UNIMPLEMENTED, 404, "NOT_FOUND"),
        (grpc.StatusCode.INTERNAL, 500, "INTERNAL"),
        (grpc.StatusCode.UNAVAILABLE, 503, "UNAVAILABLE"),
        (grpc.StatusCode.DATA_LOSS, 500, "INTERNAL"),
        (grpc.StatusCode.UNAUTHENTICATED, 401, "UNAUTHORIZED"),
    ],
    ids=lambda value: value.name if isinstance(value, grpc.StatusCode) else str(value),
)
@pytest.mark.parametrize("started", [False, True], ids=["trailers-only", "with-headers"])
def test_a_bare_status_of_grpc_becomes_an_error_of_the_catalogue(
    edge: Edge, api: httpx.Client, status: grpc.StatusCode, http: int, code: str, started: bool
) -> None:
    edge.gig.responses["GetGig"] = fails(status, "grpc's own words about an upstream", early=started)

    assert_refused(api.get(GIG), http, code)


def test_an_exception_that_escapes_a_service_is_an_internal_error(edge: Edge, api: httpx.Client) -> None:
    def broken(request: object, context: object) -> gig_pb2.GetGigResponse:
        raise RuntimeError("upstream secret")

    edge.gig.responses["GetGig"] = broken

    assert_refused(api.get(GIG), 500, "INTERNAL")


def test_an_answer_without_the_field_that_is_its_body_is_an_internal_error(edge: Edge, api: httpx.Client) -> None:
    edge.gig.responses["GetGig"] = returns(gig_pb2.GetGigResponse(), ("etag", '"1"'))

    assert_refused(api.get(GIG), 500, "INTERNAL")


def test_head_of_an_error_leaves_the_connection_whole(edge: Edge, api: httpx.Client) -> None:
    edge.gig.responses["GetGig"] = fails(grpc.StatusCode.NOT_FOUND, "", GONE)
    edge.gig.responses["ListPackages"] = fails(grpc.StatusCode.INTERNAL, "")

    for _ in range(3):
        assert api.head(GIG).status_code == 404
        assert api.head(f"{GIG}/packages").status_code == 500
        assert api.head("/api/gigs?x=1").status_code == 400
        assert api.get("/api/categories").json() == {"categories": []}


# Of several refusals the first of these is answered: path, method, token, size and type, JSON and query.
BAD_TOKEN = {"Authorization": "Bearer a.b.c"}
LARGE = b"[" + b" " * 1024 * 1024


@pytest.mark.parametrize(
    ("method", "target", "kind", "content", "token", "status", "code"),
    [
        ("POST", "/api/nothing?x=1", "text/plain", LARGE, "bad", 404, "NOT_FOUND"),
        ("PUT", "/api/gigs?x=1", "text/plain", LARGE, "bad", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/api/gigs?x=1", "text/plain", LARGE, "bad", 401, "UNAUTHORIZED"),
        ("POST", "/api/gigs?x=1", "text/plain", LARGE, "none", 401, "UNAUTHORIZED"),
        ("POST", "/api/gigs?x=1", "text/plain", LARGE, "good", 413, "PAYLOAD_TOO_LARGE"),
        ("POST", "/api/gigs?x=1", "application/json", LARGE, "good", 413, "PAYLOAD_TOO_LARGE"),
        ("POST", "/api/gigs?x=1", "text/plain", b"[", "good", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/api/gigs?x=1", "application/json", b"[", "good", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/gigs", "application/json", b"[", "good", 400, "INVALID_ARGUMENT"),
        ("GET", "/api/orders?x=1", "", b"", "none", 401, "UNAUTHORIZED"),
        ("GET", "/api/orders?x=1", "", b"", "good", 400, "INVALID_ARGUMENT"),
        ("GET", "/api/categories?x=1", "", b"", "bad", 401, "UNAUTHORIZED"),
    ],
)
@pytest.mark.parametrize("in_chunks", [False, True], ids=["with-length", "chunked"])
def test_of_several_refusals_the_first_is_answered(
    edge: Edge,
    api: httpx.Client,
    method: str,
    target: str,
    kind: str,
    content: bytes,
    token: str,
    status: int,
    code: str,
    in_chunks: bool,
) -> None:
    headers = {"bad": BAD_TOKEN, "good": edge.bearer(), "none": {}}[token]
    if kind:
        headers = {"content-type": kind, **headers}

    response = api.request(method, target, content=iter([content]) if in_chunks else content, headers=headers)

    assert_refused(response, status, code)
    assert edge.received() == 0


@pytest.mark.parametrize(
    "path", ["/", "", "/api", "/api/", "/nothing", "/gigs", "/gigx", "/gig//", "/gig/a/", "/health"]
)
def test_an_unknown_path_is_a_404(api: httpx.Client, path: str) -> None:
    assert assert_refused(api.get(path), 404, "NOT_FOUND")["error"] == "Not found"


@pytest.mark.parametrize(
    "path",
    [
        "/api/gigs/%ff",
        "/api/gigs/%C3",
        "/api/gigs/%ED%A0%80",
        "/api/gigs/%",
        "/api/gigs/%4",
        "/api/gigs/%zz",
        "/api/gigs/%00",
        "/api/gigs/a%00b",
        "/api/%ff",
        "/api%2Fgigs",
        "/api/gigs%2F",
        "/api/gigs/#x",
    ],
)
def test_a_path_that_cannot_be_decoded_is_a_404(edge: Edge, path: str) -> None:
    assert_refused(edge.raw(get(path)), 404, "NOT_FOUND")
    assert edge.received() == 0


def test_an_escaped_slash_is_part_of_an_id_not_a_step(edge: Edge) -> None:
    assert edge.raw(get("/api/gigs/a%2Fpackages")).status_code == 200
    assert edge.gig.last().rpc == "GetGig"


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "TRACE"])
def test_an_undecodable_path_is_a_404_with_any_method(edge: Edge, method: str) -> None:
    assert_refused(edge.raw(get("/api/gigs/%ff", method=method)), 404, "NOT_FOUND")


def test_a_path_with_any_byte_is_an_id_or_a_404(edge: Edge) -> None:
    for byte in range(256):
        response = edge.raw(get(f"/api/gigs/%{byte:02x}X:1"))
        assert response.status_code == (200 if 0 < byte < 128 else 404), byte
        if response.status_code == 200:
            assert edge.gig.last().request.gig_id == f"{chr(byte)}X:1"


@pytest.mark.parametrize("size", [17_000, 40_000, 100_000])
def test_headers_over_16_kib_are_refused(edge: Edge, size: int) -> None:
    assert_refused(edge.raw(get("/api/categories", "X-Large: " + "a" * size)), 431, "HEADERS_TOO_LARGE")
    assert_refused(edge.raw(get("/api/gigs?q=" + "a" * size)), 431, "HEADERS_TOO_LARGE")
    assert_refused(edge.raw(get("/api/categories", "X-Large: " + "a" * size, method="PUT")), 431, "HEADERS_TOO_LARGE")
    assert_refused(edge.raw(get("/api/nothing", "X-Large: " + "a" * size, method="OPTIONS")), 431, "HEADERS_TOO_LARGE")


def test_over_http2_headers_over_16_kib_are_refused_as_well(edge: Edge) -> None:
    with edge.client(http2=True) as api:
        response = api.get("/api/categories", headers={"x-large": "a" * 20_000})
        assert_refused(response, 431, "HEADERS_TOO_LARGE")
        assert api.get("/api/categories").status_code == 200


@pytest.mark.parametrize("header", ["Cookie: a=", "X-Large: ", 'If-Match: "', "Idempotency-Key: ", "Traceparent: "])
def test_headers_of_15_kib_pass_and_do_not_upset_grpc(edge: Edge, header: str) -> None:
    response = edge.raw(get("/api/categories", header + "a" * 15_000))

    assert response.status_code == 200


def test_a_query_of_15_kib_passes(edge: Edge) -> None:
    assert edge.raw(get("/api/gigs?q=" + "a" * 15_000)).status_code == 200
    assert len(edge.gig.last().request.q) == 15_000


def test_too_many_headers_are_refused(edge: Edge) -> None:
    many = [f"X-{number}: 1" for number in range(120)]

    assert_refused(edge.raw(get("/api/categories", *many)), 431, "HEADERS_TOO_LARGE")


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /api/categories HTTP/1.1\r\n\r\n",
        b"GET /api/categories HTTP/1.1\r\nHost: x\r\nbad header: x\r\n\r\n",
        b"GET /api/categories HTTP/1.1\r\nHost: x\r\nx: a\0b\r\n\r\n",
        b"GET /api/categories HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /api/categories HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /api/categories HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /api/categories HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"GET /api/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ],
)
def test_what_is_no_http_is_an_error_in_json_all_the_same(edge: Edge, request_: bytes) -> None:
    assert_refused(edge.raw(request_), 400, "INVALID_ARGUMENT")
    assert edge.received() == 0
