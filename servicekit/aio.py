"""The pipeline and the process of services on `grpc.aio`, whose handlers wait for slow clients without using a thread.

The pipeline does the same as `servicekit.pipeline`, the process the same as `servicekit.server`. Nothing may block the
event loop: databases, files and public keys are read in threads.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, aclosing, nullcontext
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from servicekit import probes, tools, validation
from servicekit.call import Call, current_call, require_time_to_begin
from servicekit.database import Database
from servicekit.erased_users import ErasedUsers
from servicekit.errors import DeadlineExceeded, MarketplaceError, Unavailable
from servicekit.health import Health
from servicekit.identity import Verifier
from servicekit.internal_tls import Peers
from servicekit.methods import Method
from servicekit.pipeline import (
    CallObserver,
    LastCall,
    call_from_context,
    success_trailers,
    to_marketplace_error,
    wrap_servicer,
)
from servicekit.server import (
    ServiceSpec,
    StopRequest,
    add_port,
    fail_to_listen,
    peers_of,
    prepare,
    serve_metrics,
    server_options,
    verifier_for,
    waits_until_known,
)
from servicekit.settings import ServiceSettings
from servicekit.spans import spans
from servicekit.status import status_from_error

# Of an RPC with one request: a coroutine function of the request and the call, or an async generator function of them
# for a stream of responses. Of an RPC with a stream of requests: a coroutine function of the messages and the call.
Handler = Callable[[Any, Call], Any]
Admit = Callable[[Call], AbstractContextManager[None]]
# Runs a handler, and sends what it yields; returns the one response of an RPC that has no stream of them.
Respond = Callable[[Any, Call, Any], Coroutine[Any, Any, Message | None]]

# The response of a call, if it has one that was not sent yet, and its error, if it failed.
Outcome = tuple[Message | None, MarketplaceError | None]

# The longest pause between two messages of a client, and the longest time for all of them.
IDLE_SECONDS = 30.0
LONGEST_SECONDS = 300.0
CUT_OFF_SECONDS = 0.02
# The longest wait for a client to take one response of a stream; then the stream ends as UNAVAILABLE.
SEND_SECONDS = 30.0

# Without BDP probes a stream's window stays at 64 KiB. With them, gRPC buffers megabytes of each client while the
# handler is busy: measured with fifty concurrent uploads of 6 MB, the process had 394 MiB, and 117 MiB without probes.
# A thousand calls that wait for the event loop are refused at random, three thousand always: as many come at once when
# the watchers of a process that has ended come back. The pipeline has the bounds of calls.
AIO_OPTIONS = [
    ("grpc.http2.bdp_probe", 0),
    ("grpc.server.max_pending_requests", 16_384),
    ("grpc.server.max_pending_requests_hard_limit", 32_768),
]


class AioPipeline:
    """Wraps servicers of RPCs of all kinds but streams in both directions.

    At most `places` calls at once; more are refused.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        places: int = 200,
        idle_seconds: float = IDLE_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        send_seconds: float = SEND_SECONDS,
        peers: Peers | None = None,
    ) -> None:
        self.last_call = LastCall()
        self._peers = peers
        self._verifier = verifier
        self._places = places
        self._idle_seconds = idle_seconds
        self._longest_seconds = longest_seconds
        self._send_seconds = send_seconds

    def around(self, servicer: object, service: ServiceDescriptor) -> Any:
        """Return the servicer for gRPC, whose methods take their requests as a stream: see `RequestStreams`.

        A servicer may have a method `admit(call)` beside its handlers: it returns a context that a call is in from
        before its first message, or raises an error. Raises ValueError when an RPC has no handler or does not say who
        may call it.
        """
        admit: Admit = getattr(servicer, "admit", _admit_all)
        descriptors = {method.name: method for method in service.methods}

        def wrap(method: Method, handler: Handler, log_fields: Mapping[str, str]) -> Any:
            return self._wrap(method, handler, admit, log_fields, descriptors[method.name])

        return wrap_servicer(servicer, service, wrap)

    def _wrap(
        self,
        method: Method,
        handler: Handler,
        admit: Admit,
        log_fields: Mapping[str, str],
        descriptor: MethodDescriptor,
    ) -> Any:
        request_type = GetMessageClass(descriptor.input_type)
        respond = self._sending(handler) if descriptor.server_streaming else _returning(handler)
        is_stream = descriptor.client_streaming

        async def serve(requests: AsyncIterator[Message], context: Any) -> Message | None:
            self.last_call.note()
            observer = CallObserver(method, call_from_context(context, log_fields, self._peers))
            # Each call is a task, and each task has its own context.
            current_call.set(observer.call)
            self._places -= 1
            try:
                response, error = await self._observed(
                    observer,
                    self._handle(method, respond, admit, requests, request_type, observer.call, context, is_stream),
                )
                if error:
                    status = status_from_error(error)
                    # After a response that the client does not take, this waits for the client and keeps the place.
                    await context.abort(status.code, status.message, status.metadata)
            finally:
                self._places += 1
            if response is not None:
                context.set_trailing_metadata(success_trailers(method, observer.call, response))
            return response

        return spans().around_async(f"{descriptor.containing_service.full_name}/{descriptor.name}", serve)

    async def _handle(
        self,
        method: Method,
        respond: Respond,
        admit: Admit,
        requests: AsyncIterator[Message],
        request_type: type[Message],
        call: Call,
        context: Any,
        is_stream_of_requests: bool,
    ) -> Outcome:
        """Return the response or the error of the call. Raises nothing but CancelledError."""
        messages = self._messages(requests)
        try:
            if self._places < 0:
                raise Unavailable
            authorization = call.metadata.get("authorization")
            # In a thread, because an issuer's public keys may have to be fetched.
            call.caller = await asyncio.to_thread(self._verifier.caller, authorization)
            method.check_access(call.caller, call.peer)
            with admit(call):
                first = await anext(messages, None)
                if first is None:
                    first = request_type()
                validation.check(first, method.path_fields)
                require_time_to_begin(call)
                if is_stream_of_requests:
                    return await respond(_chain(first, messages), call, context), None
                await messages.aclose()
                return await respond(first, call, context), None
        except Exception as error:
            return None, to_marketplace_error(error, call.log)

    async def _observed(self, observer: CallObserver, handling: Coroutine[Any, Any, Outcome]) -> Outcome:
        try:
            response, error = await handling
        except asyncio.CancelledError:
            observer.finish("CANCELLED")
            raise
        observer.finish(error.code if error else "OK")
        return response, error

    def _sending(self, handler: Handler) -> Respond:
        async def respond(request: Any, call: Call, context: Any) -> None:
            is_first = True
            async with aclosing(handler(request, call)) as responses:
                async for response in responses:
                    await self._send(response, context, call.headers if is_first else {})
                    is_first = False

        return respond

    async def _send(self, response: Message, context: Any, headers: Mapping[str, str]) -> None:
        """Send a response of a stream, after these headers. Raises Unavailable when the client takes it too slowly."""
        try:
            async with asyncio.timeout(self._send_seconds):
                if headers:
                    await context.send_initial_metadata(tuple(headers.items()))
                await context.write(response)
        except TimeoutError as error:
            raise Unavailable from error
        except grpc.aio.BaseError as error:
            # The client has gone, and the task will be cancelled in a moment.
            raise asyncio.CancelledError from error

    async def _messages(self, requests: AsyncIterator[Message]) -> AsyncGenerator[Message, None]:
        """Yield the client's messages. Raises DeadlineExceeded when a pause, or all of it, takes too long."""
        end = time.monotonic() + self._longest_seconds
        while True:
            try:
                async with asyncio.timeout(min(self._idle_seconds, end - time.monotonic())):
                    message = await anext(requests, None)
            except TimeoutError as error:
                raise DeadlineExceeded from error
            if message is None:
                # A call that is cut off ends its messages as well, a moment before its task is cancelled.
                await asyncio.sleep(CUT_OFF_SECONDS)
                return
            yield message


