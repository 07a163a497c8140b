"""The threads of a server's calls, and how calls reach them: a call that waits for its client has no thread.

grpcio gives a call to a thread as soon as its headers have come, and the thread waits for the request: clients that
never send one would take all threads. A `CallPool` is grpcio's thread pool, and receives the request first, on the
server's own thread, which waits for nothing.

This uses names of the module `grpc._server` that are not public; grpcio's version is pinned, and
`tests/servicekit/test_call_pool.py` fails when a version behaves differently.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import grpc
import structlog
from grpc import _common as grpc_common
from grpc import _server as grpc_server
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # missing in its types

# Calls of a process that wait for their clients at once, and the longest time that one is left to do so.
WAITING_CALLS = 128
WAITING_SECONDS = 60.0

_this_thread = threading.local()


def has_no_place() -> bool:
    """Return whether the current call found no place in its pool, or an old queue: it has to be refused."""
    return getattr(_this_thread, "has_no_place", False)


@dataclass(slots=True, eq=False)
class _Rpc:
    """A call as grpcio hands it to a thread pool: a function to run it, and the function's arguments."""

    run: Callable[..., None]
    respond: Callable[..., None]
    event: Any
    state: Any
    handler: Callable[..., Any]
    read_request: Callable[[], Any]
    deserialize: Any
    serialize: Any

    def answer(self, request: Any) -> None:
        """Run the handler and send its response, unless the client has gone.

        `request` is the message in bytes, or the iterator of a client's stream. A message takes many times the memory
        of its bytes once it is parsed, so the requests of waiting calls are not.
        """

        def read_request() -> Any:
            with self.state.condition:
                if not grpc_server._is_rpc_state_active(self.state):
                    return None
            return self._parse(request) if isinstance(request, bytes) else request

        arguments = (self.event, self.state, self.handler, read_request, self.deserialize, self.serialize)
        self.run(self.respond, *arguments)

    def _parse(self, data: bytes) -> Any:
        """Return the message; None when the bytes are no such message, and the call has ended with an error."""
        message = grpc_common.deserialize(data, self.deserialize)
        if message is None:
            self.refuse(grpc.StatusCode.INVALID_ARGUMENT, "the request is not a message of this call")
        return message

    def refuse(self, code: grpc.StatusCode, message: str) -> None:
        """End the call with a status, without its handler."""
        with self.state.condition:
            self.state.code = code
            # The code of `state` goes before the one that is given here.
            grpc_server._abort(self.state, self.event.call, cygrpc.StatusCode.unavailable, message.encode())


class _WaitingCalls:
    """The calls that wait for their client to send a request or to read a response.

    At most `limit` of them: the one that has waited longest is cancelled for a new one. An honest client is waited for
    only for milliseconds.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        self._calls: OrderedDict[int, tuple[Any, float]] = OrderedDict()

    def add(self, rpc: _Rpc) -> None:
        now = time.monotonic()
        expired = []
        with self._lock:
            self._calls[id(rpc.state)] = rpc.event.call, now
            while len(self._calls) > self._limit or self._oldest() < now - self._seconds:
                expired.append(self._calls.popitem(last=False)[1][0])
        for call in expired:
            call.cancel()

    def _oldest(self) -> float:
        return next((since for _, since in self._calls.values()), float("inf"))

    def remove(self, rpc: _Rpc) -> None:
        with self._lock:
            self._calls.pop(id(rpc.state), None)


_waiting = _WaitingCalls(WAITING_CALLS, WAITING_SECONDS)


class _Places:
    """A semaphore for callers that never wait, at a tenth of the cost of `threading`'s."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self.taken = 0

    def acquire(self) -> bool:
        """Take a place; return whether there was one."""
        with self._lock:
            if self.taken >= self._count:
                return False
            self.taken += 1
            return True

    def release(self) -> None:
        """Give a place back."""
        with self._lock:
            self.taken -= 1


class QueueAge:
    """How long the calls that leave a queue have waited; times are those of `time.monotonic`.

    The queue is old when all calls that left it for `seconds` had waited longer than `seconds`. A burst that is over
    before that does not make it old, and neither does a queue that is long but moves fast (CoDel, RFC 8289).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # When the first of the calls left that have waited too long; None when the last one had not.
        self._late_since: float | None = None

    def note_left(self, since: float, now: float) -> None:
        """Note that a call leaves the queue, in which it was `since` that time."""
        if now - since <= self._seconds:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now

    def note_empty(self) -> None:
        """Note that nothing waits."""
        self._late_since = None

    def is_old(self, now: float) -> bool:
        """Return whether a new call would wait too long."""
        late_since = self._late_since
        return late_since is not None and now - late_since > self._seconds


class CallPool(ThreadPoolExecutor):
    """Threads for unary calls: `threads` run, and more wait, until `places` calls do either.

    A call over the limit, or one that finds a queue that is old by `queue_seconds`, runs at once, in a thread of its
    own, only to be refused: `has_no_place` is true there.
    Calls reach the threads by a queue of this class: nobody waits for their Futures, which cost more than the queue.
    """

    def __init__(self, threads: int, places: int, name: str, queue_seconds: float = float("inf")) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._places = _Places(places)
        self._age = QueueAge(queue_seconds)
        self._name = name
        self._thread_count = 0
        # Each call with the time at which it came.
        self._calls: SimpleQueue[tuple[_Rpc, Any, float] | None] = SimpleQueue()
        weakref.finalize(self, _end_threads, self._calls, threads)
        self._refusals = ThreadPoolExecutor(1, thread_name_prefix="refusal", initializer=_have_no_place)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See Executor. A call of gRPC, which comes under the server's lock, is first received, and then run."""
        if args and args[0] in (grpc_server._unary_response_in_pool, grpc_server._stream_response_in_pool):
            return self._accept(_Rpc(fn, *args))
        return self._run(fn, *args, **kwargs)

    def _accept(self, rpc: _Rpc) -> Future[Any]:
        _receive(rpc, self._admit)
        return _FINISHED

    def _admit(self, rpc: _Rpc, request: Any) -> None:
        """Give a received call to the threads. Only the server's own thread does this."""
        now = time.monotonic()
        if self._calls.empty():
            self._age.note_empty()
        if self._age.is_old(now) or not self._places.acquire():
            self._refusals.submit(_answer, rpc, request)
            return
        if self._thread_count < min(self._places.taken, self._max_workers):
            name = f"{self._name}_{self._thread_count}"
            served = (self._calls, self._places, self._age)
            threading.Thread(target=_serve, args=served, name=name, daemon=True).start()
            self._thread_count += 1
        self._calls.put((rpc, request, now))

    def _run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        if not self._places.acquire():
            return self._refusals.submit(fn, *args, **kwargs)
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See Executor."""
        _end_threads(self._calls, self._max_workers)
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._refusals.shutdown(wait, cancel_futures=cancel_futures)


class AtOncePool(CallPool):
    """No threads: a call is answered on the server's own thread, for handlers that wait for nothing."""

    def __init__(self) -> None:
        super().__init__(1, 1, "unused")

    def _admit(self, rpc: _Rpc, request: Any) -> None:
        _answer(rpc, request)


