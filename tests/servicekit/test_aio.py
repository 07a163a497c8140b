"""The pipeline of asynchronous handlers, with ImageService's contract and the tests' own handlers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from marketplace.gig.v1 import image_pb2, image_pb2_grpc
from servicekit.aio import AioPipeline
from servicekit.call import Call, current_call
from servicekit.errors import CODES, MarketplaceError, spec_of
from tests.support.aio import AioServer, stream_in
from tests.support.identity import token, user_id, verifier
from tests.support.rpc import Answer

GIG = "550e8400-e29b-41d4-a716-446655440000"
SERVICE = image_pb2.DESCRIPTOR.services_by_name["ImageService"]


class Aborted(Exception):
    """Raised by a context that aborts, as gRPC's does."""


class NearlyOver:
    """The context of a call with 50 ms left, which a client would give up before it saw the error."""

    code: grpc.StatusCode | None = None

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("authorization", "Bearer " + token("sue", "seller"))]

    def time_remaining(self) -> float:
        return 0.05

    async def abort(self, code: grpc.StatusCode, message: str, metadata: Any) -> None:
        self.code = code
        raise Aborted


Handle = Callable[[AsyncIterator[Any], Call], Awaitable[Any]]


class Handlers:
    """A handler that does what a test says, and keeps the calls."""

    def __init__(self, handle: Handle | None = None) -> None:
        self._handle = handle
        self.seen: list[Call] = []

    async def UploadImages(self, pieces: AsyncIterator[Any], call: Call) -> Any:
        self.seen.append(call)
        if self._handle:
            return await self._handle(pieces, call)
        return image_pb2.UploadImagesResponse()


@contextmanager
def serving(handlers: object, **limits: Any) -> Iterator[Any]:
    """Run a server with these handlers, and yield its RPC."""
    pipeline = AioPipeline(verifier(), **limits)
    register = image_pb2_grpc.add_ImageServiceServicer_to_server
    with AioServer(handlers, SERVICE, register, pipeline) as server, server.channel() as channel:
        yield image_pb2_grpc.ImageServiceStub(channel).UploadImages


def piece(data: bytes = b"", **fields: Any) -> image_pb2.UploadImagesRequest:
    request = image_pb2.UploadImagesRequest(**{"gig_id": GIG, **fields})
    request.file.data = data
    return request


def upload(handlers: object, requests: list[Any] | None = None, sent: str | None = "seller", **metadata: Any) -> Answer:
    signed = token("sue", sent) if sent else None
    with serving(handlers) as rpc:
        return stream_in(rpc, [piece()] if requests is None else requests, signed, **metadata)


def raising(error: Exception) -> Handle:
    async def handle(pieces: AsyncIterator[Any], call: Call) -> Any:
        raise error

    return handle


def test_a_handler_gets_the_caller_and_all_messages_in_order() -> None:
    read: list[bytes] = []

    async def handle(pieces: AsyncIterator[Any], call: Call) -> Any:
        read.extend([piece.file.data async for piece in pieces])
        return image_pb2.UploadImagesResponse()

    handlers = Handlers(handle)

    answer = upload(handlers, [piece(b"a"), image_pb2.UploadImagesRequest(), piece(b"c")], if_match='"3"')

    assert answer.code is grpc.StatusCode.OK
    assert read == [b"a", b"", b"c"]
    (call,) = handlers.seen
    assert (call.caller.id, call.if_match) == (user_id("sue"), '"3"')


@pytest.mark.parametrize(("role", "code"), [(None, "UNAUTHORIZED"), ("buyer", "FORBIDDEN")])
def test_a_caller_without_access_is_refused_before_anything_is_read(role: str | None, code: str) -> None:
    handlers = Handlers()
    sent = threading.Event()

    def never_sent() -> Iterator[Any]:
        sent.wait(20)
        yield piece()

    with serving(handlers) as rpc:
        answer = stream_in(rpc, never_sent(), token("bob", role) if role else None)
        sent.set()

    assert answer.error == code
    assert not handlers.seen


def test_a_bad_token_is_refused() -> None:
    with serving(Handlers()) as rpc:
        assert stream_in(rpc, [piece()], "nonsense").error == "UNAUTHORIZED"


def test_an_id_in_the_path_that_is_no_uuid_is_not_found() -> None:
    handlers = Handlers()

    answer = upload(handlers, [piece(gig_id="17")])

    assert answer.body == {"error": "Gig not found", "code": "NOT_FOUND"}
    assert not handlers.seen


def test_a_call_whose_time_is_nearly_over_is_refused_and_its_handler_never_runs() -> None:
    handlers = Handlers()
    request = piece()

    async def send() -> Any:
        async def pieces() -> AsyncIterator[Any]:
            yield request

        servicer = AioPipeline(verifier()).around(handlers, SERVICE)
        return await servicer.UploadImages(pieces(), context)

    context = NearlyOver()
    with pytest.raises(Aborted):
        asyncio.run(send())

    assert context.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert handlers.seen == []


def test_a_call_with_enough_time_left_runs() -> None:
    handlers = Handlers()

    assert upload(handlers, seconds=20).error == ""
    assert len(handlers.seen) == 1


