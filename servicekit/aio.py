"""The pipeline and the process of services that wait for their clients, on `grpc.aio`: a slow client holds no thread.

What surrounds a handler is the same as in `servicekit.pipeline`, and so is the process as in `servicekit.server`.
Nothing may block the loop: databases, files and keys are asked in threads.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from servicekit import status, validation
from servicekit.call import Call, current_call
from servicekit.database import Database
from servicekit.errors import DeadlineExceeded, MarketplaceError
from servicekit.identity import Verifier
from servicekit.methods import Method
from servicekit.pipeline import CallObserver, call_of, failure_of, trailers, wrapped
from servicekit.server import (
    HEALTH_INTERVAL_SECONDS,
    OPTIONS,
    ServiceSpec,
    add_tools,
    fail_to_listen,
    prepare,
    serve_metrics,
    verifier_for,
)
from servicekit.settings import ServiceSettings

# Reads the messages of a stream and the call; the first message has been checked.
Handler = Callable[[AsyncIterator[Any], Call], Any]

# How long a client may pause between two messages, and how long it may take for all of them.
IDLE_SECONDS = 30.0
LONGEST_SECONDS = 300.0

# Without probing a stream's window stays at 64 KiB. With it, gRPC takes in megabytes of each client ahead of a handler
# that is busy: fifty uploads of 6 MB at once made it 394 MiB large, and 117 MiB without (measured).
AIO_OPTIONS = [*OPTIONS, ("grpc.http2.bdp_probe", 0)]


class AioPipeline:
    """Wraps servicers whose methods read `(messages, call)`: a stream in, one response out."""

    def __init__(
        self, verifier: Verifier, *, idle_seconds: float = IDLE_SECONDS, longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        self._verifier = verifier
        self._idle_seconds = idle_seconds
        self._longest_seconds = longest_seconds

    def around(self, servicer: object, service: ServiceDescriptor) -> Any:
        """The servicer for gRPC. Raises ValueError when an RPC lacks a handler or does not say who may call it."""
        requests = {method.name: GetMessageClass(method.input_type) for method in service.methods}

        def wrap(method: Method, handler: Handler, names: Mapping[str, str]) -> Any:
            return self._wrap(method, handler, names, requests[method.name])

        return wrapped(servicer, service, wrap)

    def _wrap(self, method: Method, handler: Handler, names: Mapping[str, str], request: type[Message]) -> Any:
        async def serve(requests: AsyncIterator[Message], context: Any) -> Message:
            watch = CallObserver(method, call_of(context, names))
            # A call is a task, and each task has its own.
            current_call.set(watch.call)
            messages = self._messages(requests, watch.call)
            try:
                response, failure = await self._handle(method, handler, messages, watch.call, request)
            except asyncio.CancelledError:
                watch.over("CANCELLED")
                raise
            watch.over(failure.code if failure else "OK")
            if failure:
                told = status.from_error(failure)
                await context.abort(told.code, told.message, told.metadata)
            assert response is not None
            context.set_trailing_metadata(trailers(method, watch.call, response))
            return response

        return serve

    async def _handle(
        self,
        method: Method,
        handler: Handler,
        messages: AsyncIterator[Message],
        call: Call,
        request: type[Message],
    ) -> tuple[Message | None, MarketplaceError | None]:
        """The response, or what is told instead of it. Raises nothing but CancelledError."""
        try:
            authorization = call.metadata.get("authorization")
            # In a thread: an issuer's keys may have to be fetched.
            call.caller = await asyncio.to_thread(self._verifier.caller, authorization)
            method.admit(call.caller)
            first = await anext(messages, None)
            if first is None:
                first = request()
            validation.check(first, method.path_fields)
            return await handler(_with(first, messages), call), None
        except Exception as error:
            return None, failure_of(error, call.log)

    async def _messages(self, requests: AsyncIterator[Message], call: Call) -> AsyncIterator[Message]:
        """The messages of the client. Raises DeadlineExceeded when it pauses, or takes, too long."""
        last = time.monotonic() + self._longest_seconds
        while True:
            try:
                async with asyncio.timeout(min(self._idle_seconds, last - time.monotonic())):
                    message = await anext(requests, None)
            except TimeoutError as error:
                raise DeadlineExceeded from error
            if message is None:
                return
            yield message


async def _with(first: Message, others: AsyncIterator[Message]) -> AsyncIterator[Message]:
    yield first
    async for message in others:
        yield message


def run_aio(
    settings: ServiceSettings, database_url: str, migrations: Path, build: Callable[[Database], ServiceSpec]
) -> None:
    """As `servicekit.server.run`, for a servicer of coroutines."""
    stop = threading.Event()
    database = prepare(settings, database_url, migrations, stop)
    if database is not None:
        asyncio.run(_run(settings, build(database), stop))


async def _run(settings: ServiceSettings, served: ServiceSpec, asked_before: threading.Event) -> None:
    loop = asyncio.get_running_loop()
    # As many database connections, too: a thread has one.
    loop.set_default_executor(ThreadPoolExecutor(settings.rpc_threads, thread_name_prefix="blocking"))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if asked_before.is_set():
        return
    log = structlog.get_logger()
    server = grpc.aio.server(options=AIO_OPTIONS, maximum_concurrent_rpcs=settings.max_concurrent_rpcs)
    served.register(AioPipeline(verifier_for(settings)).around(served.servicer, served.descriptor), server)
    health_of_all = health.aio.HealthServicer()  # type: ignore[attr-defined]  # its types do not know it
    health_pb2_grpc.add_HealthServicer_to_server(health_of_all, server)
    await health_of_all.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    add_tools(served, server)
    try:
        server.add_insecure_port(settings.listen)
    except RuntimeError:
        fail_to_listen(settings)
    serve_metrics(settings)
    for work in served.background:
        work.start()
    await server.start()
    for name in ("", served.descriptor.full_name):
        await health_of_all.set(name, health_pb2.HealthCheckResponse.SERVING)
    log.info("serving", listen=settings.listen)
    await stop.wait()
    log.info("draining")
    # No longer healthy first, so that nobody sends new calls; then those under way are finished.
    await health_of_all.enter_graceful_shutdown()
    await asyncio.sleep(HEALTH_INTERVAL_SECONDS)
    await server.stop(settings.shutdown_grace_seconds)
    for work in served.background:
        await asyncio.to_thread(work.stop)
    log.info("stopped")
