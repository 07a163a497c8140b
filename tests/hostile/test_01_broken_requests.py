"""A request that one part of the edge takes and another refuses ends no request of others."""

from __future__ import annotations

import json
import time

import pytest

from deploy.local.envoy_admin import counters
from tests.fuzz import Options
from tests.fuzz.http import LOST, fuzz
from tests.support.attackers import ATTACKER, connect, reset_at_once
from tests.support.bystanders import bystanders
from tests.support.edge import read_response
from tests.support.stack import Stack

HOSTS = (b"Host:", b"Host:   ", b"Host: a@b", b"Host: a\r\nHost: b", b"Host: a\r\n b", b"Host: \x7f", b"Host: a/b")


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
