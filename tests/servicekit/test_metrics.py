"""The metrics of a worker over HTTP: few connections, each for a short time, and nothing for a browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from servicekit import metrics
from tests.support.eventually import eventually


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(metrics, "CONNECTION_SECONDS", 1.0)
    server = metrics.serve("127.0.0.1", 0, "test-0")
    yield server.port
    server.shutdown()
    server.server_close()


def exchange(port: int, request: bytes) -> bytes:
    """Return everything that a connection answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_metrics_are_served_in_prometheus_form(port: int) -> None:
    response = httpx.get(f"http://localhost:{port}/metrics?name=x")
    head = httpx.head(f"http://127.0.0.1:{port}/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert "marketplace_worker_info" in response.text
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 404),
        ("GET", "/metrics/", {}, 404),
        ("POST", "/metrics", {}, 405),
        ("QUERY", "/metrics", {}, 405),
        ("GET", "/metrics", {"origin": "http://evil.example"}, 403),
        ("GET", "/metrics", {"sec-fetch-site": "cross-site"}, 403),
        ("GET", "/metrics", {"host": "evil.example"}, 403),
        ("GET", "/metrics", {"host": ""}, 403),
        ("GET", "/metrics", {"host": "[::1]:9"}, 200),
    ],
)
def test_other_requests_are_refused(port: int, method: str, path: str, headers: dict[str, str], status: int) -> None:
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in ({"host": "localhost"} | headers).items()),
    ]

    answer = exchange(port, "\r\n".join([*lines, "", ""]).encode())

    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"marketplace_" in answer) == (status == 200)


def test_a_name_is_taken_where_the_address_is_not_loopback(port: int) -> None:
    server = metrics.serve("0.0.0.0", 0, "test-1")
    try:
        response = httpx.get(f"http://127.0.0.1:{server.port}/metrics", headers={"host": "gig-0:9100"})
    finally:
        server.shutdown()
        server.server_close()

    assert response.status_code == 200


@pytest.mark.parametrize(
    "request_", [b"", b"GET /metrics HTTP/1.1\r\n", b"nonsense", b"x" * 20_000, b"\xff\x00\r\n\r\n"]
)
def test_a_request_that_is_none_ends_its_connection(port: int, request_: bytes) -> None:
    try:
        answer = exchange(port, request_)
    except ConnectionError:
        return
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def test_a_connection_beyond_the_bound_is_closed_and_there_are_no_more_threads(port: int) -> None:
    before = threading.active_count()
    held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(metrics.MAX_CONNECTIONS)]
    eventually(lambda: threading.active_count() >= before + metrics.MAX_CONNECTIONS)

    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert threading.active_count() <= before + metrics.MAX_CONNECTIONS

    # They have sent nothing, and lose their places.
    assert all(each.recv(1) == b"" for each in held)
    eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200)
    for each in held:
        each.close()
