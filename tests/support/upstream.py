"""A gRPC server behind the edge, for the edge's own tests: a test sets its responses and reads the received calls.

It serves every RPC of the marketplace, like the services. As a program (`python -m
tests.support.upstream PORT NAME [RPC]`) it answers each call at once, with its name in the header `etag`; a call of RPC
kills it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.api import httpbody_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from marketplace.common.v1 import options_pb2
from marketplace.gig.v1 import gig_pb2
from servicekit.internal_tls import InternalTls, server_credentials
from servicekit.server import OPTIONS
from tests.support.protos import METHODS

Handler = Callable[[Any, grpc.ServicerContext], Message]
StreamHandler = Callable[[Any, grpc.ServicerContext], Iterator[Message]]


@dataclass(frozen=True)
class AtOnce:
    """A handler of an upload that answers after the first piece."""

    handler: Handler

    def __call__(self, request: Any, context: grpc.ServicerContext) -> Message:
        return self.handler(request, context)


@dataclass(frozen=True)
class Received:
    """A received call."""

    rpc: str
    request: Any
    metadata: dict[str, str | bytes]
    seconds_left: float
    pieces: int = 1


@dataclass
class Upstream:
    """A server on a port of 127.0.0.1. `responses` has a handler or a message for an RPC, `streams` one of a stream."""

    port: int
    responses: dict[str, Handler | Message] = field(default_factory=dict)
    streams: dict[str, StreamHandler] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    max_concurrent: int | None = None
    tls: InternalTls | None = None

    def start(self) -> None:
        """Serve until `stop`."""
        pool = ThreadPoolExecutor(8)
        self._server = grpc.server(pool, options=OPTIONS, maximum_concurrent_rpcs=self.max_concurrent)
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self._server.add_generic_rpc_handlers((_EveryMethod(self),))
        address = f"127.0.0.1:{self.port}"
        if not (
            self._server.add_secure_port(address, server_credentials(self.tls))
            if self.tls
            else self._server.add_insecure_port(address)
        ):
            raise RuntimeError(f"port {self.port} is taken")
        self._server.start()

    def stop(self) -> None:
        """Stop at once; running calls are cut off."""
        self._server.stop(None).wait()

    def reset(self) -> None:
        """Remove the responses and the received calls."""
        self.responses.clear()
        self.streams.clear()
        self.received.clear()

    def last(self) -> Received:
        """Return the latest call."""
        return self.received[-1]

    def serve_upload(self, rpc: str, pieces: Iterator[Any], context: grpc.ServicerContext) -> Message:
        """Answer an upload with its whole body in one piece; after its first piece when the handler is `AtOnce`."""
        request = next(pieces)
        data = [request.file.data]
        if not isinstance(self.responses.get(rpc), AtOnce):
            data += [piece.file.data for piece in pieces]
        request.file.data = b"".join(data)
        return self.serve(rpc, request, context, len(data))

    def serve_stream(self, rpc: str, request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        """Send the messages of the stream that the test has set, else one message."""
        if rpc in self.streams:
            self._receive(rpc, request, context, 1)
            yield from self.streams[rpc](request, context)
        else:
            yield self.serve(rpc, request, context)

    def serve(self, rpc: str, request: Message, context: grpc.ServicerContext, pieces: int = 1) -> Message:
        """Answer one call as the test set it, else with an empty message."""
        self._receive(rpc, request, context, pieces)
        response = self.responses.get(rpc)
        if isinstance(response, Message):
            return response
        if response is not None:
            return response(request, context)
        return empty_response(rpc)

    def _receive(self, rpc: str, request: Message, context: grpc.ServicerContext, pieces: int) -> None:
        metadata = dict(context.invocation_metadata() or ())
        self.received.append(Received(rpc, request, metadata, context.time_remaining(), pieces))


class _EveryMethod(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = METHODS.get(details.method)
        if method is None:
            return None
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(
                lambda pieces, context: self._upstream.serve_upload(method.name, pieces, context),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self._upstream.serve_stream(method.name, request, context),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._upstream.serve(method.name, request, context),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )


def empty_response(rpc: str) -> Message:
    """Return the response message of an RPC, as one that has created something.

    A message field is set to an empty one, so that it can be unwrapped.
    """
    method = next(each for each in METHODS.values() if each.name == rpc)
    if method.output_type.full_name == httpbody_pb2.HttpBody.DESCRIPTOR.full_name:
        comment: Message = httpbody_pb2.HttpBody(content_type="text/event-stream", data=b":\n\n")
        return comment
    response = GetMessageClass(method.output_type)()
    for each in method.output_type.fields:
        if each.message_type is not None and not each.is_repeated:
            getattr(response, each.name).SetInParent()
    if created_field := method.GetOptions().Extensions[options_pb2.success].created_field:
        setattr(response, created_field, True)
    return response


def fails(
    code: grpc.StatusCode, message: str = "", headers: Iterable[tuple[str, str]] = (), *, early: bool = False
) -> Handler:
    """Return a handler that ends with a gRPC status and headers, which come before the status when they are `early`."""

    def handler(request: Message, context: grpc.ServicerContext) -> Message:
        if early:
            context.send_initial_metadata(tuple(headers))
        else:
            context.set_trailing_metadata(tuple(headers))
        context.abort(code, message)
        raise AssertionError("abort raises")

    return handler


def slow(seconds: float) -> Handler:
    """Return a handler that answers after some seconds."""

    def handler(request: Message, context: grpc.ServicerContext) -> Message:
        time.sleep(seconds)
        rpc = next(
            method.name for method in METHODS.values() if isinstance(request, GetMessageClass(method.input_type))
        )
        return empty_response(rpc)

    return handler


def returns(message: Message, *headers: tuple[str, str]) -> Handler:
    """Return a handler that answers a message and then headers, as the services send `etag` and `location`."""

    def handler(request: Message, context: grpc.ServicerContext) -> Message:
        context.set_trailing_metadata(headers)
        return message

    return handler


def _die(request: Message, context: grpc.ServicerContext) -> Message:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("the process is dead")


def _main() -> None:
    port, name, deadly = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    upstream = Upstream(port)
    upstream.responses.update(dict.fromkeys(deadly, _die))
    upstream.responses["GetGig"] = returns(gig_pb2.GetGigResponse(gig=gig_pb2.Gig(title=name)), ("etag", f'"{name}"'))
    upstream.start()
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    _main()
