"""gRPC-Web: browsers call public RPCs by their own names, with the checks that REST has."""

from __future__ import annotations

import base64
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from edge import contract, grpc_web
from marketplace.event.v1 import event_pb2
from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge, assert_readable_by_pages, assert_refused, assert_safe_in_browsers, read_response
from tests.support.grpc_web import BINARY, TEXT, call, frame, read
from tests.support.protos import METHODS
from tests.support.upstream import fails, slow

SEARCH = "/marketplace.gig.v1.GigService/SearchGigs"
CREATE = "/marketplace.gig.v1.GigService/CreateGig"
WATCH = "/marketplace.event.v1.EventService/WatchOrder"
REQUEST = gig_pb2.SearchGigsRequest(q="web")
MIB = 1024 * 1024
PUBLIC = {route.path: route for route in grpc_web.routes(contract.load())}
HIDDEN = [
    *sorted(set(METHODS) - set(PUBLIC)),
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/marketplace.gig.v1.GigService/Nothing",
    SEARCH + "/",
    SEARCH.lower(),
]


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def either(request: pytest.FixtureRequest, edge: Edge) -> Iterator[httpx.Client]:
    """Yield a client of HTTP/1.1, then one of HTTP/2."""
    with edge.client(http2=request.param) as client:
        yield client


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_a_page_calls_a_public_rpc(edge: Edge, either: httpx.Client, text: bool) -> None:
    found = gig_pb2.SearchGigsResponse(total=5)
    edge.gig.responses["SearchGigs"] = found

    answer = call(either, SEARCH, REQUEST, {"origin": "https://shop.example"}, text=text)

    assert (answer.status, answer.messages) == (0, [found.SerializeToString()])
    assert edge.gig.last().request == REQUEST
    assert answer.response.headers["content-type"] == (TEXT if text else BINARY)
    assert answer.response.headers["cache-control"] == "no-store"
    assert_readable_by_pages(answer.response)
    assert_safe_in_browsers(answer.response)
    exposed = answer.response.headers["access-control-expose-headers"].split(", ")
    assert {"grpc-status", "grpc-message", "grpc-status-details-bin"} <= set(exposed)


@pytest.mark.parametrize("path", PUBLIC)
def test_every_rpc_with_a_route_can_be_called_and_asks_for_the_same_token(
    edge: Edge, api: httpx.Client, path: str
) -> None:
    method, route = METHODS[path], PUBLIC[path]
    request = GetMessageClass(method.input_type)()

    answer = call(api, path, request, edge.bearer())
    without = call(api, path, request)
    bad = call(api, path, request, {"authorization": "Bearer a.b.c"})

    assert (answer.status, len(answer.messages)) == (0, 1)
    assert (without.code if route.needs_token else without.status) == ("UNAUTHORIZED" if route.needs_token else 0)
    assert (bad.status, bad.code) == (grpc.StatusCode.UNAUTHENTICATED.value[0], "UNAUTHORIZED")
    assert edge.received() == (1 if route.needs_token else 2)


def test_an_upload_is_no_rpc_for_browsers_and_a_stream_is_the_typed_one() -> None:
    assert not [path for path in PUBLIC if METHODS[path].client_streaming]
    streams = {path for path in PUBLIC if METHODS[path].server_streaming}
    # A file has no typed form: its bytes are the stream.
    assert streams == {WATCH, "/marketplace.event.v1.EventService/Watch", "/marketplace.file.v1.FileService/GetFile"}


@pytest.mark.parametrize("path", HIDDEN)
def test_no_other_rpc_can_be_reached(edge: Edge, api: httpx.Client, path: str) -> None:
    for kind in (BINARY, TEXT, "application/grpc-web", "application/grpc", "application/json"):
        headers = {"content-type": kind, **edge.bearer()}
        assert_refused(api.post(path, content=frame(b""), headers=headers), 404, "NOT_FOUND")
    assert_refused(api.options(path), 404, "NOT_FOUND")
    assert edge.received() == 0


@pytest.mark.parametrize(
    "kind",
    ["application/grpc", "application/grpc+proto", "application/grpc-web+json", "application/grpc-webx", "text/plain"],
)
def test_a_public_rpc_takes_grpc_web_alone(edge: Edge, either: httpx.Client, kind: str) -> None:
    response = either.post(SEARCH, content=frame(REQUEST), headers={"content-type": kind, "te": "trailers"})

    assert_refused(response, 404, "NOT_FOUND")
    assert_refused(either.get(SEARCH, headers={"content-type": BINARY}), 404, "NOT_FOUND")
    assert edge.received() == 0


