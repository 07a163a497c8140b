"""Asynchronous servicers on a real `grpc.aio` server, in a thread beside the test that calls them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from servicekit.aio import AioPipeline, RequestStreams
from servicekit.health import Health
from servicekit.internal_tls import InternalTls, server_credentials
from servicekit.server import Background, Service
from tests.support.rpc import Answer


class AioServer:
    """A server on a port of its own, which runs while its `with` block does."""

    def __init__(
        self,
        servicer: object,
        service: ServiceDescriptor,
        register: Callable[[Any, Any], None],
        pipeline: AioPipeline,
        background: Sequence[Background] = (),
        tls: InternalTls | None = None,
        others: Sequence[Service] = (),
    ) -> None:
        self._tls = tls
        self._servicer = servicer
        self._service = service
        self._register = register
        self._pipeline = pipeline
        self._background = background
        self._others = others
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.port = 0

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = grpc.aio.server()
        self._register(self._pipeline.around(self._servicer, self._service), RequestStreams(server))
        for each in self._others:
            each.register(self._pipeline.around(each.servicer, each.descriptor), RequestStreams(server))
        health = Health()
        health.add_to_aio(server)
        health.serve()
        self.port = (
            server.add_secure_port("127.0.0.1:0", server_credentials(self._tls))
            if self._tls
            else server.add_insecure_port("127.0.0.1:0")
        )
        for task in self._background:
            task.start()
        await server.start()
        self._ready.set()
        await self._stop.wait()
        health.end()
        await server.stop(None)
        for task in self._background:
            await asyncio.to_thread(task.stop)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def channel(self) -> grpc.Channel:
        """Return a new channel to the server."""
        return grpc.insecure_channel(f"127.0.0.1:{self.port}")


def stream_in(
    rpc: Any, requests: Iterable[Any], token: str | None = None, seconds: float = 30, **metadata: Any
) -> Answer:
    """Call a stub's method with a stream of requests; names in `metadata` get dashes: `if_match="…"`."""
    sent = [(key.replace("_", "-"), value) for key, value in metadata.items()]
    if token is not None:
        sent.append(("authorization", f"Bearer {token}"))
    try:
        response, call = rpc.with_call(iter(requests), timeout=seconds, metadata=sent)
    except grpc.RpcError as error:
        return Answer(None, error.code(), error.details() or "", _trailers(error))
    return Answer(response, grpc.StatusCode.OK, "", _trailers(call))


def _trailers(call: Any) -> dict[str, Any]:
    return {entry.key: entry.value for entry in call.trailing_metadata() or ()}
