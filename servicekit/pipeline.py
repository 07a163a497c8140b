"""The pipeline around every handler: identity, access, validation, idempotency, deadlines, errors, logs, metrics.

`Pipeline.around` takes a servicer whose methods are called with `(request, call)`, and returns one for gRPC, whose
methods are called with `(request, context)`. It is a plain wrapper, not an interceptor: gRPC runs an interceptor on the
server's single thread, under the server's lock, and `grpcio-testing` does not support interceptors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from servicekit import logs, metadata, metrics, validation
from servicekit.call import Call, Caller, IdempotencyClaim, current_call, require_time_to_begin
from servicekit.errors import MarketplaceError, OutcomeUnknown
from servicekit.idempotency import HEADER, IdempotencyKeys, IdempotencyKeyTaken, StoredResponse, is_binding_handler
from servicekit.identity import Verifier
from servicekit.internal_tls import Peers
from servicekit.logs import describe
from servicekit.methods import Method
from servicekit.outside import OutsidePool, is_outside_handler, refuse_without_place
from servicekit.spans import spans
from servicekit.status import status_from_error

# Bytes are a response that is serialized already. An RPC whose response is read here, for its `Location` or for an
# idempotency key, returns a message.
Response = Message | bytes
Handler = Callable[[Any, Call], Response]

# For a call without a deadline gRPC reports one that is centuries ahead.
NO_DEADLINE_SECONDS = 1_000_000
# The deadline of a call that has none, or a later one.
LONGEST_SECONDS = 30.0


class LastCall:
    """When the last call of a process came."""

    def __init__(self) -> None:
        self._at = float("-inf")

    def note(self) -> None:
        """Note that a call comes."""
        self._at = time.monotonic()

    def seconds_ago(self) -> float:
        """Return the seconds since the last call; infinity before the first one."""
        return time.monotonic() - self._at


class CallObserver:
    """Times one call, logs it and counts it."""

    def __init__(self, method: Method, call: Call) -> None:
        self.call = call
        self._method = method
        self._started = time.perf_counter()

    def finish(self, code: str) -> None:
        """Log and count the call. `code` is one of the catalogue, `OK`, or `CANCELLED` when the client has gone."""
        seconds = time.perf_counter() - self._started
        metrics.observe(self._method.name, code, seconds)
        user = str(self.call.caller.id) if self.call.caller.id else None
        logs.log_call(self.call.log_fields, code, round(seconds * 1000, 2), user)


def wrap_servicer(
    servicer: object, service: ServiceDescriptor, wrap: Callable[[Method, Any, dict[str, str]], Any]
) -> Any:
    """Return the servicer for gRPC, each handler wrapped. `wrap` gets the method, the handler and its log fields.

    Raises ValueError when an RPC has no handler, does not say who may call it, or has a request without bounds.
    """
    methods = {}
    for descriptor in service.methods:
        handler = getattr(servicer, descriptor.name, None)
        if handler is None:
            raise ValueError(f"{type(servicer).__name__} has no handler for {descriptor.full_name}")
        validation.require_bounds(descriptor.input_type)
        log_fields = {"method": descriptor.name, "service": service.full_name}
        methods[descriptor.name] = staticmethod(wrap(Method.of(descriptor), handler, log_fields))
    return type(f"Wrapped{type(servicer).__name__}", (), methods)()


def to_marketplace_error(error: Exception, log: Any) -> MarketplaceError:
    """Return the error to send to the caller, and log its cause, which the caller must not see.

    The error is without tracebacks: their frames refer to the request and, in a circle, to the error. The request's
    memory would stay until the garbage collector finds that circle.
    """
    if not isinstance(error, MarketplaceError):
        log.error("unexpected error", exc_info=error)
        return MarketplaceError("INTERNAL")
    if error.__cause__ is not None:
        log.warning("refused", code=error.code, reason=describe(error.__cause__))
    linked: BaseException | None = error
    while linked is not None:
        linked.__traceback__ = None
        linked = linked.__cause__ or linked.__context__
    return error


def success_trailers(method: Method, call: Call, response: Response) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a successful response: `etag` and `location`.

    They are trailers, after the message: once headers are sent, the edge cannot retry a call whose worker dies.
    """
    trailers: list[tuple[str, str]] = []
    if call.etag:
        trailers.append(("etag", call.etag))
    if method.location:
        trailers.append(("location", method.location_of(_message(response))))
    return tuple(trailers)


