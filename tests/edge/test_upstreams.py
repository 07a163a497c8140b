"""Workers that are away, slow, full, killed or stopping, as clients see them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2

from deploy.local.envoy_admin import counters, healthy_upstreams
from marketplace.gig.v1 import gig_pb2
from tests.support.edge import ROOT, Edge, an_edge, assert_refused, free_ports
from tests.support.eventually import eventually
from tests.support.upstream import Upstream, fails, returns, slow

GIG = "/api/gigs/0190a000-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def running_pair() -> Iterator[Edge]:
    """Start an edge with two workers a service; it waits a second for one worker and two for all."""
    with an_edge(2, edge_request_timeout_seconds=2, edge_try_timeout_seconds=1) as edge:
        yield edge


@pytest.fixture
def pair(running_pair: Edge) -> Edge:
    """Return the same edge, with upstreams as new."""
    running_pair.reset()
    return running_pair


def set_response(edge: Edge, rpc: str, response: Any) -> None:
    """Set the response of both workers of GigService."""
    for upstream in edge.upstreams["gig"]:
        upstream.responses[rpc] = response


def calls(edge: Edge, rpc: str) -> int:
    """Count the calls of an RPC that reached the two workers."""
    return sum(call.rpc == rpc for upstream in edge.upstreams["gig"] for call in upstream.received)


def test_without_a_worker_the_answer_is_503_and_good_as_soon_as_one_is_there() -> None:
    [port] = free_ports(1)
    with an_edge(gig_service_addresses=f"127.0.0.1:{port}") as edge, edge.client() as api:
        for response in (api.get("/api/categories"), api.post("/api/gigs", json={}, headers=edge.bearer())):
            assert_refused(response, 503, "UNAVAILABLE")
        assert api.get("/api/orders", headers=edge.bearer()).status_code == 200

        upstream = Upstream(port)
        upstream.start()
        try:
            eventually(lambda: api.get("/api/categories").status_code == 200)
        finally:
            upstream.stop()


def test_an_answer_that_comes_too_late_is_a_504(pair: Edge) -> None:
    set_response(pair, "CreateGig", slow(4))

    with pair.client() as api:
        response = api.post("/api/gigs", json={}, headers=pair.bearer())

    assert_refused(response, 504, "DEADLINE_EXCEEDED")
    assert response.elapsed.total_seconds() > 1.5
    assert calls(pair, "CreateGig") == 1


def test_a_read_that_one_worker_does_not_answer_is_answered_by_another(pair: Edge) -> None:
    hanging, answering = pair.upstreams["gig"]
    hanging.responses["GetGig"] = slow(4)
    answering.responses["GetGig"] = returns(gig_pb2.GetGigResponse(gig=gig_pb2.Gig(title="here")))

    with pair.client() as api:
        while not any(call.rpc == "GetGig" for call in hanging.received):
            response = api.get(GIG)
            assert (response.status_code, response.json()["title"]) == (200, "here")


def test_a_read_that_one_worker_cannot_answer_is_answered_by_another(pair: Edge) -> None:
    failing, answering = pair.upstreams["gig"]
    failing.responses["GetGig"] = fails(grpc.StatusCode.UNAVAILABLE)
    answering.responses["GetGig"] = returns(gig_pb2.GetGigResponse(gig=gig_pb2.Gig(title="here")))

    with pair.client() as api:
        assert [api.get(GIG).status_code for _ in range(20)] == [200] * 20

    assert any(call.rpc == "GetGig" for call in failing.received)


def test_a_write_is_never_repeated_once_it_reached_a_worker(pair: Edge) -> None:
    set_response(pair, "CreateGig", fails(grpc.StatusCode.UNAVAILABLE))

    with pair.client() as api:
        assert_refused(api.post("/api/gigs", json={}, headers=pair.bearer()), 503, "UNAVAILABLE")

    assert calls(pair, "CreateGig") == 1


def test_a_write_with_a_key_is_not_repeated_when_the_worker_says_that_it_cannot(pair: Edge) -> None:
    set_response(pair, "CreateGig", fails(grpc.StatusCode.UNAVAILABLE))

    with pair.client() as api:
        headers = {**pair.bearer(), "idempotency-key": "k"}
        assert_refused(api.post("/api/gigs", json={}, headers=headers), 503, "UNAVAILABLE")

    assert calls(pair, "CreateGig") == 1


@pytest.mark.parametrize(
    ("method", "path", "rpc", "key"),
    [("GET", GIG, "GetGig", {}), ("POST", "/api/gigs", "CreateGig", {"idempotency-key": "k"})],
    ids=["a read", "a write with a key"],
)
def test_a_call_that_a_stopping_worker_cancels_is_answered_by_another(
    pair: Edge, method: str, path: str, rpc: str, key: dict[str, str]
) -> None:
    stopping, staying = pair.upstreams["gig"]
    stopping.responses[rpc] = fails(grpc.StatusCode.CANCELLED)

    with pair.client() as api:
        headers = {**pair.bearer(), **key}
        answers = [api.request(method, path, headers=headers).status_code for _ in range(20)]

    assert set(answers) <= {200, 201}
    assert any(call.rpc == rpc for call in stopping.received)
    assert sum(call.rpc == rpc for call in staying.received) == 20


def test_a_write_without_a_key_that_a_stopping_worker_cancels_is_in_doubt(pair: Edge) -> None:
    set_response(pair, "CreateGig", fails(grpc.StatusCode.CANCELLED))

    with pair.client() as api:
        assert_refused(api.post("/api/gigs", json={}, headers=pair.bearer()), 503, "OUTCOME_UNKNOWN")

    assert calls(pair, "CreateGig") == 1


def test_workers_that_said_they_cannot_are_asked_again_at_once(pair: Edge) -> None:
    set_response(pair, "ListCategories", fails(grpc.StatusCode.UNAVAILABLE))
    with pair.client() as api:
        for _ in range(30):
            assert_refused(api.get("/api/categories"), 503, "UNAVAILABLE")

        pair.reset()

        assert [api.get("/api/categories").status_code for _ in range(10)] == [200] * 10


def test_a_full_worker_is_a_503(pair: Edge) -> None:
    with an_edge(review_service_addresses=f"127.0.0.1:{free_ports(1)[0]}") as edge, edge.client() as api:
        port = int(edge.settings.review_service_addresses.rpartition(":")[2])
        # One place for Envoy's health checks, one for a call.
        upstream = Upstream(port, max_concurrent=1)
        upstream.responses["SubmitReview"] = slow(1.5)
        upstream.start()
        review = "/api/orders/0190a000-0000-7000-8000-000000000001/review"
        try:
            eventually(lambda: api.get(f"{GIG}/reviews").status_code == 200)
            first = threading.Thread(target=lambda: httpx.post(edge.url + review, headers=edge.bearer()))
            first.start()
            eventually(lambda: any(call.rpc == "SubmitReview" for call in upstream.received))

            assert_refused(api.post(review, json={}, headers=edge.bearer()), 503, "UNAVAILABLE")
            first.join()
        finally:
            upstream.stop()


def test_a_worker_that_goes_down_finishes_what_it_has_and_gets_nothing_new(pair: Edge) -> None:
    leaving, staying = pair.upstreams["gig"]
    entered = threading.Event()

    def last_call(request: object, context: object) -> gig_pb2.CreateGigResponse:
        entered.set()
        time.sleep(1.8)
        return gig_pb2.CreateGigResponse(id="done")

    leaving.responses["CreateGig"] = last_call
    staying.responses["CreateGig"] = fails(grpc.StatusCode.INTERNAL)
    responses: list[httpx.Response] = []

    def write() -> None:
        while not entered.is_set():
            responses[:] = [httpx.post(f"{pair.url}/api/gigs", json={}, headers=pair.bearer(), timeout=10)]

    try:
        writer = threading.Thread(target=write)
        writer.start()
        assert entered.wait(5)
        leaving.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        time.sleep(1.2)
        leaving.received.clear()
        with pair.client() as api:
            assert [api.get("/api/categories").status_code for _ in range(10)] == [200] * 10
        writer.join()

        assert not leaving.received
        assert [response.json()["id"] for response in responses if response.status_code == 201] == ["done"]
    finally:
        leaving.health.set("", health_pb2.HealthCheckResponse.SERVING)


def test_a_worker_that_is_unhealthy_gets_nothing_also_when_another_has_just_become_healthy(pair: Edge) -> None:
    leaving, coming = pair.upstreams["gig"]

    def is_known(upstream: Upstream, *, healthy: bool) -> bool:
        return (upstream.port in (healthy_upstreams(pair.settings.envoy_admin_port) or set())) == healthy

    with pair.client() as api:
        for _ in range(3):
            leaving, coming = coming, leaving
            coming.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
            eventually(lambda: is_known(coming, healthy=False))  # noqa: B023
            coming.health.set("", health_pb2.HealthCheckResponse.SERVING)
            eventually(lambda: is_known(coming, healthy=True))  # noqa: B023
            leaving.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
            eventually(lambda: is_known(leaving, healthy=False))  # noqa: B023
            # The page is of Envoy's main thread; a worker that stops waits for the next check.
            time.sleep(0.1)
            leaving.received.clear()
            try:
                assert [api.get("/api/categories").status_code for _ in range(10)] == [200] * 10
                assert not leaving.received
            finally:
                leaving.health.set("", health_pb2.HealthCheckResponse.SERVING)
                eventually(lambda: is_known(leaving, healthy=True))  # noqa: B023


def test_the_only_worker_of_two_addresses_is_not_taken_out_by_connections_that_fail() -> None:
    """As while a spare process takes the place of the only worker: the other address has nobody."""
    worker, nobody = free_ports(2)
    upstream = Upstream(worker)
    upstream.start()
    with an_edge(gig_service_addresses=f"127.0.0.1:{worker},127.0.0.1:{nobody}") as edge, edge.client() as api:
        eventually(lambda: api.get("/api/categories").status_code == 200)

        upstream.stop()
        for _ in range(3):
            assert_refused(api.get("/api/categories"), 503, "UNAVAILABLE")

        found = counters(edge.settings.envoy_admin_port, r"^cluster\.gig\.outlier_detection\.ejections_")
        counts = {name.rpartition(".ejections_")[2]: count for name, count in found.items()}
        assert counts["detected_consecutive_local_origin_failure"] > 0
        assert counts.get("enforced_total", 0) == 0
        upstream.start()
        try:
            eventually(lambda: api.get("/api/categories").status_code == 200)
        finally:
            upstream.stop()


class Worker:
    """A worker in a process of its own, which can be killed."""

    def __init__(self, port: int, name: str, *deadly: str) -> None:
        command = [sys.executable, "-m", "tests.support.upstream", str(port), name, *deadly]
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"serving\n"

    def kill(self) -> None:
        """Kill the process, as the kernel would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def test_a_worker_killed_with_kill_9_costs_no_reader_an_error() -> None:
    ports = free_ports(2)
    workers = [Worker(port, name) for port, name in zip(ports, ("one", "two"), strict=True)]
    try:
        with an_edge(gig_service_addresses=",".join(f"127.0.0.1:{port}" for port in ports)) as edge:
            stop = threading.Event()
            seen: list[tuple[int, str]] = []

            def read() -> None:
                with edge.client() as api:
                    while not stop.is_set():
                        response = api.get(GIG)
                        seen.append((response.status_code, response.json().get("title", response.text)))

            readers = [threading.Thread(target=read) for _ in range(6)]
            for reader in readers:
                reader.start()
            for _ in range(3):
                eventually(lambda: {(200, "one"), (200, "two")} <= set(seen[-200:]))
                workers[0].kill()
                time.sleep(1)
                workers[0] = Worker(ports[0], "one")
            eventually(lambda: (200, "one") in seen[-200:])
            stop.set()
            for reader in readers:
                reader.join()

            assert {status for status, _ in seen} == {200}
    finally:
        for worker in workers:
            worker.kill()


