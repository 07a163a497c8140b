"""The health of a worker, as `grpc.health.v1` for servers of grpc and grpc.aio.

The reference servicer of grpcio sends to each watcher under one lock and waits until it has read: one that reads
nothing would stop all health checks. Here Check is answered on the server's own thread, so a full worker is still
healthy, and each watcher waits for itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from servicekit.call_pool import AtOncePool, StreamPool, in_pool

Response = health_pb2.HealthCheckResponse
SERVICE_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_CODERS: dict[str, Any] = {
    "request_deserializer": health_pb2.HealthCheckRequest.FromString,
    "response_serializer": Response.SerializeToString,
}

# Watchers of a worker at once. Each worker that calls this service is one.
MAX_WATCHERS = 128
# To one more the service says that it has no Watch: a client then uses the worker without watching its health.
REFUSAL = (grpc.StatusCode.UNIMPLEMENTED, "too many watchers")

# The longest wait for the request of a call, on grpc.aio.
REQUEST_SECONDS = 2.0

# Clients that check the health, counted while they do; more are not waited for.
MAX_CHECKERS = 128
# A client that has not asked for so long does not ask again: Envoy asks each second, and later on a busy machine.
CHECKER_SECONDS = 4.0


class Health:
    """The health of the services with these names, and of the worker: SERVING between `serve` and `drain`."""

    def __init__(self, *names: str) -> None:
        self._status = Response.NOT_SERVING
        self._names = frozenset(("", *names))
        self._ended = False
        self._condition = threading.Condition()
        self._listeners: set[_Listener] = set()
        # The last check of each client, and how often it has been told that the worker is unhealthy.
        self._checkers: dict[str, tuple[float, int]] = {}

    def serve(self) -> None:
        """Become healthy."""
        self._set(Response.SERVING)

    def drain(self) -> None:
        """Become unhealthy, so that no new calls come."""
        self._set(Response.NOT_SERVING)

    def is_known(self) -> bool:
        """Return whether each client that checks the health knows that the worker is unhealthy.

        A client that asks again has read the first answer, and has had an interval of its checks to act on it.
        """
        asked_since = time.monotonic() - CHECKER_SECONDS
        with self._condition:
            return all(told >= 2 for asked, told in self._checkers.values() if asked > asked_since)

    def end(self) -> None:
        """End the streams of all watchers."""
        self._ended = True
        self._set(Response.NOT_SERVING)

    def add_to(self, server: grpc.Server) -> None:
        """Add the service to a server of grpc."""
        watch = in_pool(self._watch, StreamPool(MAX_WATCHERS, "health", *REFUSAL))
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(in_pool(self._check, AtOncePool()), **_CODERS),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, **_CODERS),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),))

    def add_to_aio(self, server: Any) -> None:
        """Add the service to a server of grpc.aio."""
        # As handlers of a client's stream, which grpc.aio calls before there is a request: they bound the wait for it.
        handlers = {
            "Check": grpc.stream_unary_rpc_method_handler(self._check_aio, **_CODERS),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch_aio, **_CODERS),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),))

    def _set(self, status: Any) -> None:
        with self._condition:
            self._status = status
            self._condition.notify_all()
            for listener in self._listeners:
                listener.notify()

    def _of(self, name: str) -> Any:
        return self._status if name in self._names else Response.SERVICE_UNKNOWN

    def _check(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> Any:
        if request.service not in self._names:
            context.set_code(grpc.StatusCode.NOT_FOUND)
        status = self._of(request.service)
        self._note_check(context.peer(), is_healthy=status == Response.SERVING)
        return Response(status=status)

    def _note_check(self, client: str, *, is_healthy: bool) -> None:
        now = time.monotonic()
        with self._condition:
            if len(self._checkers) >= MAX_CHECKERS:
                recent = {each: check for each, check in self._checkers.items() if check[0] > now - CHECKER_SECONDS}
                self._checkers = recent
            if client in self._checkers or len(self._checkers) < MAX_CHECKERS:
                _, told = self._checkers.get(client, (now, 0))
                self._checkers[client] = now, 0 if is_healthy else told + 1

    async def _check_aio(self, requests: AsyncIterator[Any], context: Any) -> Any:
        return self._check(await _only(requests, context), context)

    def _watch(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        if not context.add_callback(self._wake):
            return
        sent = None
        while context.is_active() and not self._ended:
            if (status := self._of(request.service)) != sent:
                sent = status
                yield Response(status=status)
            with self._condition:
                self._condition.wait_for(
                    lambda: self._ended or self._of(request.service) != sent or not context.is_active()  # noqa: B023  # called before the loop goes on
                )

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    async def _watch_aio(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        request = await _only(requests, context)
        if len(self._listeners) >= MAX_WATCHERS:
            await context.abort(*REFUSAL)
        listener = _Listener()
        with self._condition:
            self._listeners.add(listener)
        try:
            sent = None
            while not self._ended:
                if (status := self._of(request.service)) != sent:
                    sent = status
                    yield Response(status=status)
                await listener.wait()
        finally:
            with self._condition:
                self._listeners.discard(listener)


async def _only(requests: AsyncIterator[Any], context: Any) -> Any:
    """Return the request, or abort the call when it does not come in time."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return await anext(requests)
    except (TimeoutError, StopAsyncIteration):
        await context.abort(grpc.StatusCode.CANCELLED, "the request has not come in time")


class _Listener:
    """Wakes one watcher on an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def notify(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()