class Pipeline:
    """Wraps the servicers of a process. Without `idempotency_keys`, the keys of requests are ignored.

    `peers` names the client of a call; without it nobody has a certificate. `note_caller` gets the caller of each call,
    before anything else of it, and does nothing twice. Handlers that are marked with `calls_outside` run in the threads
    of `outside_pool`, when there is one.
    """

    def __init__(
        self,
        verifier: Verifier,
        idempotency_keys: IdempotencyKeys | None = None,
        outside_pool: OutsidePool | None = None,
        peers: Peers | None = None,
        note_caller: Callable[[Caller], None] | None = None,
    ) -> None:
        self.last_call = LastCall()
        self._peers = peers
        self._note_caller = note_caller
        self._verifier = verifier
        self._idempotency_keys = idempotency_keys
        self._outside_pool = outside_pool

    def around(self, servicer: object, service: ServiceDescriptor) -> Any:
        """Return the servicer for gRPC.

        Raises ValueError when an RPC has no handler or does not say who may call it.
        """
        return wrap_servicer(servicer, service, self._wrap)

    def _wrap(
        self, method: Method, handler: Handler, log_fields: Mapping[str, str]
    ) -> Callable[[Message, grpc.ServicerContext], Any]:
        def serve(request: Message, context: grpc.ServicerContext) -> Response:
            self.last_call.note()
            call = call_from_context(context, log_fields, self._peers)
            longest = time.monotonic() + LONGEST_SECONDS
            call.deadline = longest if call.deadline is None else min(call.deadline, longest)
            observer = CallObserver(method, call)
            token = current_call.set(observer.call)
            try:
                response, error = self._handle(method, handler, request, observer.call)
            finally:
                current_call.reset(token)
            observer.finish(error.code if error else "OK")
            if error:
                status = status_from_error(error, may_repeat=self._may_repeat(method, observer.call))
                context.set_trailing_metadata(status.metadata)
                context.abort(status.code, status.message)
            assert response is not None
            context.set_trailing_metadata(success_trailers(method, observer.call, response))
            return response

        if self._outside_pool is not None and is_outside_handler(handler):
            # An attribute that gRPC reads: it runs the method in this pool instead of the server's.
            serve.experimental_thread_pool = self._outside_pool  # type: ignore[attr-defined]
        return spans().around(f"{log_fields['service']}/{method.name}", serve)

    def _may_repeat(self, method: Method, call: Call) -> bool:
        """Return whether another run does nothing twice: the call has written nothing, or has an idempotency key."""
        if not call.may_have_written:
            return True
        return self._idempotency_keys is not None and method.takes_idempotency_key and HEADER in call.metadata

    def _handle(
        self, method: Method, handler: Handler, request: Message, call: Call
    ) -> tuple[Response | None, MarketplaceError | None]:
        """Return the response or the error of the call. Raises nothing."""
        try:
            refuse_without_place(handler)
            call.caller = self._verifier.caller(call.metadata.get("authorization"))
            method.check_access(call.caller, call.peer)
            self._note(call)
            call.reads_standby = method.is_get and call.caller.is_anonymous
            validation.check(request, method.path_fields)
            with self._place_outside(handler, call.caller):
                return self._respond(method, handler, request, call), None
        except Exception as error:
            return None, to_marketplace_error(error, call.log)

    def _place_outside(self, handler: Handler, caller: Caller) -> AbstractContextManager[None]:
        if self._outside_pool is None or not is_outside_handler(handler):
            return nullcontext()
        return self._outside_pool.user_place(caller)

    def _note(self, call: Call) -> None:
        if self._note_caller is not None:
            self._note_caller(call.caller)
            # Another run of the call notes the same.
            call.may_have_written = False

    def _respond(self, method: Method, handler: Handler, request: Message, call: Call) -> Response:
        """Return the handler's response, or the stored one of the request's idempotency key."""
        claim = self._idempotency_keys.read_claim(method, request, call) if self._idempotency_keys else None
        if claim is None or self._idempotency_keys is None:
            return _run(handler, request, call)
        found = self._idempotency_keys.find(claim, method.response)
        if isinstance(found, IdempotencyClaim):
            found = _run_once(self._idempotency_keys, found, method, handler, request, call)
        call.etag = found.etag or None
        return found.response


def _run_once(
    idempotency_keys: IdempotencyKeys,
    claim: IdempotencyClaim,
    method: Method,
    handler: Handler,
    request: Message,
    call: Call,
) -> StoredResponse:
    """Run the handler of a keyed call, or return the response of a concurrent call that was faster."""
    if not is_binding_handler(handler):
        return idempotency_keys.run_once(claim, call, method.response, lambda: _message(_run(handler, request, call)))
    call.idempotency_claim = claim
    try:
        return StoredResponse(_message(_run(handler, request, call)), call.etag or "")
    except IdempotencyKeyTaken:
        found = idempotency_keys.find(claim, method.response)
        if not isinstance(found, IdempotencyClaim):
            return found
        if found.attempt_id is None:
            raise
        # The other call's work is not finished yet.
        raise OutcomeUnknown from None


def _run(handler: Handler, request: Message, call: Call) -> Response:
    require_time_to_begin(call)
    return handler(request, call)


def _message(response: Response) -> Message:
    if isinstance(response, bytes):
        raise TypeError("an RPC whose response is read must return a message")
    return response


def call_from_context(context: Any, log_fields: Mapping[str, str], peers: Peers | None = None) -> Call:
    """Return the call of a context of grpc or grpc.aio. Every log line of the call contains `log_fields`."""
    known = metadata.parse(context.invocation_metadata() or ())
    fields = {"request_id": known[metadata.REQUEST_ID], **log_fields}
    if "traceparent" in known:
        fields["traceparent"] = known["traceparent"]
    seconds = context.time_remaining()
    return Call(
        metadata=known,
        request_id=known[metadata.REQUEST_ID],
        deadline=None if seconds is None or seconds > NO_DEADLINE_SECONDS else time.monotonic() + seconds,
        log_fields=fields,
        peer=peers(context) if peers else None,
    )
