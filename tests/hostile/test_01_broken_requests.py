"""A request that one part of the edge takes and another refuses ends no request of others."""

from __future__ import annotations

import json
import socket
import time

import hpack
import pytest
from hyperframe.frame import DataFrame, SettingsFrame

from deploy.local.envoy_admin import counters
from tests.fuzz import Options
from tests.fuzz.http import LOST, fuzz
from tests.support.attackers import ATTACKER, connect, reset_at_once
from tests.support.bystanders import bystanders
from tests.support.edge import read_response
from tests.support.http2 import PREFACE, headers_frames, read_statuses
from tests.support.stack import Stack

pytestmark = pytest.mark.alone

HOSTS = (b"Host:", b"Host:   ", b"Host: a@b", b"Host: a\r\nHost: b", b"Host: a\r\n b", b"Host: \x7f", b"Host: a/b")


def answered(connection: socket.socket) -> dict[int, int]:
    """Return the status of the first stream that is answered."""
    received = b""
    while not read_statuses(received)[0] and (piece := connection.recv(65536)):
        received += piece
    return read_statuses(received)[0]


def ask(stack: Stack, host: bytes) -> tuple[int, str]:
    """Return status and code of the answer to a request with these lines instead of a host."""
    with connect(stack) as connection:
        connection.sendall(b"GET /api/categories HTTP/1.1\r\n" + host + b"\r\n\r\n")
        response = read_response(connection)
    return response.status_code, json.loads(response.content)["code"]


def test_a_broken_host_is_a_400_and_ends_no_request_of_others(stack: Stack) -> None:
    before = counters(stack.ports.envoy_admin, LOST)

    with bystanders(stack) as others:
        for _ in range(20):
            answers = [ask(stack, host) for host in HOSTS]
            assert answers == [(400, "INVALID_ARGUMENT")] * len(HOSTS)
            time.sleep(0.05)

    others.require_served()
    assert counters(stack.ports.envoy_admin, LOST) == before


def test_requests_that_are_reset_at_once_end_no_request_of_others(stack: Stack) -> None:
    """Envoy ends a connection most of whose requests are reset; each client has its own, between the listeners too."""
    with bystanders(stack) as others:
        for _ in range(20):
            reset_at_once(stack, 2000)

    others.require_served()


def test_trailers_of_a_request_reach_no_worker(stack: Stack) -> None:
    """A worker that cannot parse one refuses the same header of all requests on the connection, for seconds."""
    encoder = hpack.Encoder()
    head = [(":method", "HEAD"), (":scheme", "http"), (":authority", "edge"), (":path", "/api/categories")]
    request = headers_frames(encoder, 1, head, end=False)
    request += DataFrame(1, b"{}").serialize()
    request += headers_frames(encoder, 1, [("grpc-timeout", "0"), ("grpc-encoding", "none such")], end=True)

    with bystanders(stack) as others:
        for _ in range(20):
            with connect(stack) as connection:
                connection.sendall(PREFACE + SettingsFrame(0).serialize() + request)
                assert answered(connection) == {1: 200}
            time.sleep(0.05)

    others.require_served()


@pytest.mark.timeout(180)
def test_no_broken_request_is_a_5xx_or_ends_a_request_of_others(stack: Stack) -> None:
    result = fuzz(stack, Options(seed=15, inputs=500, seconds=60))

    assert not result.faults
    assert result.inputs > 100


def test_the_counters_of_lost_connections_are_the_edges_own_names(stack: Stack) -> None:
    with connect(stack, ATTACKER) as connection:
        connection.sendall(b"GET /api/categories HTTP/1.1\r\nHost: edge\r\n\r\n")
        assert read_response(connection).status_code == 200

    for name in ("cluster.api.upstream_cx_total", "cluster.gig.upstream_cx_total", "http.api.downstream_cx_total"):
        assert counters(stack.ports.envoy_admin, f"^{name}$")
