"""Streams of server-sent events: what passes, how they begin and end, what bounds them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import httpx
import pytest

from tests.support.edge import Edge, an_edge, assert_refused, details_of, free_ports, get, read_response
from tests.support.eventually import eventually
from tests.support.streaming_upstream import StreamingWorker
from tests.support.streams import Watcher, led_by
from tests.support.upstream import fails

ORDER = "0190a000-0000-7000-8000-000000000001"
PATHS = {"WatchSse": "/api/watch", "WatchOrderSse": f"/api/orders/{ORDER}/watch"}
WATCH = "/api/watch"
NOT_FOUND = fails(
    grpc.StatusCode.NOT_FOUND,
    headers=[("x-error-status", "404"), ("x-error-body", '{"error": "Order not found", "code": "NOT_FOUND"}')],
)
LIMITED = '{"error": "Too many watches", "code": "RATE_LIMITED"}'
RATE_LIMITED = [("x-error-status", "429"), ("x-error-body", LIMITED), ("retry-after", "7")]


@pytest.fixture(scope="module")
def hasty() -> Iterator[Edge]:
    """Start an edge whose times for ordinary requests are over after a second."""
    with an_edge(
        edge_request_timeout_seconds=1, edge_try_timeout_seconds=1, edge_stream_seconds=1, edge_idle_timeout_seconds=1
    ) as edge:
        yield edge


@pytest.fixture(scope="module")
def impatient() -> Iterator[Edge]:
    """Start an edge that ends a watch after a second of silence."""
    with an_edge(edge_watch_idle_seconds=1) as edge:
        yield edge


def head_of(watcher: Watcher) -> httpx.Response:
    """Return the response's head, as soon as it is there."""
    watcher.read_until(b"\r\n\r\n")
    head = watcher.received.partition(b"\r\n\r\n")[0].decode()
    status_line, *lines = head.split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return httpx.Response(int(status_line.split(" ")[1]), headers=headers)


@pytest.mark.parametrize("rpc", PATHS)
def test_each_message_goes_out_at_once_as_it_is(edge: Edge, rpc: str) -> None:
    led = led_by(edge, rpc)
    watcher = Watcher(edge, PATHS[rpc])

    for number in range(3):
        led.send(f"id: {number}\nevent: order\ndata: {{}}\n\n")
        watcher.read_until(f"id: {number}\nevent: order\ndata: {{}}\n\n".encode())
    led.end()

    assert watcher.read_until(b"0\r\n\r\n").count(b"event: order") == 3
    response = head_of(watcher)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["transfer-encoding"] == "chunked"
    assert len(response.headers.get_list("x-request-id")) == 1
    assert "content-length" not in response.headers
    # The connection is as good as before.
    watcher.socket.sendall(get("/api/categories"))
    assert read_response(watcher.socket).status_code == 200


def test_over_http_1_0_a_stream_lasts_as_long_as_its_connection(edge: Edge) -> None:
    led = led_by(edge)
    watcher = Watcher(edge, WATCH, "Connection: keep-alive", version="1.0")

    led.send("data: 1\n\n")
    watcher.read_until(b"\r\n\r\ndata: 1\n\n")
    led.send("data: 2\n\n")
    led.end()

    assert watcher.read_all().endswith(b"\r\n\r\ndata: 1\n\ndata: 2\n\n")
    assert head_of(watcher).headers["connection"] == "close"


def test_over_http2_each_message_goes_out_at_once(edge: Edge) -> None:
    led = led_by(edge)
    led.send("data: 1\n\n")
    with edge.client(http2=True) as client, client.stream("GET", WATCH, headers=edge.bearer()) as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"data: 1\n\n"
        led.send("data: 2\n\n")
        assert next(pieces) == b"data: 2\n\n"
        led.end()
        assert not list(pieces)

    assert response.headers["content-type"] == "text/event-stream"
    assert "content-length" not in response.headers


def test_no_time_of_ordinary_requests_ends_a_stream(hasty: Edge) -> None:
    led = led_by(hasty)
    watcher = Watcher(hasty, WATCH)

    # More than the longest of those times, and of what `public` adds.
    for _ in range(12):
        led.send(":\n\n")
        time.sleep(0.4)
    led.send("data: still here\n\n")

    watcher.read_until(b"still here")
    last = hasty.upstreams["event"][0].last()
    assert "grpc-timeout" not in last.metadata
    assert last.seconds_left > 1e9
    led.end()


def test_the_first_message_may_take_longer_than_an_ordinary_response(hasty: Edge) -> None:
    led = led_by(hasty)
    watcher = Watcher(hasty, WATCH)

    time.sleep(4)
    led.send("data: at last\n\n")

    watcher.read_until(b"at last")
    led.end()


