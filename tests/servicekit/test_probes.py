"""The health of a process on a port of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit import probes
from servicekit.health import Health
from tests.support.ports import free_ports

Response = health_pb2.HealthCheckResponse


@pytest.fixture
def probed() -> Iterator[tuple[Health, str]]:
    (port,) = free_ports(1)
    health, address = Health("shop.Service"), f"127.0.0.1:{port}"
    server = probes.serve(address, health)
    yield health, address
    probes.stop(server)


def check(address: str, service: str = "") -> int:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status)


@pytest.mark.parametrize("service", ["", "shop.Service"])
def test_a_probe_sees_when_the_process_serves_and_when_it_drains(probed: tuple[Health, str], service: str) -> None:
    health, address = probed
    seen = [check(address, service)]
    health.serve()
    seen.append(check(address, service))
    health.drain()
    seen.append(check(address, service))

    assert seen == [Response.NOT_SERVING, Response.SERVING, Response.NOT_SERVING]


def test_nothing_but_the_health_is_there(probed: tuple[Health, str]) -> None:
    _, address = probed
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/shop.Service/Buy", bytes, bytes)

        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=10)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_without_an_address_nothing_is_served() -> None:
    assert probes.serve(None, Health()) is None


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RuntimeError):
        probes.serve(f"127.0.0.1:{taken.getsockname()[1]}", Health())
