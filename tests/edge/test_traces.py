"""What a client sends decides neither whether the edge traces its request nor its place in a trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local import trace_collector
from deploy.local.trace_store import TraceStore
from tests.support.edge import Edge, an_edge
from tests.support.ports import free_ports

THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# An id that Envoy would take for one of a request that is to be traced.
TRACED_ID = "5ac1bf51-d1a5-9cea-8f6c-0f7d0a9b7f11"


@pytest.fixture(scope="module")
def store() -> TraceStore:
    return TraceStore()


@pytest.fixture(scope="module")
def untraced(store: TraceStore) -> Iterator[Edge]:
    """Start an edge that samples no request."""
    [port] = free_ports(1)
    receiver = trace_collector.serve(port, store)
    with an_edge(otel_exporter_otlp_endpoint=f"http://127.0.0.1:{port}", otel_traces_sampler_arg=0) as edge:
        yield edge
    receiver.stop(None)


def test_no_header_of_a_client_makes_the_edge_trace_its_request(untraced: Edge, store: TraceStore) -> None:
    headers = {
        "traceparent": THEIRS,
        "tracestate": "theirs=1",
        "x-request-id": TRACED_ID,
        "x-client-trace-id": "1",
        "x-envoy-force-trace": "1",
        "x-b3-sampled": "1",
        "b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1",
        "sw8": "1-MQ==-Mg==-3-NA==-NQ==-Ng==-Nw==",
        "x-edge-client-trace": THEIRS,
    }

    with untraced.client() as client:
        response = client.get("/api/gigs", headers=headers)

    [received] = untraced.gig.received
    parent = str(received.metadata["traceparent"])
    assert parent.endswith("-00")
    assert THEIRS[3:35] not in parent
    assert response.headers["x-request-id"] == TRACED_ID
    assert [name for name in response.headers if "trace" in name] == []
    assert "tracing.opentelemetry.spans_sent: 0" in _stats(untraced)
    assert len(store) == 0


def test_an_edge_without_traces_passes_a_trace_on_as_it_is(edge: Edge) -> None:
    with edge.client() as client:
        client.get("/api/gigs", headers={"traceparent": THEIRS, "tracestate": "theirs=1"})

    [received] = edge.gig.received
    assert (received.metadata["traceparent"], received.metadata["tracestate"]) == (THEIRS, "theirs=1")
    assert "opentelemetry" not in _stats(edge)


def _stats(edge: Edge) -> str:
    with edge.client() as client:
        return client.get(f"{edge.admin}/stats").text
