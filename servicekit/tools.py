"""Reflection and channelz, for debugging with grpcurl: with `GRPC_TOOLS=on`, in few threads of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
from grpc_channelz.v1 import channelz, channelz_pb2, channelz_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from servicekit import health
from servicekit.call_pool import CallPool, StreamPool, in_pool, stream_in_pool

# Streams of reflection at once, and the longest time that one stays open.
MAX_STREAMS = 4
STREAM_SECONDS = 30.0
# Calls of channelz at once: they are answered one after the other.
MAX_CALLS = 8

REFUSAL = (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams of reflection")

_CHANNELZ = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]


def add_to(server: grpc.Server, *services: str) -> None:
    """Add reflection of services, and channelz, to a server of grpc."""
    streams = StreamPool(MAX_STREAMS, "reflection", *REFUSAL)
    calls = CallPool(1, MAX_CALLS, "channelz")
    tools = channelz.ChannelzServicer()  # type: ignore[attr-defined]  # missing in its types
    handlers = {method.name: in_pool(getattr(tools, method.name), calls) for method in _CHANNELZ.methods}
    channelz_pb2_grpc.add_ChannelzServicer_to_server(SimpleNamespace(**handlers), server)
    reflect = stream_in_pool(_with_end(_reflection(services, reflection.ReflectionServicer)), streams)
    servicer = SimpleNamespace(ServerReflectionInfo=reflect)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)


def add_to_aio(server: grpc.aio.Server, *services: str) -> None:
    """Add reflection of services, and channelz, to a server of grpc.aio."""
    channelz.add_channelz_servicer(server)  # type: ignore[arg-type]  # missing in its types
    servicer_class = reflection.aio.ReflectionServicer  # type: ignore[attr-defined]  # missing in its types
    reflect = _with_end_aio(_reflection(services, servicer_class))
    servicer = SimpleNamespace(ServerReflectionInfo=reflect)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)


def _reflection(services: tuple[str, ...], servicer: Callable[[tuple[str, ...]], Any]) -> Callable[..., Any]:
    names = (*services, health.SERVICE_NAME, _CHANNELZ.full_name, reflection.SERVICE_NAME)
    reflect: Callable[..., Any] = servicer(names).ServerReflectionInfo
    return reflect


def _with_end(reflect: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def serve(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        end = threading.Timer(STREAM_SECONDS, context.cancel)
        end.daemon = True
        end.start()
        context.add_callback(end.cancel)
        return reflect(requests, context)

    return serve


def _with_end_aio(reflect: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    places = asyncio.Semaphore(MAX_STREAMS)

    async def serve(requests: Any, context: Any) -> AsyncIterator[Any]:
        if places.locked():
            await context.abort(*REFUSAL)
        try:
            async with places, asyncio.timeout(STREAM_SECONDS):
                async for response in reflect(requests, context):
                    yield response
        except TimeoutError:
            await context.abort(grpc.StatusCode.CANCELLED, "the time of a stream of reflection is over")

    return serve