def test_on_a_path_of_rest_grpc_web_is_no_json(edge: Edge, api: httpx.Client) -> None:
    response = api.post("/api/gigs", content=frame(b""), headers={"content-type": BINARY, **edge.bearer()})

    assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_preflight_of_an_rpc_needs_no_token(api: httpx.Client) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}

    response = api.options(CREATE, headers=asked | {"access-control-request-headers": "x-grpc-web,authorization"})

    assert response.status_code == 204
    assert response.headers["allow"] == response.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert {"x-grpc-web", "grpc-timeout"} <= set(response.headers["access-control-allow-headers"].split(", "))


def test_headers_of_the_client_are_filtered_as_for_rest(edge: Edge, api: httpx.Client) -> None:
    passed = {"idempotency-key": "k-1", "if-match": '"1"', "x-request-id": "mine"}
    dropped = {
        "cookie": "a=1",
        "grpc-encoding": "gzip",
        "something-bin": "~~~",
        "x-error-status": "200",
        "x-envoy-retry-on": "5xx",
        "x-user-id": "admin",
        "x-user-agent": "grpc-web-javascript/0.1",
        "content-encoding": "gzip",
    }

    answer = call(api, CREATE, gig_pb2.CreateGigRequest(), passed | dropped | edge.bearer())

    assert answer.status == 0
    metadata = edge.gig.last().metadata
    assert passed.items() <= metadata.items()
    assert set(metadata) == {*passed, "authorization", "x-forwarded-for", "x-forwarded-proto"}
    assert answer.response.headers["x-request-id"] == "mine"


def test_an_error_of_a_service_arrives_with_its_details_and_nothing_for_the_edge(
    edge: Edge, either: httpx.Client
) -> None:
    details = status_pb2.Status(code=5, message="Gig nöt found")
    details.details.add().Pack(error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="marketplace"))
    said: Any = [
        ("grpc-status-details-bin", details.SerializeToString()),
        ("x-error-status", "404"),
        ("x-error-body", "{}"),
    ]
    for early in (False, True):
        edge.gig.responses["SearchGigs"] = fails(grpc.StatusCode.NOT_FOUND, "Gig nöt found", said, early=early)
        for text in (False, True):
            answer = call(either, SEARCH, REQUEST, text=text)
            assert (answer.status, answer.message) == (5, "Gig nöt found")
            assert "x-error" not in str(answer.trailers) + str(answer.response.headers)
            if not early:
                assert answer.code == "NOT_FOUND"


def test_a_status_of_grpc_itself_becomes_an_error_of_the_catalogue(edge: Edge, api: httpx.Client) -> None:
    for status, code in ((grpc.StatusCode.RESOURCE_EXHAUSTED, "UNAVAILABLE"), (grpc.StatusCode.UNKNOWN, "INTERNAL")):
        edge.gig.responses["SearchGigs"] = fails(status, "grpc's own words")
        answer = call(api, SEARCH, REQUEST)
        assert answer.code == code
        assert "words" not in answer.message
    assert answer.response.headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("timeout", "most"), [("2S", 2), ("2000m", 2), ("1H", 15), ("99999999H", 15), ("junk", 15), ("2s", 15), ("", 15)]
)
def test_a_client_says_how_long_it_waits_but_not_longer_than_the_edge(
    edge: Edge, api: httpx.Client, timeout: str, most: int
) -> None:
    call(api, SEARCH, REQUEST, {"grpc-timeout": timeout} if timeout else {})

    assert most - 1.9 < edge.gig.last().seconds_left <= most


def test_a_call_that_takes_longer_than_its_client_waits_is_ended(edge: Edge, api: httpx.Client) -> None:
    edge.gig.responses["SearchGigs"] = slow(5)

    assert call(api, SEARCH, REQUEST, {"grpc-timeout": "200m"}).code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("in_chunks", [False, True], ids=["with-length", "chunked"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0\0",
        b"\0\0\0\0\5",
        frame(b"") * 2,
        frame(REQUEST) + b"x",
        b"\1" + frame(REQUEST)[1:],
        b"\x80" + frame(REQUEST)[1:],
    ],
    ids=["empty", "half a prefix", "no message", "two messages", "more", "compressed", "trailers"],
)
def test_a_body_that_is_not_one_message_is_refused(edge: Edge, api: httpx.Client, body: bytes, in_chunks: bool) -> None:
    content = iter([body]) if in_chunks else body

    answer = read(api.post(SEARCH, content=content, headers={"content-type": BINARY}))

    assert answer.code == "INVALID_ARGUMENT"
    assert edge.received() == 0


@pytest.mark.parametrize("body", [b"!!!!", base64.b64encode(frame(REQUEST))[:-3]], ids=["no base64", "cut off"])
def test_a_text_that_is_no_message_is_refused(edge: Edge, api: httpx.Client, body: bytes) -> None:
    assert read(api.post(SEARCH, content=body, headers={"content-type": TEXT})).code == "INVALID_ARGUMENT"
    assert edge.received() == 0