def _returning(handler: Handler) -> Respond:
    async def respond(request: Any, call: Call, _: Any) -> Message:
        response: Message = await handler(request, call)
        return response

    return respond


def _admit_all(_: Call) -> AbstractContextManager[None]:
    return nullcontext()


async def _chain(first: Message, others: AsyncIterator[Message]) -> AsyncIterator[Message]:
    yield first
    async for message in others:
        yield message


class RequestStreams:
    """A server to which generated code adds servicers whose methods take their requests as a stream.

    gRPC waits for a single request itself, without an end, and calls the handler when it is there. As the handler of a
    stream of requests, the pipeline bounds that wait, and checks the caller first.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Do nothing: generated code gives the same handlers by their names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the handlers of a service."""
        added = {name: _taking_a_stream(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, added),))


def _taking_a_stream(handler: Any) -> Any:
    coders = (handler.request_deserializer, handler.response_serializer)
    if handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(handler.unary_stream or handler.stream_stream, *coders)
    return grpc.stream_unary_rpc_method_handler(handler.unary_unary or handler.stream_unary, *coders)


def run_aio(
    settings: ServiceSettings, database_url: str, migrations: Path, build: Callable[[Database], ServiceSpec]
) -> None:
    """Do what `servicekit.server.run` does, for a servicer on `grpc.aio`."""
    stop = StopRequest()
    database = prepare(settings, database_url, migrations, stop)
    if database is not None:
        erased_users = ErasedUsers(database)
        erased_users.load_when_reachable(stop)
        asyncio.run(_run(settings, build(database), erased_users, stop))


