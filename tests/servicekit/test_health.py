"""The health of a worker, on servers of grpc and of grpc.aio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit import clients, health, server
from servicekit.call_pool import CallPool
from servicekit.health import Health
from servicekit.pipeline import LastCall
from servicekit.server import HEALTH_INTERVAL_SECONDS, waits_until_known
from tests.support.eventually import eventually
from tests.support.rpc_floods import SlowReader
from tests.support.workers import Worker

Response = health_pb2.HealthCheckResponse
WATCH = "/grpc.health.v1.Health/Watch"


def _echo() -> Any:
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    return grpc.method_handlers_generic_handler("test.Service", {"Echo": handler})


@contextmanager
def serving(state: Health) -> Iterator[str]:
    """Serve the health on a server of grpc. Yields its address."""
    server = grpc.server(CallPool(1, 10, "rpc"))
    state.add_to(server)
    server.add_generic_rpc_handlers((_echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    state.end()
    server.stop(None).wait()


@contextmanager
def serving_aio(state: Health) -> Iterator[str]:
    """Serve the health on a server of grpc.aio, in a thread. Yields its address."""
    ready = threading.Event()
    ports: list[int] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        server = grpc.aio.server()
        state.add_to_aio(server)
        server.add_generic_rpc_handlers((_echo(),))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        ready.set()
        await stop.wait()
        state.end()
        await server.stop(None)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert ready.wait(10)
    yield f"127.0.0.1:{ports[0]}"
    loop, stop = stops[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(params=[serving, serving_aio])
def worker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Health, str]]:
    """Serve the health of a healthy worker, which three clients may watch. Yields it and the address."""
    monkeypatch.setattr(health, "MAX_WATCHERS", 3)
    state = Health("test.Service")
    state.serve()
    with request.param(state) as address:
        yield state, address


@contextmanager
def stub_of(address: str) -> Iterator[health_pb2_grpc.HealthStub]:
    # A connection of its own: otherwise gRPC uses one of before again, and the worker sees the same client.
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def check(address: str, service: str = "") -> int:
    with stub_of(address) as stub:
        return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status)


@pytest.mark.parametrize("service", ["", "test.Service"])
def test_a_worker_and_its_service_are_healthy_until_it_drains(worker: tuple[Health, str], service: str) -> None:
    state, address = worker
    before = check(address, service)

    state.drain()

    assert (before, check(address, service)) == (Response.SERVING, Response.NOT_SERVING)


def test_a_client_knows_that_a_worker_is_unhealthy_when_it_asks_again(worker: tuple[Health, str]) -> None:
    state, address = worker
    with stub_of(address) as stub:
        known = []
        stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        state.drain()
        for _ in range(2):
            known.append(state.is_known())
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)

        assert [*known, state.is_known()] == [False, False, True]


def test_a_client_that_does_not_ask_any_more_is_not_waited_for(
    worker: tuple[Health, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, address = worker
    check(address)
    state.drain()
    assert not state.is_known()

    monkeypatch.setattr(health, "CHECKER_SECONDS", 0.0)

    assert state.is_known()


def test_a_worker_that_stops_waits_until_its_clients_know_or_until_no_call_comes_any_more(
    worker: tuple[Health, str],
) -> None:
    state, address = worker
    with stub_of(address) as stub:
        stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        state.drain()
        waits = waits_until_known(state, LastCall(), are_calls_over=False)
        first, second = next(waits), next(waits)
        for _ in range(2):
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)

        assert (first, second > 0, list(waits)) == (HEALTH_INTERVAL_SECONDS, True, [])
    check(address)
    assert list(waits_until_known(state, LastCall(), are_calls_over=True)) == [HEALTH_INTERVAL_SECONDS]


def test_a_worker_that_stops_waits_while_calls_still_come(
    worker: tuple[Health, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, _ = worker
    last_call = LastCall()
    state.drain()
    waits = waits_until_known(state, last_call, are_calls_over=False)
    next(waits)
    assert state.is_known()

    last_call.note()
    monkeypatch.setattr(server, "QUIET_SECONDS", 60.0)
    assert next(waits) > 0
    monkeypatch.setattr(server, "QUIET_SECONDS", 0.0)

    assert list(waits) == []


def test_no_more_clients_are_remembered_than_the_bound(
    worker: tuple[Health, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, address = worker
    monkeypatch.setattr(health, "MAX_CHECKERS", 2)

    for _ in range(4):
        check(address)

    assert len(state._checkers) == 2


def test_an_unknown_service_is_not_found_and_its_watchers_are_told_so(worker: tuple[Health, str]) -> None:
    _, address = worker
    with pytest.raises(grpc.RpcError) as refused:
        check(address, "test.Other")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    with stub_of(address) as stub:
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="test.Other"), timeout=10)
        assert next(watch).status == Response.SERVICE_UNKNOWN


def test_a_watcher_sees_each_change_once_and_the_end(worker: tuple[Health, str]) -> None:
    state, address = worker
    with stub_of(address) as stub:
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        seen = [next(watch).status]
        state.serve()
        state.drain()
        seen.append(next(watch).status)
        state.end()

        assert [*seen, *(answer.status for answer in watch)] == [Response.SERVING, Response.NOT_SERVING]


def test_a_watcher_that_reads_nothing_stops_neither_checks_nor_other_watchers(worker: tuple[Health, str]) -> None:
    state, address = worker
    reader = SlowReader(Worker(address))
    reader.call(WATCH, b"")
    with stub_of(address) as stub:
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        assert next(watch).status == Response.SERVING
        assert check(address) == Response.SERVING

        state.drain()

        assert next(watch).status == Response.NOT_SERVING
    reader.close()


def test_one_watcher_too_many_is_refused_until_another_goes(worker: tuple[Health, str]) -> None:
    _, address = worker
    with stub_of(address) as stub:
        watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(3)]
        assert [next(watch).status for watch in watches] == [Response.SERVING] * 3
        with pytest.raises(grpc.RpcError) as refused:
            next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED

        watches[0].cancel()

        def is_watched() -> bool:
            try:
                return bool(next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)).status == Response.SERVING)
            except grpc.RpcError:
                return False

        eventually(is_watched)


def test_a_service_calls_a_worker_that_too_many_watch(worker: tuple[Health, str]) -> None:
    _, address = worker
    with stub_of(address) as stub:
        watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(3)]
        assert [next(watch).status for watch in watches] == [Response.SERVING] * 3

        channel: Any
        with clients.channel(address) as channel:
            assert channel.unary_unary("/test.Service/Echo")(b"x", timeout=10) == b"x"