def test_a_silent_stream_is_ended_on_both_sides(impatient: Edge) -> None:
    led = led_by(impatient)
    watcher = Watcher(impatient, WATCH)
    led.send("data: 1\n\n")

    received = watcher.read_all()

    assert received.endswith(b"data: 1\n\n\r\n")
    assert led.over.wait(5)


def test_a_stream_without_a_first_message_is_a_504(impatient: Edge) -> None:
    led = led_by(impatient)

    with impatient.client() as api:
        assert_refused(api.get(WATCH, headers=impatient.bearer()), 504, "DEADLINE_EXCEEDED")
    assert led.over.wait(5)


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stream_that_ends_without_a_message_is_a_204(edge: Edge, http2: bool, method: str) -> None:
    led_by(edge).end()

    with edge.client(http2=http2) as client:
        response = client.request(method, WATCH, headers=edge.bearer())
        assert client.get("/api/categories").status_code == 200

    assert response.status_code == 204
    assert response.content == b""
    assert "content-type" not in response.headers
    assert "content-length" not in response.headers


@pytest.mark.parametrize("early", [False, True], ids=["trailers", "headers"])
@pytest.mark.parametrize("http2", [False, True])
def test_an_error_before_the_first_message_is_that_of_the_catalogue(edge: Edge, http2: bool, early: bool) -> None:
    event = edge.upstreams["event"][0]
    with edge.client(http2=http2) as client:
        event.responses["WatchSse"] = fails(grpc.StatusCode.RESOURCE_EXHAUSTED, headers=RATE_LIMITED, early=early)
        limited = client.get(WATCH, headers=edge.bearer())
        event.responses["WatchSse"] = fails(grpc.StatusCode.INTERNAL, "inside")
        failed = client.get(WATCH, headers=edge.bearer())

    assert_refused(limited, 429, "RATE_LIMITED")
    assert limited.headers["retry-after"] == "7"
    assert limited.text == LIMITED
    assert_refused(failed, 500, "INTERNAL")


def test_an_error_after_early_headers_is_that_of_the_catalogue(edge: Edge) -> None:
    led = led_by(edge, headers_first=True)
    led.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, *RATE_LIMITED)

    response = httpx.get(edge.url + WATCH, headers=edge.bearer())

    assert_refused(response, 429, "RATE_LIMITED")
    assert response.headers["retry-after"] == "7"


def test_an_end_after_early_headers_is_a_204(edge: Edge) -> None:
    led_by(edge, headers_first=True).end()

    response = httpx.get(edge.url + WATCH, headers=edge.bearer())

    assert response.status_code == 204
    assert "content-type" not in response.headers


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE])
def test_an_error_after_the_first_message_is_an_end_like_any_other(edge: Edge, code: grpc.StatusCode) -> None:
    led = led_by(edge)
    watcher = Watcher(edge, WATCH)
    led.send("data: 1\n\n")
    watcher.read_until(b"data: 1\n\n")

    led.fail(code, *RATE_LIMITED)

    assert watcher.read_until(b"0\r\n\r\n").endswith(b"data: 1\n\n\r\n0\r\n\r\n")
    assert len(edge.upstreams["event"][0].received) == 1


def test_a_worker_that_dies_breaks_its_streams_and_the_next_one_takes_them() -> None:
    ports = free_ports(2)
    workers = [StreamingWorker(port) for port in ports]
    try:
        with an_edge(event_service_addresses=",".join(f"127.0.0.1:{port}" for port in ports)) as edge:
            watchers = [Watcher(edge, WATCH, f"X-Request-Id: {number}") for number in range(8)]
            for each in watchers:
                each.read_until(b"data: {}")
            eventually(lambda: sum(worker.open_streams() for worker in workers) == 8)
            lost = workers[0].open_streams()
            assert 0 < lost < 8

            workers[0].kill()

            eventually(lambda: sum(each.is_closed() for each in watchers) == lost)
            for each in watchers:
                # No end of the chunks: a client sees that the stream has broken.
                assert each.received.endswith(b"data: {}\n\n\r\n")
            assert workers[1].open_streams() == 8 - lost
            logged = [len(edge.access_log(str(number))) for number, each in enumerate(watchers) if each.is_closed()]
            assert logged == [1] * lost
            again = [Watcher(edge, WATCH) for _ in range(lost)]
            for each in again:
                assert head_of(each).status_code == 200
    finally:
        for worker in workers:
            worker.kill()


def test_without_a_worker_a_watch_is_a_503() -> None:
    with an_edge(event_service_addresses="127.0.0.1:1") as edge, edge.client() as api:
        for path in PATHS.values():
            assert_refused(api.get(path, headers=edge.bearer()), 503, "UNAVAILABLE")


