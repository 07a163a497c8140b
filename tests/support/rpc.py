"""Servicers without a network: a handler in its pipeline, called through grpcio-testing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc_testing
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from servicekit.pipeline import Pipeline
from servicekit.status import EDGE_BODY_KEY, EDGE_STATUS_KEY
from tests.support.identity import verifier


@dataclass(frozen=True)
class Answer:
    """What a call came to."""

    response: Any
    code: grpc.StatusCode
    message: str
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str | bytes] = field(default_factory=dict)

    @property
    def http_status(self) -> int:
        """What the edge will answer for an error."""
        return int(self.headers[EDGE_STATUS_KEY])

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that the edge will answer for an error."""
        body: dict[str, Any] = json.loads(self.headers[EDGE_BODY_KEY])
        return body

    @property
    def error(self) -> str:
        """The code of the catalogue; empty on success."""
        return "" if self.code is grpc.StatusCode.OK else str(self.body["code"])


class Rpc:
    """Calls a servicer's methods as gRPC would, pipeline included."""

    def __init__(self, servicer: object, service: ServiceDescriptor) -> None:
        served = Pipeline(verifier()).around(servicer, service)
        self._service = service
        self._server = grpc_testing.server_from_dictionary({service: served}, grpc_testing.strict_real_time())

    def call(
        self, method: str, request: Message, token: str | None = None, seconds: float | None = None, **metadata: str
    ) -> Answer:
        """Calls a method; `if_match="…"` and the like become metadata with dashes."""
        sent = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        if token is not None:
            sent.append(("authorization", f"Bearer {token}"))
        rpc = self._server.invoke_unary_unary(self._service.methods_by_name[method], sent, request, seconds)
        response, trailers, code, message = rpc.termination()
        return Answer(response, code, message, dict(rpc.initial_metadata() or ()), dict(trailers or ()))
