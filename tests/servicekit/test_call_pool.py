"""Calls reach their threads once their requests are there, and leave them before their responses are read."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from servicekit import call_pool
from servicekit.call_pool import AtOncePool, CallPool, QueueAge, StreamPool, has_no_place, in_pool, stream_in_pool
from tests.support.eventually import eventually
from tests.support.rpc_floods import SlowReader
from tests.support.workers import Worker

ECHO = "/test.Service/Echo"


class Handlers:
    """Echoes requests, once `release` is set; `begun` has the requests whose handler has begun."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.release = threading.Event()
        if is_open:
            self.release.set()
        self.begun: list[bytes] = []

    def echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if has_no_place():
            context.abort(grpc.StatusCode.UNAVAILABLE, "no place")
        self.begun.append(request)
        assert self.release.wait(30)
        return request * 2


@contextmanager
def serving(pool: CallPool, **handlers: Any) -> Iterator[tuple[Any, str]]:
    """Serve the handlers as methods of `test.Service`. Yields a channel and the address."""
    server = grpc.server(pool)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with grpc.insecure_channel(address) as channel:
        yield channel, address
    server.stop(None).wait()


@contextmanager
def echoing(handlers: Handlers, threads: int = 1, places: int = 100) -> Iterator[tuple[Any, str]]:
    """Serve `Echo` in a pool of so many threads."""
    with serving(CallPool(threads, places, "rpc"), Echo=grpc.unary_unary_rpc_method_handler(handlers.echo)) as served:
        yield served


def echo(channel: Any, request: bytes = b"x", seconds: float = 10) -> bytes:
    answer: bytes = channel.unary_unary(ECHO)(request, timeout=seconds)
    return answer


