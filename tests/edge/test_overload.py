"""While a service answers its reads late, the edge refuses requests to it at once, and no others."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import httpx
import pytest

from edge import contract
from edge.overload import guarded_services, is_guarded
from marketplace.gig.v1 import gig_pb2
from tests.support.edge import Edge, assert_refused, get, read_response
from tests.support.eventually import eventually
from tests.support.grpc_web import BINARY, Answer, frame, read
from tests.support.upstream import slow

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"
# Late, for the edge of these tests.
SLOW_SECONDS = 0.2
BURST = 150


@pytest.fixture(scope="module")
def patient() -> Iterator[Edge]:
    """Start an edge with a cache and one thread: each one would find out for itself what is late."""
    edge = Edge(edge_late_seconds=0.1, edge_cache="on", edge_cache_seconds=60)
    edge.threads = 1
    try:
        yield edge.start()
    finally:
        edge.stop()


@pytest.fixture
def overloaded(patient: Edge) -> Iterator[Edge]:
    """Return an edge with 50 late reads under way to GigService, which answers 40 calls a second."""
    patient.reset()
    with patient.client() as client:
        # The cache keeps it for this host and these encodings.
        assert client.get("/api/categories").status_code == 200
    patient.gig.responses.update({rpc: slow(SLOW_SECONDS) for rpc in ("GetGig", "CreateGig", "ListCategories")})
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(patient.connect())) for _ in range(74)]
        for each in connections:
            each.sendall(get(GIG, "Cache-Control: no-cache"))
        eventually(lambda: len(select.select(connections, [], [], 0)[0]) >= 24)
        yield patient


def burst(edge: Edge, method: str, path: str, count: int = BURST) -> list[httpx.Response]:
    """Send requests all at once. Writes have a key."""
    token = f"Authorization: Bearer {edge.token('seller')}"
    body = b"" if method == "GET" else b'{"title": "A gig"}'
    own = ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else ["Cache-Control: no-cache"]
    return send_at_once(
        edge, [get(path, token, f"Idempotency-Key: {key}", *own, method=method) + body for key in range(count)]
    )


def send_at_once(edge: Edge, requests: list[bytes]) -> list[httpx.Response]:
    """Send requests, each on its own connection. Return the answers as they come."""
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(edge.connect())) for _ in requests]
        for each, request in zip(connections, requests, strict=True):
            each.sendall(request)
        answers = []
        while connections:
            for each in select.select(connections, [], [], 30)[0]:
                answers.append(read_response(each))
                connections.remove(each)
        return answers


@pytest.mark.parametrize(("method", "path", "rpc"), [("GET", GIG, "GetGig"), ("POST", "/api/gigs", "CreateGig")])
def test_more_than_a_late_service_can_answer_is_refused_before_anything_has_begun(
    overloaded: Edge, method: str, path: str, rpc: str
) -> None:
    answers = burst(overloaded, method, path)

    passed = [each for each in answers if each.status_code < 300]
    refused = [each for each in answers if each.status_code >= 300]
    # As many as are answered meanwhile.
    assert passed
    assert len(refused) >= BURST / 5
    for each in refused:
        assert_refused(each, 503, "UNAVAILABLE")
        assert each.headers["retry-after"] == "1"
    # Each write that was sent on has its own key.
    keys = {each.metadata.get("idempotency-key") for each in overloaded.gig.received if each.rpc == rpc}
    assert len(keys - {None}) == len(passed)
    # They did not wait for the service.
    assert answers.index(refused[-1]) < answers.index(passed[-1])
    [line] = overloaded.access_log(refused[0].headers["x-request-id"])
    template = "/api/gigs/{gig_id}" if method == "GET" else "/api/gigs"
    assert (line["method"], line["path"], line["code"], line["details"]) == (method, template, 503, "overload")


@contextmanager
def flooded(edge: Edge) -> Iterator[None]:
    """Have bursts of reads one after the other."""
    is_over = threading.Event()

    def flood() -> None:
        while not is_over.is_set():
            burst(edge, "GET", GIG)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(flood)
        try:
            yield
        finally:
            is_over.set()
        running.result()


def test_refused_calls_of_grpc_web_have_its_form(overloaded: Edge) -> None:
    path, body = "/marketplace.gig.v1.GigService/ListCategories", frame(gig_pb2.ListCategoriesRequest())
    headers = f"Content-Type: {BINARY}", "X-Grpc-Web: 1", f"Content-Length: {len(body)}"

    def refused() -> list[Answer]:
        answers = send_at_once(overloaded, [get(path, *headers, method="POST") + body] * BURST)
        # Errors have their status in the headers. A call may also have waited for too long.
        errors = [read(each) for each in answers if "grpc-status" in each.headers]
        return [each for each in errors if each.code == "UNAVAILABLE"]

    with flooded(overloaded):
        found = eventually(refused, seconds=60)

    assert {each.response.headers["retry-after"] for each in found} == {"1"}


def test_what_waits_for_no_late_service_is_answered_meanwhile(overloaded: Edge) -> None:
    headers = overloaded.bearer("admin")
    with flooded(overloaded):
        for http2 in (False, True):
            with overloaded.client(http2=http2) as client:
                for _ in range(10):
                    # Another service; the cache; a long-poll; an upload; the edge itself.
                    assert client.get("/api/orders", headers=headers).status_code == 200
                    assert client.get("/api/categories").status_code == 200
                    assert client.get("/api/events", headers=headers).status_code == 200
                    assert client.post(f"{GIG}/images", headers=headers, content=b"x").status_code != 503
                    assert client.options("/api/gigs").status_code == 204
                    assert client.get("/api/nothing").status_code == 404


def test_when_reads_are_in_time_again_everything_passes(overloaded: Edge) -> None:
    burst(overloaded, "GET", GIG)
    overloaded.gig.responses.clear()

    # More than pass in any case.
    eventually(lambda: {each.status_code for each in burst(overloaded, "GET", GIG, 90)} == {200}, every=0.5)


def test_requests_are_refused_early_only_where_the_answer_comes_at_once() -> None:
    protos = contract.load()
    unguarded = {route.rpc for route in protos.routes if not is_guarded(route)}

    streams = {"GetFile", "UploadFile", "UploadImages", "WatchOrderSse", "WatchSse"}
    assert unguarded == {"ListEvents", "ReceiveStripeEvent"} | streams
    services = guarded_services(protos)
    assert services["GET /gig/{gig_id}"] == services["GET /api/gigs/{gig_id}"] == "marketplace.gig.v1.GigService"
    assert services["GET /api/gigs/{gig_id}/reviews"] == "marketplace.review.v1.ReviewService"
    assert services["POST /marketplace.gig.v1.GigService/GetGig"] == "marketplace.gig.v1.GigService"
    assert not any("Watch" in route or "/watch" in route for route in services)