def a_message(size: int) -> gig_pb2.SearchGigsRequest:
    """Return a message of so many bytes."""
    too_long = gig_pb2.SearchGigsRequest(q="x" * size).ByteSize() - size
    return gig_pb2.SearchGigsRequest(q="x" * (size - too_long))


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("in_chunks", [False, True], ids=["with-length", "chunked"])
def test_a_message_has_a_mib_at_most(edge: Edge, api: httpx.Client, text: bool, in_chunks: bool) -> None:
    for size in (MIB, MIB + 1, 5 * MIB):
        message = a_message(size)
        assert message.ByteSize() == size
        body = base64.b64encode(frame(message)) if text else frame(message)
        content = iter([body]) if in_chunks else body
        answer = read(api.post(SEARCH, content=content, headers={"content-type": TEXT if text else BINARY}))
        if size == MIB:
            assert answer.status == 0
        else:
            assert answer.code == "PAYLOAD_TOO_LARGE"
    assert edge.received() == 1


def test_headers_that_are_too_large_are_refused_in_its_form(edge: Edge, api: httpx.Client) -> None:
    assert call(api, SEARCH, REQUEST, {"x-large": "a" * 20_000}).code == "HEADERS_TOO_LARGE"


def test_trailers_of_a_request_reach_no_service(edge: Edge) -> None:
    body = frame(REQUEST)
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: edge\r\nContent-Type: {BINARY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\ngrpc-timeout: 0\r\nx-user-id: admin\r\n\r\n" % (len(body), body)

    with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=10)) as connection:
        connection.sendall(head.encode() + chunks)
        assert read_response(connection).status_code == 200

    assert "x-user-id" not in edge.gig.last().metadata
    assert edge.gig.last().seconds_left > 10


def test_messages_of_a_stream_arrive_as_they_come(edge: Edge) -> None:
    sent = [event_pb2.WatchOrderResponse(id=str(number)) for number in range(3)]
    [events] = edge.upstreams["event"]
    events.streams["WatchOrder"] = lambda request, context: iter(sent)
    request = event_pb2.WatchOrderRequest(order_id="0190a000-0000-7000-8000-000000000001")

    with edge.client() as api:
        answers = [call(api, WATCH, request, edge.bearer(), text=text) for text in (False, True)]

    for answer in answers:
        assert (answer.status, answer.messages) == (0, [each.SerializeToString() for each in sent])
    assert events.last().request == request


def test_an_error_behind_a_message_comes_in_the_last_frame_without_what_is_for_the_edge(
    edge: Edge, api: httpx.Client
) -> None:
    def broken(request: Any, context: grpc.ServicerContext) -> Iterator[event_pb2.WatchOrderResponse]:
        yield event_pb2.WatchOrderResponse(id="first")
        context.set_trailing_metadata((("x-error-status", "503"), ("x-error-body", "{}"), ("retry-after", "1")))
        context.abort(grpc.StatusCode.UNAVAILABLE, "too slow")

    edge.upstreams["event"][0].streams["WatchOrder"] = broken

    answer = call(api, WATCH, event_pb2.WatchOrderRequest(), edge.bearer())

    assert len(answer.messages) == 1
    assert (answer.status, answer.message) == (14, "too slow")
    assert answer.trailers["retry-after"] == "1"
    assert "x-error" not in str(answer.trailers)


def test_the_first_message_of_a_stream_does_not_wait_for_the_second(edge: Edge, api: httpx.Client) -> None:
    [events] = edge.upstreams["event"]

    def one_and_wait(request: Any, context: grpc.ServicerContext) -> Iterator[event_pb2.WatchOrderResponse]:
        ended = threading.Event()
        context.add_callback(ended.set)
        yield event_pb2.WatchOrderResponse(id="first")
        ended.wait(20)

    events.streams["WatchOrder"] = one_and_wait
    headers = {"content-type": BINARY, **edge.bearer()}

    with api.stream("POST", WATCH, content=frame(b""), headers=headers) as response:
        first = next(response.iter_bytes())

    _, length = struct.unpack(">BI", first[:5])
    assert event_pb2.WatchOrderResponse.FromString(first[5 : 5 + length]).id == "first"


def test_the_access_log_names_the_rpc_and_nothing_else_of_the_request(edge: Edge, api: httpx.Client) -> None:
    call(api, SEARCH + "?secret=1", REQUEST, {"x-request-id": "a-call"})

    [line] = edge.access_log("a-call")
    assert (line["path"], line["method"], line["code"]) == (SEARCH, "POST", 200)
    assert "secret" not in str(line)
    assert edge.gig.last().rpc == "SearchGigs"
