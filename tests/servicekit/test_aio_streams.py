"""The pipeline of asynchronous handlers with one request, with EventService's contract and the tests' own handlers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from marketplace.event.v1 import event_pb2, event_pb2_grpc
from servicekit.aio import AioPipeline
from servicekit.call import Call, current_call
from servicekit.errors import MarketplaceError
from tests.support.aio import AioServer
from tests.support.eventually import eventually
from tests.support.identity import token, user_id, verifier
from tests.support.rpc import Answer

SERVICE = event_pb2.DESCRIPTOR.services_by_name["EventService"]
ADMIN = token("root", "admin")
Stream = Callable[[Any, Call], AsyncGenerator[Any, None]]
Response = event_pb2.WatchResponse


class Handlers:
    """Handlers that do what a test says, and keep the calls."""

    def __init__(self, stream: Stream | None = None, error: Exception | None = None) -> None:
        self.seen: list[Call] = []
        self._stream = stream
        self._error = error

    def Watch(self, request: Any, call: Call) -> AsyncGenerator[Any, None]:
        self.seen.append(call)
        assert self._stream is not None
        return self._stream(request, call)

    async def ListEvents(self, request: Any, call: Call) -> Any:
        self.seen.append(call)
        if self._error:
            raise self._error
        await asyncio.sleep(0)
        return event_pb2.ListEventsResponse(next=request.after)

    WatchSse = WatchOrder = WatchOrderSse = Watch


@contextmanager
def serving(handlers: Handlers, **limits: Any) -> Iterator[Any]:
    """Run a server with these handlers, and yield its stub."""
    register = event_pb2_grpc.add_EventServiceServicer_to_server
    pipeline = AioPipeline(verifier(), **limits)
    with AioServer(handlers, SERVICE, register, pipeline) as server, server.channel() as channel:
        stub: Any = event_pb2_grpc.EventServiceStub(channel)
        stub.channel = channel
        yield stub


def signed(sent: str | None = ADMIN) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {sent}")] if sent else []


def read(call: Any) -> tuple[list[Any], Answer]:
    """Return the responses of a stream, and how it ended."""
    responses: list[Any] = []
    with suppress(grpc.RpcError):
        responses.extend(call)
    trailers = {entry.key: entry.value for entry in call.trailing_metadata() or ()}
    return responses, Answer(None, call.code(), call.details() or "", trailers)


async def two(request: Any, call: Call) -> AsyncGenerator[Any, None]:
    assert current_call.get() is call
    yield Response(id=request.after)
    yield Response(id="2")


def calls_counted(method: str, code: str) -> float:
    return REGISTRY.get_sample_value("marketplace_calls_total", {"method": method, "code": code}) or 0


def test_one_request_gets_one_response_or_a_stream_of_them() -> None:
    handlers = Handlers(two)
    before = calls_counted("Watch", "OK")
    with serving(handlers) as stub:
        response = stub.ListEvents(event_pb2.ListEventsRequest(after=" 7 "), metadata=signed())
        responses, ended = read(stub.Watch(event_pb2.WatchRequest(after="1"), metadata=signed()))

    # Requests are normalized.
    assert response.next == "7"
    assert ([each.id for each in responses], ended.code) == (["1", "2"], grpc.StatusCode.OK)
    assert [call.caller.id for call in handlers.seen] == [user_id("root")] * 2
    assert calls_counted("Watch", "OK") == before + 1


@pytest.mark.parametrize(
    ("rpc", "request_", "sent", "code"),
    [
        ("Watch", event_pb2.WatchRequest(), None, "UNAUTHORIZED"),
        ("Watch", event_pb2.WatchRequest(), "nonsense", "UNAUTHORIZED"),
        ("Watch", event_pb2.WatchRequest(after="x" * 101), ADMIN, "INVALID_ARGUMENT"),
        ("ListEvents", event_pb2.ListEventsRequest(), token("bob", "buyer"), "FORBIDDEN"),
        ("ListEvents", event_pb2.ListEventsRequest(wait=31), ADMIN, "INVALID_ARGUMENT"),
    ],
)
def test_a_call_is_checked_before_its_handler_runs(rpc: str, request_: Any, sent: str | None, code: str) -> None:
    handlers = Handlers(two)
    with serving(handlers) as stub:
        if rpc == "Watch":
            _, ended = read(stub.Watch(request_, metadata=signed(sent)))
        else:
            ended = failed(stub.ListEvents.future(request_, metadata=signed(sent)))

    assert ended.error == code
    assert not handlers.seen


def failed(future: Any) -> Answer:
    error = future.exception(20)
    trailers = {entry.key: entry.value for entry in error.trailing_metadata() or ()}
    return Answer(None, error.code(), error.details() or "", trailers)


@pytest.mark.parametrize("rpc", ["Watch", "ListEvents"])
def test_a_client_that_never_sends_its_request_is_not_waited_for(rpc: str) -> None:
    handlers = Handlers(two)
    with serving(handlers, idle_seconds=0.3) as stub:
        ended = read(open_without_request(stub, rpc))[1]

    assert ended.error == "DEADLINE_EXCEEDED"
    assert not handlers.seen


def open_without_request(stub: Any, rpc: str) -> Any:
    never = threading.Event()

    def requests() -> Iterator[bytes]:
        never.wait(5)
        yield b""

    method = stub.channel.stream_stream(f"/marketplace.event.v1.EventService/{rpc}")
    return method(requests(), metadata=signed(), timeout=20)


def raising(error: Exception, after: int) -> Stream:
    async def stream(request: Any, call: Call) -> AsyncGenerator[Any, None]:
        for number in range(after):
            yield Response(id=str(number))
        raise error

    return stream


@pytest.mark.parametrize("after", [0, 3])
def test_an_error_ends_a_stream_also_after_responses(after: int) -> None:
    with serving(Handlers(raising(MarketplaceError("RATE_LIMITED"), after))) as stub:
        responses, ended = read(stub.Watch(event_pb2.WatchRequest(), metadata=signed()))

    assert len(responses) == after
    assert (ended.error, ended.http_status) == ("RATE_LIMITED", 429)


def test_an_unexpected_error_tells_the_client_nothing() -> None:
    with serving(Handlers(raising(ZeroDivisionError("secret"), 1), ZeroDivisionError("secret"))) as stub:
        _, ended = read(stub.Watch(event_pb2.WatchRequest(), metadata=signed()))
        unary = failed(stub.ListEvents.future(event_pb2.ListEventsRequest(), metadata=signed()))

    assert ended.error == unary.error == "INTERNAL"
    assert "secret" not in ended.message + unary.message


def test_a_client_that_goes_ends_its_handler_wherever_it_is() -> None:
    ended: list[str] = []

    async def stream(request: Any, call: Call) -> AsyncGenerator[Any, None]:
        try:
            yield Response(id="1")
            await asyncio.sleep(100)
        finally:
            ended.append("handler")

    before = calls_counted("Watch", "CANCELLED")
    with serving(Handlers(stream)) as stub:
        call = stub.Watch(event_pb2.WatchRequest(), metadata=signed())
        next(call)
        call.cancel()

        eventually(lambda: ended == ["handler"], 5)
        eventually(lambda: calls_counted("Watch", "CANCELLED") == before + 1, 5)


def test_more_calls_than_places_are_refused_and_a_place_is_free_again_afterwards() -> None:
    async def stream(request: Any, call: Call) -> AsyncGenerator[Any, None]:
        yield Response(id="1")
        await asyncio.sleep(100)

    with serving(Handlers(stream), places=1) as stub:
        first = stub.Watch(event_pb2.WatchRequest(), metadata=signed())
        next(first)
        _, refused = read(stub.Watch(event_pb2.WatchRequest(), metadata=signed()))
        first.cancel()
        assert refused.error == "UNAVAILABLE"

        eventually(lambda: next(stub.Watch(event_pb2.WatchRequest(), metadata=signed()), None), 5)


def test_a_client_that_takes_nothing_is_given_up() -> None:
    handler_ended = threading.Event()

    async def stream(request: Any, call: Call) -> AsyncGenerator[Any, None]:
        try:
            while True:
                yield Response(id="x" * 10_000)
        finally:
            handler_ended.set()

    with serving(Handlers(stream), send_seconds=0.5) as stub:
        began = time.monotonic()
        call = stub.Watch(event_pb2.WatchRequest(), metadata=signed())
        assert handler_ended.wait(20)
        assert time.monotonic() - began > 0.4
        _, ended = read(call)

    assert ended.error == "UNAVAILABLE"
