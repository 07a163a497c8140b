"""Servicers without a network: handlers in their pipeline, called through grpcio-testing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc_testing
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from servicekit.call import Caller
from servicekit.idempotency import IdempotencyKeys
from servicekit.pipeline import Pipeline
from servicekit.status import EDGE_BODY_KEY, EDGE_STATUS_KEY
from tests.support.identity import verifier


@dataclass(frozen=True)
class Answer:
    """The outcome of a call: its response or its error, and its trailers."""

    response: Any
    code: grpc.StatusCode
    message: str
    headers: dict[str, Any] = field(default_factory=dict)

    @property
    def http_status(self) -> int:
        """The HTTP status that the edge makes of an error."""
        return int(self.headers[EDGE_STATUS_KEY])

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body that the edge makes of an error."""
        body: dict[str, Any] = json.loads(self.headers[EDGE_BODY_KEY])
        return body

    @property
    def error(self) -> str:
        """The catalogue's code of an error; empty on success."""
        return "" if self.code is grpc.StatusCode.OK else str(self.body["code"])


class _Recording:
    """A context that keeps the trailers, which grpcio-testing drops when a call is aborted.

    `seconds` replaces the time that is left. grpcio-testing itself would end the call while the handler still runs.
    """

    def __init__(self, context: grpc.ServicerContext, seconds: float | None) -> None:
        self._context = context
        self._seconds = seconds
        self.trailing: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def time_remaining(self) -> float | None:
        return self._seconds

    def set_trailing_metadata(self, metadata: Iterable[tuple[str, Any]]) -> None:
        self.trailing = dict(metadata)


class Rpc:
    """A servicer in its pipeline, whose methods are called as gRPC calls them."""

    def __init__(
        self,
        servicer: object,
        service: ServiceDescriptor,
        idempotency_keys: IdempotencyKeys | None = None,
        note_caller: Callable[[Caller], None] | None = None,
    ) -> None:
        wrapped = Pipeline(verifier(), idempotency_keys, note_caller=note_caller).around(servicer, service)
        self._service = service
        self._context: _Recording | None = None
        self._seconds: float | None = None
        methods = {
            m.name: self._recorded(getattr(wrapped, m.name), GetMessageClass(m.output_type)) for m in service.methods
        }
        recorded = type("Recorded", (), methods)()
        self._server = grpc_testing.server_from_dictionary({service: recorded}, grpc_testing.strict_real_time())

    def _recorded(self, method: Any, response_class: type[Message]) -> Any:
        def call(request: Message, context: grpc.ServicerContext) -> Any:
            self._context = _Recording(context, self._seconds)
            response = method(request, self._context)
            return response_class.FromString(response) if isinstance(response, bytes) else response

        return staticmethod(call)

    def call(
        self, method: str, request: Message, token: str | None = None, seconds: float | None = None, **metadata: str
    ) -> Answer:
        """Call a method. `seconds` are left of its deadline; names in `metadata` get dashes: `if_match="…"`."""
        sent = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        if token is not None:
            sent.append(("authorization", f"Bearer {token}"))
        self._seconds = seconds
        rpc = self._server.invoke_unary_unary(self._service.methods_by_name[method], sent, request, None)
        response, _, code, message = rpc.termination()
        assert self._context is not None
        return Answer(response, code, message, self._context.trailing)