async def _run(
    settings: ServiceSettings, spec: ServiceSpec, erased_users: ErasedUsers, stop_request: StopRequest
) -> None:
    loop = asyncio.get_running_loop()
    # Also the number of database connections: each thread has one.
    loop.set_default_executor(ThreadPoolExecutor(settings.rpc_threads, thread_name_prefix="blocking"))
    stop = asyncio.Event()

    def receive(number: int) -> None:
        stop_request.receive(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive, number)
    if stop_request.is_set():
        return
    log = structlog.get_logger()
    # The pipeline bounds the calls. gRPC's own bound would count the streams of tools, and refuse health checks.
    server = grpc.aio.server(options=[*server_options(settings), *AIO_OPTIONS])
    pipeline = AioPipeline(
        verifier_for(settings, erased_users), places=settings.max_concurrent_rpcs, peers=peers_of(settings)
    )
    for service in spec.services:
        service.register(pipeline.around(service.servicer, service.descriptor), RequestStreams(server))
    health = Health(*spec.names)
    health.add_to_aio(server)
    if settings.grpc_tools == "on":
        tools.add_to_aio(server, *spec.names)
    try:
        add_port(server, settings)
        probed = probes.serve(settings.probe_listen, health)
    except RuntimeError:
        fail_to_listen(settings)
    serve_metrics(settings)
    background = [*spec.background, erased_users.task()]
    for task in background:
        task.start()
    await server.start()
    health.serve()
    log.info("serving", listen=settings.listen)
    await stop.wait()
    log.info("draining")
    # First become unhealthy, so that no new calls come; then finish the current ones.
    health.drain()
    for seconds in waits_until_known(health, pipeline.last_call, are_calls_over=stop_request.is_last):
        await asyncio.sleep(seconds)
    health.end()
    if spec.end_waiting_calls is not None:
        spec.end_waiting_calls()
    await server.stop(settings.shutdown_grace_seconds)
    for task in background:
        await asyncio.to_thread(task.stop)
    await asyncio.to_thread(probes.stop, probed)
    await asyncio.to_thread(spans().stop)
    log.info("stopped")