class StreamPool(CallPool):
    """A thread for each of at most `streams` streams; more end at once with a status.

    The threads are no part of any other pool, and the streams do not count as calls.
    """

    def __init__(self, streams: int, name: str, code: grpc.StatusCode, message: str) -> None:
        super().__init__(streams, streams, name)
        self._code = code
        self._message = message

    def _accept(self, rpc: _Rpc) -> Future[Any]:
        # The handler reads a client's stream by itself; a single request is received first.
        if isinstance(rpc.handler, _ReadsStream):
            self._admit(rpc, rpc.read_request())
            return _FINISHED
        return super()._accept(rpc)

    def _admit(self, rpc: _Rpc, request: Any) -> None:
        if not self._places.acquire():
            rpc.refuse(self._code, self._message)
            return
        future = ThreadPoolExecutor.submit(self, rpc.answer, request)
        future.add_done_callback(lambda _: self._places.release())


class _ReadsStream:
    """A handler of a client's stream."""

    def __init__(self, handler: Callable[..., Any], pool: StreamPool) -> None:
        self._handler = handler
        self.experimental_thread_pool = pool

    def __call__(self, requests: Any, context: grpc.ServicerContext) -> Any:
        return self._handler(requests, context)


def in_pool(handler: Callable[..., Any], pool: CallPool) -> Callable[..., Any]:
    """Return the gRPC handler of one request, to run in this pool."""

    def serve(request: Any, context: grpc.ServicerContext) -> Any:
        return handler(request, context)

    # An attribute that gRPC reads: it runs the method in this pool instead of the server's.
    serve.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return serve


def stream_in_pool(handler: Callable[..., Any], pool: StreamPool) -> Callable[..., Any]:
    """Return the gRPC handler of a client's stream, to run in this pool."""
    return _ReadsStream(handler, pool)


def _receive(rpc: _Rpc, admit: Callable[[_Rpc, bytes], None]) -> None:
    """Start to receive the request, and have `admit` called with its bytes on the server's thread."""
    state = rpc.state
    receive = grpc_server._receive_message(state, rpc.event.call, bytes)

    def received(event: Any) -> Any:
        finished = receive(event)
        _waiting.remove(rpc)
        with state.condition:
            data, state.request = state.request, None
            if data is None and state.client is not grpc_server._CANCELLED and not state.statused:
                rpc.refuse(grpc.StatusCode.UNIMPLEMENTED, "the call takes exactly one request message")
        if data is not None:
            admit(rpc, data)
        return finished

    with state.condition:
        rpc.event.call.start_server_batch((cygrpc.ReceiveMessageOperation(grpc_server._EMPTY_FLAGS),), received)
        state.due.add(grpc_server._RECEIVE_MESSAGE_TOKEN)
    _waiting.add(rpc)


def _answer(rpc: _Rpc, request: Any) -> None:
    rpc.answer(request)
    with rpc.state.condition:
        # None once the call is over, which it is when the client has read the response.
        if rpc.state.callbacks is None:
            return
        rpc.state.callbacks.append(lambda: _waiting.remove(rpc))
        _waiting.add(rpc)


def _serve(calls: SimpleQueue[tuple[_Rpc, Any, float] | None], places: _Places, age: QueueAge) -> None:
    """Answer calls until there is a None in their place."""
    while (call := calls.get()) is not None:
        rpc, request, since = call
        age.note_left(since, time.monotonic())
        try:
            _answer(rpc, request)
        except Exception:
            # grpcio has answered the call, or could not.
            structlog.get_logger().exception("a call was not answered")
        finally:
            # The request's memory is not held until the next call comes.
            del call, rpc, request
            places.release()


def _end_threads(calls: SimpleQueue[tuple[_Rpc, Any, float] | None], threads: int) -> None:
    for _ in range(threads):
        calls.put(None)


# grpcio asks for a Future that ends with the call, to count calls, which is not used.
_FINISHED: Future[Any] = Future()
_FINISHED.set_result(None)


def _have_no_place() -> None:
    _this_thread.has_no_place = True