def test_a_stream_without_a_message_gets_the_response_to_an_empty_message() -> None:
    assert upload(Handlers(), []).error == "NOT_FOUND"


@pytest.mark.parametrize("code", [name for name in CODES.values_by_name if name != "CODE_UNSPECIFIED"])
def test_every_code_of_the_catalogue_is_sent_as_the_catalogue_says(code: str) -> None:
    answer = upload(Handlers(raising(MarketplaceError(code))))

    spec = spec_of(code)
    assert answer.code.value[0] == spec.grpc
    assert (answer.http_status, answer.body) == (spec.http, {"error": spec.text, "code": code})


def test_an_unexpected_error_is_internal_is_logged_and_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    answer = upload(Handlers(raising(RuntimeError("password=hunter2"))), x_request_id="abc-1")

    assert answer.body == {"error": "Internal error", "code": "INTERNAL"}
    assert "hunter2" not in repr(answer)
    printed = capsys.readouterr().out
    assert "abc-1" in printed
    assert "hunter2" in printed


def test_an_etag_goes_out_with_success_alone() -> None:
    async def tag(pieces: AsyncIterator[Any], call: Call) -> Any:
        call.set_etag('"7"')
        return image_pb2.UploadImagesResponse()

    async def tag_and_fail(pieces: AsyncIterator[Any], call: Call) -> Any:
        call.set_etag('"7"')
        raise MarketplaceError("CONFLICT")

    assert upload(Handlers(tag)).headers["etag"] == '"7"'
    assert "etag" not in upload(Handlers(tag_and_fail)).headers


def test_the_current_call_is_set_also_in_threads_and_is_each_calls_own() -> None:
    seen: dict[str, Any] = {}

    async def look(pieces: AsyncIterator[Any], call: Call) -> Any:
        await asyncio.sleep(0.05)
        seen[call.request_id] = (current_call.get(), await asyncio.to_thread(current_call.get))
        return image_pb2.UploadImagesResponse()

    handlers = Handlers(look)
    with serving(handlers) as rpc:
        both = [
            rpc.future(
                iter([piece()]),
                metadata=[("authorization", "Bearer " + token("sue", "seller")), ("x-request-id", f"call-{number}")],
            )
            for number in range(2)
        ]
        for one in both:
            one.result(10)

    assert {call.request_id: (call, call) for call in handlers.seen} == seen
    assert set(seen) == {"call-0", "call-1"}


def test_a_client_that_pauses_too_long_is_cut_off() -> None:
    resumed = threading.Event()

    def pausing() -> Iterator[Any]:
        yield piece(b"a")
        resumed.wait(20)

    async def read(pieces: AsyncIterator[Any], call: Call) -> Any:
        return [piece async for piece in pieces]

    with serving(Handlers(read), idle_seconds=0.2) as rpc:
        began = time.monotonic()
        answer = stream_in(rpc, pausing(), token("sue", "seller"))
        took = time.monotonic() - began
        resumed.set()

    assert answer.error == "DEADLINE_EXCEEDED"
    assert took < 5


def test_a_client_that_never_begins_is_cut_off_too() -> None:
    begun = threading.Event()

    def never() -> Iterator[Any]:
        begun.wait(20)
        yield piece()

    with serving(Handlers(), idle_seconds=0.2) as rpc:
        answer = stream_in(rpc, never(), token("sue", "seller"))
        begun.set()

    assert answer.error == "DEADLINE_EXCEEDED"


def test_a_client_that_dribbles_has_an_end() -> None:
    def dribbling() -> Iterator[Any]:
        yield piece(b"a")
        while True:
            time.sleep(0.05)
            yield piece(b"b")

    async def read(pieces: AsyncIterator[Any], call: Call) -> Any:
        return [piece async for piece in pieces]

    with serving(Handlers(read), longest_seconds=0.5) as rpc:
        answer = stream_in(rpc, dribbling(), token("sue", "seller"))

    assert answer.error == "DEADLINE_EXCEEDED"


def test_a_client_that_goes_away_ends_its_handler(capsys: pytest.CaptureFixture[str]) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def wait(pieces: AsyncIterator[Any], call: Call) -> Any:
        begun.set()
        try:
            await asyncio.sleep(20)
        finally:
            ended.set()

    with serving(Handlers(wait)) as rpc:
        call = rpc.future(iter([piece()]), metadata=[("authorization", "Bearer " + token("sue", "seller"))])
        assert begun.wait(10)
        call.cancel()
        assert ended.wait(10)

    assert "CANCELLED" in capsys.readouterr().out


def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    sent: list[int] = []

    def sending() -> Iterator[Any]:
        for number in range(10_000):
            sent.append(number)
            yield piece(b"x" * 60_000)

    answer = upload(Handlers(raising(MarketplaceError("PAYLOAD_TOO_LARGE"))), sending())  # type: ignore[arg-type]

    assert answer.error == "PAYLOAD_TOO_LARGE"
    assert len(sent) < 5_000


def test_a_service_with_an_rpc_without_a_handler_does_not_start() -> None:
    with pytest.raises(ValueError, match="no handler for"):
        AioPipeline(verifier()).around(object(), SERVICE)
