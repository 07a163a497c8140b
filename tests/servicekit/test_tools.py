"""Reflection and channelz, on servers of grpc and of grpc.aio: bounded, and with an end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from deploy.local.settings import StackSettings
from marketplace.review.v1 import review_pb2
from servicekit import tools
from servicekit.call_pool import CallPool
from servicekit.settings import ServiceSettings

SERVICE = review_pb2.DESCRIPTOR.services_by_name["ReviewService"].full_name


@contextmanager
def serving() -> Iterator[str]:
    """Serve the tools on a server of grpc. Yields its address."""
    server = grpc.server(CallPool(1, 10, "rpc"), options=[("grpc.enable_channelz", 1)])
    tools.add_to(server, SERVICE)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@contextmanager
def serving_aio() -> Iterator[str]:
    """Serve the tools on a server of grpc.aio, in a thread. Yields its address."""
    ready = threading.Event()
    ports: list[int] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        server = grpc.aio.server(options=[("grpc.enable_channelz", 1)])
        tools.add_to_aio(server, SERVICE)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        ready.set()
        await stop.wait()
        await server.stop(None)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    yield f"127.0.0.1:{ports[0]}"
    loop, stop = stops[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)


@pytest.fixture(params=[serving, serving_aio])
def channel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[grpc.Channel]:
    """Yield a channel to a server with tools, whose streams of reflection end after a second."""
    monkeypatch.setattr(tools, "STREAM_SECONDS", 1.0)
    with request.param() as address, grpc.insecure_channel(address) as channel:
        yield channel


def open_stream(channel: grpc.Channel, *requests: Any) -> Any:
    """Open a stream of reflection that stays open after its requests."""

    def send() -> Iterator[Any]:
        yield from requests
        threading.Event().wait(20)

    return reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(send(), timeout=20)


def listing() -> Any:
    return reflection_pb2.ServerReflectionRequest(list_services="")


def ending(stream: Any) -> grpc.StatusCode:
    """Read a stream to its end. Returns its status."""
    with pytest.raises(grpc.RpcError) as ended:
        list(stream)
    code: grpc.StatusCode = ended.value.code()
    return code


def test_reflection_lists_the_service_and_the_tools(channel: grpc.Channel) -> None:
    answer = next(open_stream(channel, listing()))

    names = {service.name for service in answer.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz"} < names


def test_a_stream_of_reflection_that_stays_open_ends_and_gives_its_place_back(channel: grpc.Channel) -> None:
    held = [open_stream(channel, listing()) for _ in range(tools.MAX_STREAMS)]
    for stream in held:
        next(stream)

    assert ending(open_stream(channel)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert {ending(stream) for stream in held} == {grpc.StatusCode.CANCELLED}
    assert next(open_stream(channel, listing()))


def test_channelz_answers(channel: grpc.Channel) -> None:
    stub = channelz_pb2_grpc.ChannelzStub(channel)

    assert len(stub.GetServers(channelz_pb2.GetServersRequest(), timeout=10).server) >= 1


def test_tools_are_off_unless_a_setting_switches_them_on() -> None:
    assert ServiceSettings.model_fields["grpc_tools"].default == "off"
    assert StackSettings.model_fields["grpc_tools"].default == "on"
