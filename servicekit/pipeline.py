"""What surrounds every handler, written once: identity, access, validation, errors, logs, metrics.

`Pipeline.around` takes a servicer whose methods read `(request, call)` and gives one for gRPC, whose methods read
`(request, context)`. It is a plain wrapper, not an interceptor: an interceptor's body runs on the server's one thread
under its lock, and `grpcio-testing` knows no interceptors.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from servicekit import metrics, status, validation
from servicekit.call import Call, current_call
from servicekit.errors import MarketplaceError
from servicekit.identity import Verifier
from servicekit.ids import new_id
from servicekit.methods import Method

Handler = Callable[[Any, Call], Message]

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A call without a deadline reports one that lies centuries ahead.
NO_DEADLINE_SECONDS = 1_000_000


class Pipeline:
    """Wraps servicers. One serves a whole process."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def around(self, servicer: object, service: ServiceDescriptor) -> Any:
        """The servicer for gRPC. Raises ValueError when an RPC lacks a handler or does not say who may call it."""
        methods = {}
        for descriptor in service.methods:
            handler = getattr(servicer, descriptor.name, None)
            if handler is None:
                raise ValueError(f"{type(servicer).__name__} has no handler for {descriptor.full_name}")
            methods[descriptor.name] = staticmethod(self._wrap(Method.of(descriptor), handler, service.full_name))
        return type(f"Served{type(servicer).__name__}", (), methods)()

    def _wrap(self, method: Method, handler: Handler, service: str) -> Callable[[Message, grpc.ServicerContext], Any]:
        def serve(request: Message, context: grpc.ServicerContext) -> Message:
            started = time.perf_counter()
            call = _call_of(context)
            log = call.log.bind(method=method.name, service=service)
            token = current_call.set(call)
            try:
                response, failure = self._handle(method, handler, request, call, log)
            finally:
                current_call.reset(token)
            seconds = time.perf_counter() - started
            code = failure.code if failure else "OK"
            metrics.observe(method.name, code, seconds)
            user = str(call.caller.id) if call.caller.id else None
            log.info("call", code=code, ms=round(seconds * 1000, 2), user=user)
            if failure:
                told = status.from_error(failure)
                context.set_trailing_metadata(told.metadata)
                context.abort(told.code, told.message)
            assert response is not None
            headers: list[tuple[str, str]] = []
            if call.etag:
                headers.append(("etag", call.etag))
            if method.location:
                headers.append(("location", method.location_of(response)))
            # After the message, as trailers: headers before it would leave the edge no second try when this worker dies
            # in between.
            context.set_trailing_metadata(tuple(headers))
            return response

        return serve

    def _handle(
        self, method: Method, handler: Handler, request: Message, call: Call, log: Any
    ) -> tuple[Message | None, MarketplaceError | None]:
        """The response, or what is told instead of it. Nothing is raised."""
        try:
            call.caller = self._verifier.caller(call.metadata.get("authorization"))
            method.admit(call.caller)
            validation.check(request, method.path_fields)
            return handler(request, call), None
        except MarketplaceError as error:
            if error.__cause__ is not None:
                log.warning("refused", code=error.code, reason=str(error.__cause__).strip())
            return None, error
        except Exception:
            log.exception("unexpected error")
            return None, MarketplaceError("INTERNAL")


def _call_of(context: grpc.ServicerContext) -> Call:
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    request_id = metadata.get("x-request-id", "")
    if not REQUEST_ID.fullmatch(request_id):
        request_id = str(new_id())
    log = structlog.get_logger().bind(request_id=request_id)
    left = context.time_remaining()
    return Call(
        metadata=metadata,
        request_id=request_id,
        deadline=None if left is None or left > NO_DEADLINE_SECONDS else time.monotonic() + left,
        log=log.bind(traceparent=metadata["traceparent"]) if "traceparent" in metadata else log,
    )
