"""The public listener and its clients: odd requests, HTTP/1.0, bodies that are not taken, bounds by address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import hpack
import httpx
import pytest
from hyperframe.frame import SettingsFrame

from edge.settings import EdgeSettings
from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge, an_edge, assert_refused, get, read_response
from tests.support.grpc_web import Answer, call
from tests.support.http2 import PREFACE, headers_frames, read_statuses
from tests.support.upstream import returns, slow

GIG = "0190a000-0000-7000-8000-000000000001"
A_GIG = gig_pb2.GetGigResponse(gig=gig_pb2.Gig(id=GIG, title="A gig"))
CATEGORIES = [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", "/api/categories")]
MIB = 1024 * 1024


def connect(edge: Edge, source: str = "127.0.0.1") -> socket.socket:
    """Return a connection from an address of loopback."""
    return socket.create_connection(("127.0.0.1", edge.port), timeout=10, source_address=(source, 0))


def status(connection: socket.socket, *headers: str, path: str = "/api/categories") -> int:
    """Send a GET and return its status; 0 when the connection is closed instead."""
    try:
        connection.sendall(get(path, *headers))
        return read_response(connection).status_code
    except ConnectionError:
        return 0


def over_http2(edge: Edge, *streams: list[tuple[str, str]]) -> dict[int, int]:
    """Send header lists on one connection of HTTP/2. Return the statuses by the number of the list, from 0."""
    encoder, received = hpack.Encoder(), b""
    with closing(connect(edge)) as connection:
        frames = [headers_frames(encoder, 2 * number + 1, each, end=True) for number, each in enumerate(streams)]
        connection.sendall(PREFACE + SettingsFrame(0).serialize() + b"".join(frames))
        connection.settimeout(1)
        try:
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            pass
    return {(stream - 1) // 2: status for stream, status in read_statuses(received)[0].items()}


@pytest.mark.parametrize(
    "lines", ["Host:", "Host:   ", "Host: a@b", "Host: a\r\nHost: b", "Host: a\r\n b", "Host: a/b", ""]
)
def test_a_request_without_one_good_host_is_a_400(edge: Edge, lines: str) -> None:
    request = "\r\n".join(["GET /api/categories HTTP/1.1", *([lines] if lines else []), "", ""])

    assert_refused(edge.raw(request.encode()), 400, "INVALID_ARGUMENT")
    assert edge.received() == 0


@pytest.mark.parametrize(
    "host", ["edge", "edge:8080", "127.0.0.1", "[::1]:80", "a_b.example", "xn--bcher-kva.example."]
)
def test_an_ordinary_host_is_taken(edge: Edge, host: str) -> None:
    assert edge.raw(f"GET /api/categories HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).status_code == 200


def test_a_folded_header_line_becomes_one_line(edge: Edge) -> None:
    """RFC 9112 lets a server replace a fold by blanks."""
    response = edge.raw(get("/api/categories", "Idempotency-Key: a\r\n b"))

    assert response.status_code == 200
    assert edge.gig.last().metadata["idempotency-key"] == "a b"


@pytest.mark.parametrize("te", ["", " ", "\t", "trailers", "gzip", "trailers, deflate;q=0.5", "a\tb"])
def test_no_transfer_coding_of_a_client_goes_on(edge: Edge, te: str) -> None:
    assert edge.raw(get("/api/categories", f"TE: {te}")).status_code == 200


@pytest.mark.parametrize("value", ["a\tb", "\xe4", "a\x80"])
@pytest.mark.parametrize("name", ["traceparent", "tracestate"])
def test_a_trace_that_no_service_can_pass_on_is_removed(edge: Edge, name: str, value: str) -> None:
    assert edge.raw(get("/api/categories", f"{name}: {value}")).status_code == 200
    assert name not in edge.gig.last().metadata


@pytest.mark.parametrize(
    "broken",
    [
        [*CATEGORIES, ("connection", "close")],
        [*CATEGORIES, ("Upper", "1")],
        [*CATEGORIES, ("x", "a\nb")],
        [*CATEGORIES, (":status", "200")],
        [*CATEGORIES[:2], (":authority", "a@b"), CATEGORIES[3]],
        [*CATEGORIES[:2], (":authority", ""), CATEGORIES[3]],
        CATEGORIES[:3],
    ],
)
def test_a_broken_stream_leaves_the_others_of_its_connection(edge: Edge, broken: list[tuple[str, str]]) -> None:
    statuses = over_http2(edge, CATEGORIES, broken, CATEGORIES)

    assert statuses[0] == statuses[2] == 200
    assert statuses.get(1, 400) == 400


@pytest.mark.parametrize("headers", [(), ("Content-Type: application/sql",)])
@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/gigs", "POST, GET, HEAD, OPTIONS"),
        ("/gig/", "POST, GET, HEAD, OPTIONS"),
        ("/api/gigs?q=a", "POST, GET, HEAD, OPTIONS"),
        (f"/gig/{GIG}", "GET, HEAD, PUT, DELETE, OPTIONS"),
        (f"/api/gigs/{GIG}/packages/{GIG}", "PUT, DELETE, OPTIONS"),
    ],
)
def test_query_is_a_method_like_others(edge: Edge, path: str, allow: str, headers: tuple[str, ...]) -> None:
    response = edge.raw(get(path, *headers, method="QUERY"))

    assert_refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == allow


@pytest.mark.parametrize("headers", [(), ("Content-Type: application/sql",)])
def test_query_of_an_unknown_path_is_a_404(edge: Edge, headers: tuple[str, ...]) -> None:
    assert_refused(edge.raw(get("/api/gigs/", *headers, method="QUERY")), 404, "NOT_FOUND")


@pytest.mark.parametrize("headers", ["", "Host: edge\r\n", "Connection: close\r\n"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_http_1_0_is_answered_and_closed(edge: Edge, method: str, headers: str) -> None:
    edge.gig.responses["GetGig"] = returns(A_GIG, ("etag", '"1"'))
    with closing(connect(edge)) as connection:
        connection.sendall(f"{method} /api/gigs/{GIG} HTTP/1.0\r\n{headers}\r\n".encode())
        received = b""
        while piece := connection.recv(65536):
            received += piece

    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "http/1.0 200 ok"
    assert "connection: close" in lines
    assert 'etag: "1"' in lines
    assert not [line for line in lines if line.startswith("transfer-encoding")]
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
    assert length > 0
    assert len(body) == (0 if method == "HEAD" else length)


def test_http_1_0_may_ask_to_keep_the_connection(edge: Edge) -> None:
    with closing(connect(edge)) as connection:
        for _ in range(2):
            connection.sendall(get("/api/categories", "Connection: keep-alive", version="1.0"))
            response = read_response(connection)
            assert response.status_code == 200
            assert "transfer-encoding" not in response.headers


def test_errors_over_http_1_0_are_those_of_the_catalogue(edge: Edge) -> None:
    assert_refused(edge.raw(get("/api/nothing", version="1.0")), 404, "NOT_FOUND")
    assert_refused(edge.raw(get("/api/orders", version="1.0")), 401, "UNAUTHORIZED")


def heads(edge: Edge, framing: str) -> Iterator[tuple[bytes, int]]:
    """Yield heads of requests that take no body, with the status of each."""
    token = f"Authorization: Bearer {edge.token()}"
    yield get(f"/api/gigs/{GIG}", framing), 200
    yield get(f"/gig/{GIG}", framing), 200
    yield get(f"/api/gigs/{GIG}", framing, method="HEAD"), 200
    yield get(f"/api/gigs/{GIG}", framing, 'If-None-Match: W/"0", "1"'), 304
    yield get(f"/api/gigs/{GIG}", framing, token, method="DELETE"), 204
    yield get(f"/api/gigs/{GIG}", framing, method="DELETE"), 401
    yield get("/api/gigs?x=1", framing), 400


@pytest.mark.parametrize("framing", ["Content-Length: 1048576", "Transfer-Encoding: chunked"])
def test_a_body_that_is_not_taken_is_not_waited_for(edge: Edge, framing: str) -> None:
    edge.gig.responses["GetGig"] = returns(A_GIG, ("etag", '"1"'))
    for head, expected in heads(edge, framing):
        response = edge.raw(head)

        assert response.status_code == expected, head
        assert response.headers["connection"] == "close"
        if expected == 200:
            assert response.headers["etag"] == '"1"'
            assert int(response.headers["content-length"]) > 0
        assert not [name for name in response.headers if name.startswith("x-edge")]
    assert {"x-edge-body", "content-length"}.isdisjoint(edge.gig.last().metadata)


def test_requests_behind_a_body_that_is_not_taken_are_answered_in_order(edge: Edge) -> None:
    first = get("/api/categories", "Content-Length: 40000") + b"x" * 40_000
    with closing(connect(edge)) as connection:
        connection.sendall(first)
        assert read_response(connection).status_code == 200
        assert status(connection, path="/api/nothing") in (404, 0)
    with closing(connect(edge)) as connection:
        connection.sendall(get("/api/categories", "Content-Length: 3") + b"abc" + get("/api/nothing"))
        assert read_response(connection).status_code == 200


def test_over_http2_a_body_that_is_not_announced_is_dropped(edge: Edge) -> None:
    with edge.client(http2=True) as client:
        response = client.request("GET", "/api/categories", content=(b"x" * 60_000 for _ in range(40)))

    assert response.status_code == 200


def test_the_same_caller_headers_reach_the_service_with_and_without_a_body(edge: Edge, api: httpx.Client) -> None:
    headers = {"X-Request-Id": "mine", "Idempotency-Key": "k", **edge.bearer()}
    api.request("DELETE", f"/api/gigs/{GIG}", headers=headers)
    without = edge.gig.last().metadata
    api.request("DELETE", f"/api/gigs/{GIG}", headers=headers, content=b"x" * 100)

    assert edge.gig.last().metadata == without


def test_a_request_has_a_time_from_its_first_byte_to_the_last_one_of_its_answer() -> None:
    with an_edge(edge_stream_seconds=1) as edge:
        head = get("/api/gigs", f"Authorization: Bearer {edge.token()}", "Content-Length: 9", method="POST")

        assert_refused(edge.raw(head + b"{"), 504, "DEADLINE_EXCEEDED")
        assert edge.received() == 0


def test_an_address_has_a_bound_of_requests_under_way() -> None:
    # Envoy has two threads in these tests, and each counts for itself.
    with an_edge(edge_requests_per_address=2) as edge:
        edge.gig.responses["SearchGigs"] = slow(4)
        waiting = [connect(edge, "127.0.0.2") for _ in range(12)]
        for each in waiting:
            each.sendall(get("/api/gigs"))
        answers = []
        for each in waiting:
            each.settimeout(0.2)
            try:
                answers.append(read_response(each))
            except TimeoutError:
                continue

        assert 8 <= len(answers) <= 10
        for refused in answers:
            assert_refused(refused, 429, "RATE_LIMITED")
        # In at least one thread its calls of gRPC-Web are refused, in their form.
        refused_calls = [each for each in grpc_web_calls(edge, "127.0.0.2", 20) if each.status]
        assert refused_calls
        assert {(each.code, each.response.headers["retry-after"]) for each in refused_calls} == {("RATE_LIMITED", "1")}
        assert edge.raw(get("/api/categories")).status_code == 200
        # A client that goes away has no requests under way.
        for each in waiting:
            each.close()
        edge.gig.responses.clear()
        with closing(connect(edge, "127.0.0.2")) as connection:
            assert_eventually_served(connection)


def grpc_web_calls(edge: Edge, source: str, count: int) -> Iterator[Answer]:
    """Call an RPC by gRPC-Web, each time over a new connection from an address of loopback."""
    for _ in range(count):
        with httpx.Client(base_url=edge.url, transport=httpx.HTTPTransport(local_address=source)) as page:
            yield call(page, "/marketplace.gig.v1.GigService/ListCategories", gig_pb2.ListCategoriesRequest())


def assert_eventually_served(connection: socket.socket) -> None:
    """Fail unless one of some requests in a row is answered with 200."""
    statuses = [status(connection, path="/api/categories") for _ in range(200)]
    assert statuses[-1] == 200, statuses


def test_many_requests_one_after_another_are_not_at_once() -> None:
    with an_edge(edge_requests_per_address=2) as edge:
        for http2 in (False, True):
            with edge.client(http2=http2) as client:
                assert {client.get("/api/categories").status_code for _ in range(100)} == {200}


def test_an_address_has_a_bound_of_connections() -> None:
    with an_edge(edge_connections_per_address=3) as edge:
        opened = [connect(edge, "127.0.0.9") for _ in range(8)]
        served = [status(each) for each in opened]

        assert sorted(served) == [0] * 5 + [200] * 3
        with closing(connect(edge, "127.0.0.8")) as other:
            assert status(other) == 200
        for each in opened:
            each.close()


def test_a_trusted_proxy_names_the_client_and_has_no_bound_of_its_own() -> None:
    proxies = "127.0.0.7,10.0.0.0/8"
    with an_edge(trusted_proxies=proxies, edge_connections_per_address=2, edge_requests_per_address=1000) as edge:
        opened = [connect(edge, "127.0.0.7") for _ in range(5)]
        forwarded = "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 10.1.2.3"

        assert [status(each, forwarded) for each in opened] == [200] * 5
        assert edge.gig.last().metadata["x-forwarded-for"] == "198.51.100.1"
        with closing(connect(edge)) as stranger:
            assert status(stranger, forwarded) == 200
        assert edge.gig.last().metadata["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize("listed", ["nonsense", "10.0.0.1/8", "10.0.0.0/33", "a,b"])
def test_a_proxy_that_is_no_network_is_refused_at_start(listed: str) -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        EdgeSettings(trusted_proxies=listed)  # type: ignore[call-arg]  # the others are missing


def test_the_largest_bodies_go_before_others_are_refused() -> None:
    """More than the heap may have, from many addresses."""
    with an_edge(edge_max_heap_mib=192) as edge:
        token = f"Authorization: Bearer {edge.token()}"
        head = get("/api/gigs", token, "Content-Type: application/json", f"Content-Length: {MIB}", method="POST")
        opened = []
        for number in range(300):
            opened.append(connect(edge, f"127.0.1.{number % 24 + 1}"))
            opened[-1].settimeout(0.5)
            with suppress(OSError):
                opened[-1].sendall(head + b"x" * (MIB - 1))
            if number % 20 == 0:
                assert edge.raw(get("/api/categories")).status_code == 200

        stats = httpx.get(f"{edge.admin}/stats?filter=reset_high_memory_stream.count").text
        assert int(stats.split(": ")[1]) > 0
        assert edge.raw(get("/api/categories")).status_code == 200
        for each in opened:
            each.close()