def test_a_worker_killed_with_kill_9_costs_no_writer_with_a_key_an_error() -> None:
    ports = free_ports(2)
    workers = [Worker(port, name) for port, name in zip(ports, ("one", "two"), strict=True)]
    try:
        with an_edge(gig_service_addresses=",".join(f"127.0.0.1:{port}" for port in ports)) as edge:
            stop = threading.Event()
            seen: list[int] = []

            def write(number: int) -> None:
                with edge.client() as api:
                    while not stop.is_set():
                        headers = {**edge.bearer(), "idempotency-key": f"{number}-{len(seen)}"}
                        seen.append(api.post("/api/gigs", json={}, headers=headers).status_code)

            writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
            for writer in writers:
                writer.start()
            for _ in range(3):
                time.sleep(0.5)
                workers[0].kill()
                time.sleep(1)
                workers[0] = Worker(ports[0], "one")
            stop.set()
            for writer in writers:
                writer.join()

            assert len(seen) > 300
            assert set(seen) == {201}
    finally:
        for worker in workers:
            worker.kill()


def dead_workers(workers: list[Worker]) -> int:
    """Count the workers whose process is gone."""
    return sum(worker.process.poll() is not None for worker in workers)


@pytest.mark.parametrize(("key", "tried"), [({}, 1), ({"idempotency-key": "k"}, 2)], ids=["no key", "key"])
def test_a_write_whose_worker_dies_is_in_doubt_and_sent_to_another_one_only_with_a_key(
    key: dict[str, str], tried: int
) -> None:
    ports = free_ports(2)
    workers = [Worker(port, str(port), "CreateGig") for port in ports]
    try:
        with an_edge(gig_service_addresses=",".join(f"127.0.0.1:{port}" for port in ports)) as edge:
            with edge.client() as api:
                response = api.post("/api/gigs", json={}, headers={**edge.bearer(), **key})

            assert_refused(response, 503, "OUTCOME_UNKNOWN")
            # The response can be here before the process is gone.
            eventually(lambda: dead_workers(workers) >= tried)
            assert dead_workers(workers) == tried
    finally:
        for worker in workers:
            worker.kill()