@pytest.mark.parametrize("http2", [False, True])
def test_head_answers_with_the_headers_of_get_and_ends_the_call(edge: Edge, http2: bool) -> None:
    led = led_by(edge)
    led.send("data: 1\n\n")

    with edge.client(http2=http2) as client:
        response = client.head(WATCH, headers=edge.bearer())
        assert led.over.wait(5)
        # HTTP/1.1 goes on with the same connection.
        assert client.get("/api/categories").status_code == 200

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert len(response.headers.get_list("x-request-id")) == 1
    assert "content-length" not in response.headers


def test_head_is_refused_as_get_is(edge: Edge, api: httpx.Client) -> None:
    edge.upstreams["event"][0].responses["WatchOrderSse"] = NOT_FOUND

    response = api.head(PATHS["WatchOrderSse"], headers=edge.bearer())

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"
    assert api.head(WATCH).status_code == 401


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_a_body_is_dropped_and_the_stream_begins_behind_it(edge: Edge, framing: str) -> None:
    led = led_by(edge)
    watcher = Watcher(edge, WATCH, framing)
    watcher.socket.sendall(b"abc" if "Length" in framing else b"3\r\nabc\r\n0\r\n\r\n")

    led.send("data: 1\n\n")
    watcher.read_until(b"data: 1\n\n")
    led.send("data: 2\n\n")
    watcher.read_until(b"data: 2\n\n")
    led.end()

    assert "content-length" not in edge.upstreams["event"][0].last().metadata


def test_a_refusal_waits_for_no_body(edge: Edge) -> None:
    response = edge.raw(get(WATCH, "Content-Length: 9"))

    assert_refused(response, 401, "UNAUTHORIZED")


@pytest.mark.parametrize("id_", ["1", "0190a000-0000-7000-8000-000000000001", "a b", "~!", "x" * 100])
def test_the_last_event_id_reaches_the_service(edge: Edge, id_: str) -> None:
    led_by(edge).end()

    edge.raw(get(WATCH, f"Authorization: Bearer {edge.token()}", f"Last-Event-ID: {id_}"))

    assert edge.upstreams["event"][0].last().metadata["last-event-id"] == id_


@pytest.mark.parametrize("lines", [[], ["Last-Event-ID:"]])
def test_an_empty_last_event_id_is_none(edge: Edge, lines: list[str]) -> None:
    led_by(edge).end()

    edge.raw(get(WATCH, f"Authorization: Bearer {edge.token()}", *lines))

    assert "last-event-id" not in edge.upstreams["event"][0].last().metadata


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Last-Event-ID: " + "x" * 101], "must have at most 100 characters"),
        (["Last-Event-ID: \xe4"], "must be printable ASCII"),
        (["Last-Event-ID: a\tb"], "must be printable ASCII"),
        (["Last-Event-ID: a", "Last-Event-ID: a"], "must not be given more than once"),
        (["Last-Event-ID: a", "Last-Event-ID:"], "must not be given more than once"),
    ],
)
def test_a_wrong_last_event_id_is_named(edge: Edge, lines: list[str], message: str) -> None:
    authorization = f"Authorization: Bearer {edge.token()}"

    response = edge.raw(get(f"{WATCH}?x=1", authorization, *lines))

    assert details_of(response) == {"x": "is not a parameter of this request", "Last-Event-ID": message}
    assert_refused(edge.raw(get(WATCH, *lines)), 401, "UNAUTHORIZED")
    assert edge.received() == 0


def test_other_routes_take_no_last_event_id(edge: Edge, api: httpx.Client) -> None:
    for path in ("/api/events", "/api/orders"):
        assert api.get(path, headers={"Last-Event-ID": "x" * 101, **edge.bearer()}).status_code == 200

    for service in ("event", "order"):
        assert "last-event-id" not in edge.upstreams[service][0].last().metadata


@pytest.mark.parametrize("who_ends", ["service", "client"])
def test_a_stream_is_one_line_of_the_access_log_at_its_end(edge: Edge, who_ends: str) -> None:
    request_id = f"ended-by-{who_ends}"
    led = led_by(edge, "WatchOrderSse")
    secret = "Last-Event-ID: c2VjcmV0"
    watcher = Watcher(edge, PATHS["WatchOrderSse"], f"X-Request-Id: {request_id}", secret)
    led.send("data: 1\n\n")
    watcher.read_until(b"data: 1\n\n")
    assert request_id not in edge.log.read_text()

    if who_ends == "service":
        led.end()
    else:
        watcher.close()

    [line] = edge.access_log(request_id)
    assert (line["path"], line["code"], line["bytes_out"]) == (PATHS["WatchOrderSse"], 200, 9)
    assert line["user"]
    time.sleep(0.5)
    assert len(edge.access_log(request_id)) == 1
    assert "c2VjcmV0" not in edge.log.read_text()
