"""What surrounds every handler, written once: identity, access, validation, errors, logs, metrics.

`Pipeline.around` takes a servicer whose methods read `(request, call)` and gives one for gRPC, whose methods read
`(request, context)`. It is a plain wrapper, not an interceptor: an interceptor's body runs on the server's one thread
under its lock, and `grpcio-testing` knows no interceptors.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from servicekit import metrics, status, validation
from servicekit.call import Call, IdempotencyClaim, current_call
from servicekit.errors import MarketplaceError
from servicekit.idempotency import IdempotencyKeys, binds_its_key
from servicekit.identity import Verifier
from servicekit.ids import new_id
from servicekit.methods import Method

Handler = Callable[[Any, Call], Message]

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A call without a deadline reports one that lies centuries ahead.
NO_DEADLINE_SECONDS = 1_000_000


class CallObserver:
    """Times one call, and tells what became of it: in a log line and in the metrics."""

    def __init__(self, method: Method, call: Call) -> None:
        self.call = call
        self._method = method
        self._started = time.perf_counter()

    def over(self, code: str) -> None:
        """`code` is one of the catalogue, `OK`, or `CANCELLED` when nobody waits for an answer any more."""
        seconds = time.perf_counter() - self._started
        metrics.observe(self._method.name, code, seconds)
        user = str(self.call.caller.id) if self.call.caller.id else None
        self.call.log.info("call", code=code, ms=round(seconds * 1000, 2), user=user)


def wrapped(servicer: object, service: ServiceDescriptor, wrap: Callable[[Method, Any, dict[str, str]], Any]) -> Any:
    """The servicer for gRPC, each handler wrapped, given its method and the names for its log lines.

    Raises ValueError when an RPC lacks a handler or does not say who may call it.
    """
    methods = {}
    for descriptor in service.methods:
        handler = getattr(servicer, descriptor.name, None)
        if handler is None:
            raise ValueError(f"{type(servicer).__name__} has no handler for {descriptor.full_name}")
        names = {"method": descriptor.name, "service": service.full_name}
        methods[descriptor.name] = staticmethod(wrap(Method.of(descriptor), handler, names))
    return type(f"Wrapped{type(servicer).__name__}", (), methods)()


def failure_of(error: Exception, log: Any) -> MarketplaceError:
    """What is told instead of a response. What is behind it is for the log alone."""
    if not isinstance(error, MarketplaceError):
        log.error("unexpected error", exc_info=error)
        return MarketplaceError("INTERNAL")
    if error.__cause__ is not None:
        log.warning("refused", code=error.code, reason=str(error.__cause__).strip())
    return error


def trailers(method: Method, call: Call, response: Message) -> tuple[tuple[str, str], ...]:
    """What is said beside a response.

    After the message, as trailers: headers before it would leave the edge no second try when this worker dies in
    between.
    """
    said: list[tuple[str, str]] = []
    if call.etag:
        said.append(("etag", call.etag))
    if method.location:
        said.append(("location", method.location_of(response)))
    return tuple(said)


class Pipeline:
    """Wraps servicers. One serves a whole process. Without `keys` idempotency keys say nothing."""

    def __init__(self, verifier: Verifier, keys: IdempotencyKeys | None = None) -> None:
        self._verifier = verifier
        self._keys = keys

    def around(self, servicer: object, service: ServiceDescriptor) -> Any:
        """The servicer for gRPC. Raises ValueError when an RPC lacks a handler or does not say who may call it."""
        return wrapped(servicer, service, self._wrap)

    def _wrap(
        self, method: Method, handler: Handler, names: Mapping[str, str]
    ) -> Callable[[Message, grpc.ServicerContext], Any]:
        def serve(request: Message, context: grpc.ServicerContext) -> Message:
            watch = CallObserver(method, call_of(context, names))
            token = current_call.set(watch.call)
            try:
                response, failure = self._handle(method, handler, request, watch.call)
            finally:
                current_call.reset(token)
            watch.over(failure.code if failure else "OK")
            if failure:
                told = status.from_error(failure)
                context.set_trailing_metadata(told.metadata)
                context.abort(told.code, told.message)
            assert response is not None
            context.set_trailing_metadata(trailers(method, watch.call, response))
            return response

        return serve

    def _handle(
        self, method: Method, handler: Handler, request: Message, call: Call
    ) -> tuple[Message | None, MarketplaceError | None]:
        """The response, or what is told instead of it. Nothing is raised."""
        try:
            call.caller = self._verifier.caller(call.metadata.get("authorization"))
            method.admit(call.caller)
            validation.check(request, method.path_fields)
            return self._answer(method, handler, request, call), None
        except Exception as error:
            return None, failure_of(error, call.log)

    def _answer(self, method: Method, handler: Handler, request: Message, call: Call) -> Message:
        """What the handler answers, or has answered to the same idempotency key before."""
        claim = self._keys.claim(method, request, call) if self._keys else None
        if claim is None or self._keys is None:
            return handler(request, call)
        answer = self._keys.answered(claim, method.response)
        if isinstance(answer, IdempotencyClaim):
            if binds_its_key(handler):
                call.claim = answer
                return handler(request, call)
            answer = self._keys.once(claim, call, method.response, lambda: handler(request, call))
        call.etag = answer.etag or None
        return answer.response


def call_of(context: Any, names: Mapping[str, str]) -> Call:
    """The call of a context of grpc or grpc.aio. `names` stand in its every log line."""
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    request_id = metadata.get("x-request-id", "")
    if not REQUEST_ID.fullmatch(request_id):
        request_id = str(new_id())
    log = structlog.get_logger().bind(request_id=request_id, **names)
    left = context.time_remaining()
    return Call(
        metadata=metadata,
        request_id=request_id,
        deadline=None if left is None or left > NO_DEADLINE_SECONDS else time.monotonic() + left,
        log=log.bind(traceparent=metadata["traceparent"]) if "traceparent" in metadata else log,
    )
