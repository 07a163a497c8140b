"""A client of the workers' own ports, without a token, takes no threads from the calls of others."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2

from deploy.local.ports import STREAMING
from marketplace.gig.v1 import gig_pb2
from tests.support.bystanders import bystanders
from tests.support.eventually import eventually
from tests.support.memory import peak_mib, reset_peaks
from tests.support.rpc_floods import (
    FIRST,
    SEARCH,
    Open,
    channelz,
    check_health,
    codes,
    held_open,
    reflect,
    reflection_stream,
    refused,
    slow_readers,
    watch,
    without_request,
)
from tests.support.stack import Stack

pytestmark = pytest.mark.alone

SERVING = health_pb2.HealthCheckResponse.SERVING
SECONDS = 2.0
# No worker needs more for what clients hold open. MiB above its memory before.
MORE_MIB = 64


@pytest.fixture(scope="module")
def quiet() -> Iterator[Stack]:
    """Start a stack as the services run outside `make run`, without tools."""
    running = Stack(workers=1, GRPC_TOOLS="off")
    try:
        yield running.start()
    finally:
        running.stop()


def hold(
    stack: Stack, open_one: Open, count: int, processes: list[str] | None = None, at_most: int | None = None
) -> dict[str, Counter[str]]:
    """Hold so many calls of each process open for a while. Returns their states by process.

    Fails when a process says meanwhile that it is unhealthy, or says nothing. With `at_most`, each process is left some
    time to refuse all calls but so many.
    """
    targets = {name: worker for name, worker in stack.targets().items() if name in (processes or stack.targets())}

    async def run() -> dict[str, Counter[str]]:
        async with AsyncExitStack() as held:
            calls = {
                name: await held.enter_async_context(held_open(worker, open_one, count))
                for name, worker in targets.items()
            }
            await asyncio.sleep(SECONDS)
            for worker in targets.values():
                assert await asyncio.to_thread(check_health, worker) == SERVING
            for opened in calls.values():
                await refused(opened, 0 if at_most is None else len(opened) - at_most)
            return {name: await codes(calls[name]) for name in targets}

    return asyncio.run(run())


def workers(stack: Stack, service: str) -> list[str]:
    return [name for name in stack.targets() if name.startswith(f"{service}-") and name not in STREAMING.values()]


@pytest.mark.parametrize("count", [4, 200])
def test_streams_of_reflection_hold_up_nobody(stack: Stack, count: int) -> None:
    reset_peaks(stack)
    before = peak_mib(stack)

    with bystanders(stack) as others:
        states = hold(stack, reflection_stream, count, at_most=4)

    others.require_served()
    assert all(found == Counter({"open": 4, "RESOURCE_EXHAUSTED": count - 4}) for found in states.values()), states
    after = peak_mib(stack)
    assert all(after[name] - before[name] < MORE_MIB for name in stack.targets()), (before, after)


def test_reflection_answers_again_once_the_streams_are_gone(stack: Stack) -> None:
    address = stack.targets()["order-0"]
    hold(stack, reflection_stream, 4, ["order-0"])

    def answers() -> bool:
        try:
            return "marketplace.order.v1.OrderService" in reflect(address)
        except grpc.RpcError:
            return False

    eventually(answers, 20)


def test_watchers_of_health_hold_up_nobody(stack: Stack) -> None:
    reset_peaks(stack)
    before = peak_mib(stack)

    with bystanders(stack) as others:
        states = hold(stack, watch, 200, at_most=128)

    others.require_served()
    # The services watch each other as well. One watcher too many is told that there is no such RPC.
    assert all(
        100 < found["open"] <= 128 and found["UNIMPLEMENTED"] == 200 - found["open"] for found in states.values()
    ), states
    after = peak_mib(stack)
    assert all(after[name] - before[name] < MORE_MIB for name in stack.targets()), (before, after)


def test_calls_of_channelz_hold_up_nobody(stack: Stack) -> None:
    with bystanders(stack) as others:
        hold(stack, channelz, 200)

    others.require_served()


@pytest.mark.parametrize("service", ["gig", "order", "review"])
@pytest.mark.parametrize("count", [4, 300])
def test_calls_that_never_send_their_request_hold_up_nobody(stack: Stack, service: str, count: int) -> None:
    with bystanders(stack) as others:
        states = hold(stack, without_request(FIRST[service]), count, workers(stack, service), at_most=128)

    others.require_served()
    assert all(found["open"] <= 128 for found in states.values()), states


@pytest.mark.parametrize("method", ["Check", "Watch"])
def test_health_checks_that_never_send_their_request_hold_up_nobody(stack: Stack, method: str) -> None:
    with bystanders(stack) as others:
        hold(stack, without_request(f"/grpc.health.v1.Health/{method}"), 200)

    others.require_served()


def test_clients_that_read_nothing_hold_up_nobody(stack: Stack) -> None:
    watching = health_pb2.HealthCheckRequest().SerializeToString()
    searching = gig_pb2.SearchGigsRequest(page_size=100).SerializeToString()
    with bystanders(stack) as others:
        for name, address in stack.targets().items():
            readers = list(slow_readers(address, "/grpc.health.v1.Health/Watch", watching, 2, 4))
            if name in workers(stack, "gig"):
                readers += slow_readers(address, SEARCH, searching, 4, 25)
            time.sleep(0.5)
            assert check_health(address) == SERVING
            for reader in readers:
                reader.close()

    others.require_served()


def test_connections_that_never_speak_are_closed(stack: Stack) -> None:
    address = stack.targets()["review-0"].host_and_port
    with bystanders(stack) as others:
        silent = [socket.create_connection(address, timeout=10) for _ in range(400)]
        # All but the first bytes, SETTINGS of HTTP/2, which the server sends at once.
        ends = [_reads_to_the_end(one) for one in silent]

    others.require_served()
    assert all(ends)


def _reads_to_the_end(connection: socket.socket) -> bool:
    with connection:
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return True


def test_without_tools_reflection_and_channelz_are_unimplemented_and_all_else_is_the_same(quiet: Stack) -> None:
    for name, address in quiet.targets().items():
        with pytest.raises(grpc.RpcError) as refused:
            reflect(address)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED, name
        assert check_health(address) == SERVING
    with bystanders(quiet) as others:
        states = hold(quiet, channelz, 4) | hold(quiet, reflection_stream, 200)

    others.require_served()
    assert all(found == Counter(UNIMPLEMENTED=200) for found in states.values()), states
