"""Clients of the workers' own ports that open streams and calls, and leave them open."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import h2.settings
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support.workers import Worker

# Starts one call of a channel.
Open = Callable[[grpc.aio.Channel], Any]

SEARCH = "/marketplace.gig.v1.GigService/SearchGigs"
FIRST = {
    "gig": SEARCH,
    "order": "/marketplace.order.v1.OrderService/ListOrders",
    "review": "/marketplace.review.v1.ReviewService/ListReviews",
}


def reflection_stream(channel: grpc.aio.Channel) -> Any:
    """Open a stream of reflection that sends nothing."""
    return reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()


def watch(channel: grpc.aio.Channel) -> Any:
    """Open a watch of the worker's health."""
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())


def without_request(method: str) -> Open:
    """Return the opening of a call that never sends its request."""

    def open_one(channel: Any) -> Any:
        return channel.stream_unary(method)()

    return open_one


def channelz(channel: grpc.aio.Channel) -> Any:
    """Ask for the servers of the process."""
    return channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest())


@asynccontextmanager
async def held_open(worker: Worker, open_one: Open, count: int, per_channel: int = 100) -> AsyncIterator[list[Any]]:
    """Open so many calls of one process and hold them during the block. Yields the calls."""
    channels: list[Any] = []
    calls: list[Any] = []
    try:
        for number in range(count):
            if number % per_channel == 0:
                channels.append(worker.aio_channel())
            call = open_one(channels[-1])
            calls.append(call)
        # All of them arrive meanwhile.
        await asyncio.sleep(0.5)
        yield calls
    finally:
        for call in calls:
            call.cancel()
        for channel in channels:
            await channel.close()


async def codes(calls: list[Any]) -> Counter[str]:
    """Return the number of calls by status; `open` for those that have none."""
    found: Counter[str] = Counter()
    for call in calls:
        found[(await call.code()).name if call.done() else "open"] += 1
    return found


async def refused(calls: list[Any], count: int, seconds: float = 20) -> None:
    """Wait until so many of the calls have ended, at most some seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while sum(call.done() for call in calls) < count:
                await asyncio.sleep(0.1)


def check_health(worker: Worker, seconds: float = 2) -> int:
    """Return the status of a health check like Envoy's. Raises grpc.RpcError."""
    with worker.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        return int(answer.status)


def reflect(worker: Worker) -> list[str]:
    """Return the names of the services that reflection lists. Raises grpc.RpcError."""
    with worker.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=10)
        return [service.name for service in answer.list_services_response.service]


class SlowReader:
    """A client of HTTP/2 whose windows are 0: it reads headers and no message."""

    def __init__(self, worker: Worker) -> None:
        self.socket = worker.connect()
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._connection.initiate_connection()
        self._connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        self._send()

    def call(self, method: str, request: bytes) -> None:
        """Send a unary call."""
        stream = self._connection.get_next_available_stream_id()
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": "worker",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        self._connection.send_headers(stream, list(headers.items()))
        message = b"\x00" + len(request).to_bytes(4, "big") + request
        self._connection.send_data(stream, message, end_stream=True)
        self._send()

    def ended(self, count: int) -> int:
        """Return the number of calls that the server has ended, once there are so many, or when nothing comes."""
        found = 0
        with contextlib.suppress(TimeoutError):
            while found < count and (received := self.socket.recv(65536)):
                events = self._connection.receive_data(received)
                found += sum(isinstance(event, h2.events.StreamEnded | h2.events.StreamReset) for event in events)
                self._send()
        return found

    def _send(self) -> None:
        self.socket.sendall(self._connection.data_to_send())

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self.socket.close()


def slow_readers(worker: Worker, method: str, request: bytes, connections: int, calls: int) -> Iterator[SlowReader]:
    """Yield connected clients that have each made so many calls."""
    for _ in range(connections):
        reader = SlowReader(worker)
        for _ in range(calls):
            reader.call(method, request)
        yield reader