def test_a_client_that_sends_nothing_more_is_told_so_in_json() -> None:
    with an_edge(edge_idle_timeout_seconds=1) as edge:
        head = f"POST /api/gigs HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer {edge.token()}\r\n"

        response = edge.raw(f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n".encode())

        assert_refused(response, 504, "DEADLINE_EXCEEDED")


def test_no_more_connections_are_taken_than_allowed() -> None:
    with an_edge(edge_max_connections=2) as edge:
        clients = [edge.client() for _ in range(3)]
        for client in clients[:2]:
            assert client.get("/api/categories").status_code == 200

        with pytest.raises(httpx.HTTPError):
            clients[2].get("/api/categories")

        assert clients[0].get("/api/categories").status_code == 200
        clients[0].close()
        eventually(lambda: edge.client().get("/api/categories").status_code == 200)


def test_a_drained_edge_finishes_what_it_has_and_closes_its_connections(pair: Edge) -> None:
    with an_edge() as edge, edge.client() as api:
        edge.gig.responses["CreateGig"] = slow(1)
        responses: list[httpx.Response] = []
        writer = threading.Thread(
            target=lambda: responses.append(api.post("/api/gigs", json={}, headers=edge.bearer()))
        )
        writer.start()
        eventually(lambda: edge.received() == 1)

        httpx.post(f"{edge.admin}/drain_listeners?graceful&skip_exit&inboundonly")
        writer.join()

        assert responses[0].status_code == 201
        assert responses[0].headers["connection"] == "close"