@contextmanager
def without_requests(channel: Any, count: int) -> Iterator[list[Any]]:
    """Hold so many calls open that send no request."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(30)
        yield from ()

    calls = [channel.stream_unary(ECHO).future(nothing(), timeout=30) for _ in range(count)]
    try:
        yield calls
    finally:
        over.set()
        for call in calls:
            call.cancel()


def code_of(call: Any) -> grpc.StatusCode:
    error = call.exception(30)
    return grpc.StatusCode.OK if error is None else error.code()


def test_calls_that_send_no_request_take_no_thread() -> None:
    handlers = Handlers()
    with echoing(handlers) as (channel, _), without_requests(channel, 20):
        assert [echo(channel) for _ in range(5)] == [b"xx"] * 5

    assert handlers.begun == [b"x"] * 5


def test_a_call_that_ends_without_a_request_is_refused() -> None:
    with echoing(Handlers()) as (channel, _):
        call = channel.stream_unary(ECHO).future(iter(()), timeout=10)

        assert code_of(call) is grpc.StatusCode.UNIMPLEMENTED
        assert echo(channel) == b"xx"


def test_requests_that_wait_for_a_thread_are_not_parsed() -> None:
    handlers, parsed = Handlers(is_open=False), []

    def parse(data: bytes) -> bytes:
        parsed.append(data)
        return data

    method = grpc.unary_unary_rpc_method_handler(handlers.echo, request_deserializer=parse)
    with serving(CallPool(1, 100, "rpc"), Echo=method) as (channel, _):
        calls = [channel.unary_unary(ECHO).future(b"%d" % number, timeout=30) for number in range(5)]
        eventually(lambda: len(handlers.begun) == 1)
        time.sleep(0.2)
        assert len(parsed) == 1

        handlers.release.set()
        assert sorted(call.result() for call in calls) == sorted(b"%d%d" % (number, number) for number in range(5))


def test_bytes_that_are_no_message_are_the_clients_error() -> None:
    method = grpc.unary_unary_rpc_method_handler(
        Handlers().echo, request_deserializer=HealthCheckRequest.FromString, response_serializer=bytes
    )
    with serving(CallPool(1, 100, "rpc"), Echo=method) as (channel, _):
        assert code_of(channel.unary_unary(ECHO).future(b"\xff", timeout=10)) is grpc.StatusCode.INVALID_ARGUMENT


def test_of_too_many_calls_that_wait_for_their_clients_the_oldest_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_pool, "_waiting", call_pool._WaitingCalls(3, 60))
    with echoing(Handlers()) as (channel, _), without_requests(channel, 10) as calls:
        eventually(lambda: sum(call.done() for call in calls) >= 7)

        assert echo(channel) == b"xx"
        assert Counter(code_of(call) for call in calls if call.done()) <= Counter({grpc.StatusCode.CANCELLED: 8})


def test_a_call_that_waits_too_long_for_its_client_ends_with_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = call_pool._WaitingCalls(100, 60)
    monkeypatch.setattr(call_pool, "_waiting", waiting)
    with echoing(Handlers()) as (channel, _), without_requests(channel, 1) as (silent,):
        eventually(lambda: len(waiting._calls) == 1)
        assert echo(channel) == b"xx"
        assert not silent.done()
        waiting._seconds = 0.001

        assert echo(channel) == b"xx"

        assert code_of(silent) is grpc.StatusCode.CANCELLED


def test_responses_that_nobody_reads_take_no_thread_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = call_pool._WaitingCalls(3, 60)
    monkeypatch.setattr(call_pool, "_waiting", waiting)
    handlers = Handlers()

    def has_begun(count: int) -> bool:
        return len(handlers.begun) == count

    with echoing(handlers) as (channel, address):
        reader = SlowReader(Worker(address))
        for count in range(1, 11):
            # One by one: of more than three whose requests are on the way the oldest would end, too.
            reader.call(ECHO, b"unread")
            eventually(partial(has_begun, count))

        assert reader.ended(7) == 7
        assert echo(channel) == b"xx"
        reader.close()

    eventually(lambda: not waiting._calls)


def test_a_call_whose_client_has_gone_in_the_queue_never_begins() -> None:
    handlers, pool = Handlers(is_open=False), CallPool(1, 100, "rpc")
    with serving(pool, Echo=grpc.unary_unary_rpc_method_handler(handlers.echo)) as (channel, _):
        first = channel.unary_unary(ECHO).future(b"first", timeout=30)
        eventually(lambda: handlers.begun == [b"first"])
        gone = channel.unary_unary(ECHO).future(b"gone", timeout=30)
        eventually(lambda: pool._places.taken == 2)
        gone.cancel()
        last = channel.unary_unary(ECHO).future(b"last", timeout=30)
        # By then the server has read all that came before.
        eventually(lambda: pool._places.taken == 3)
        handlers.release.set()

        assert [code_of(first), code_of(last)] == [grpc.StatusCode.OK] * 2

    assert handlers.begun == [b"first", b"last"]


def test_a_call_without_a_place_is_refused_while_the_others_run() -> None:
    handlers = Handlers(is_open=False)
    with echoing(handlers, threads=2, places=3) as (channel, _):
        calls = [channel.unary_unary(ECHO).future(b"x", timeout=30) for _ in range(10)]
        eventually(lambda: sum(call.done() for call in calls) == 7)
        handlers.release.set()

        codes = Counter(code_of(call) for call in calls)

    assert codes == Counter({grpc.StatusCode.OK: 3, grpc.StatusCode.UNAVAILABLE: 7})


def test_a_queue_is_old_when_calls_have_waited_too_long_for_long_enough() -> None:
    age = QueueAge(0.3)
    age.note_left(since=10.0, now=10.4)
    assert not age.is_old(10.4)

    age.note_left(since=10.2, now=10.8)

    assert age.is_old(10.8)


def test_one_call_that_has_not_waited_long_makes_a_queue_young() -> None:
    age = QueueAge(0.3)
    age.note_left(since=10.0, now=10.4)
    age.note_left(since=10.6, now=10.8)

    assert not age.is_old(10.8)
    age.note_left(since=10.4, now=10.9)
    assert not age.is_old(11.1)
    assert age.is_old(11.3)


def test_an_empty_queue_is_young() -> None:
    age = QueueAge(0.3)
    age.note_left(since=10.0, now=10.4)
    assert age.is_old(11.0)

    age.note_empty()

    assert not age.is_old(11.0)


def test_calls_that_find_an_old_queue_are_refused_until_it_is_empty() -> None:
    """Calls leave the queue late two times, so far apart that it is old; the third one still runs."""
    handlers, steps = Handlers(), threading.Semaphore(0)

    def step(request: bytes, context: grpc.ServicerContext) -> bytes:
        if has_no_place():
            context.abort(grpc.StatusCode.UNAVAILABLE, "an old queue")
        handlers.begun.append(request)
        assert steps.acquire(timeout=30)
        return request

    method = grpc.unary_unary_rpc_method_handler(step)
    pool = CallPool(1, 100, "rpc", queue_seconds=0.05)
    with serving(pool, Echo=method) as (channel, _):

        def ask(name: bytes) -> Any:
            return channel.unary_unary(ECHO).future(name, timeout=30)

        def has_waiting(count: int) -> bool:
            return pool._calls.qsize() == count

        queued = [ask(name) for name in (b"1", b"2", b"3", b"4")]
        # One runs, and nothing has made the queue old before the others wait in it.
        eventually(partial(has_waiting, 3))
        for waiting in (2, 1):
            time.sleep(0.1)
            steps.release()
            eventually(partial(has_waiting, waiting))
        time.sleep(0.1)

        assert code_of(ask(b"5")) is grpc.StatusCode.UNAVAILABLE
        steps.release(2)
        assert [code_of(call) for call in queued] == [grpc.StatusCode.OK] * 4
        steps.release()
        assert code_of(ask(b"6")) is grpc.StatusCode.OK
        assert len(handlers.begun) == 5


def test_a_handler_that_waits_for_nothing_is_answered_while_all_threads_are_busy() -> None:
    handlers = Handlers(is_open=False)

    def ping(request: bytes, context: grpc.ServicerContext) -> bytes:
        return b"pong"

    served = {
        "Echo": grpc.unary_unary_rpc_method_handler(handlers.echo),
        "Ping": grpc.unary_unary_rpc_method_handler(in_pool(ping, AtOncePool())),
    }
    with serving(CallPool(1, 3, "rpc"), **served) as (channel, _):
        calls = [channel.unary_unary(ECHO).future(b"x", timeout=30) for _ in range(10)]
        eventually(lambda: len(handlers.begun) == 1)

        assert [channel.unary_unary("/test.Service/Ping")(b"", timeout=10) for _ in range(5)] == [b"pong"] * 5

        handlers.release.set()
        assert {code_of(call) for call in calls} == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


def test_one_stream_too_many_ends_at_once_and_its_place_comes_back() -> None:
    over = threading.Event()

    def follow(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"first"
        over.wait(30)

    pool = StreamPool(2, "streams", grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")
    served = {"Follow": grpc.stream_stream_rpc_method_handler(stream_in_pool(follow, pool))}
    with serving(CallPool(1, 1, "rpc"), **served) as (channel, _):
        rpc = channel.stream_stream("/test.Service/Follow")
        held = [rpc(iter(()), timeout=30) for _ in range(2)]
        assert [next(stream) for stream in held] == [b"first"] * 2

        with pytest.raises(grpc.RpcError) as refused:
            next(rpc(iter(()), timeout=30))

        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        over.set()
        assert [list(stream) for stream in held] == [[]] * 2
        assert list(rpc(iter(()), timeout=30)) == [b"first"]
