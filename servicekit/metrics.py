"""Prometheus metrics of a worker, at `/metrics` on a port of its own.

The server is small, because the one of `prometheus_client` has a thread for each connection, without an end. This one
has few connections at a time, each with one request and a few seconds. It answers nothing that a browser sends.
"""

from __future__ import annotations

import ipaddress
import socket
import socketserver
import threading
import time
from functools import cache
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

CALLS = Counter("marketplace_calls_total", "Calls answered.", ("method", "code"))
SECONDS = Histogram(
    "marketplace_call_seconds",
    "How long calls took, in seconds, without the wait for a free thread.",
    ("method",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
WORKER = Gauge("marketplace_worker_info", "Which worker this is.", ("worker",))
# With TLS alone: a gauge without a value would be one that has ended long ago.
CERTIFICATE_END = Gauge(
    "marketplace_certificate_end_seconds", "When the certificate ends, in Unix time.", ("identity",)
)

MAX_CONNECTIONS = 8
CONNECTION_SECONDS = 5.0
MAX_HEAD_BYTES = 8 * 1024


def observe(method: str, code: str, seconds: float) -> None:
    """Count one call and record its time. Both names are from fixed lists."""
    _calls(method, code).inc()
    _seconds(method).observe(seconds)


@cache
def _calls(method: str, code: str) -> Counter:
    return CALLS.labels(method, code)


@cache
def _seconds(method: str) -> Histogram:
    return SECONDS.labels(method)


def serve(host: str, port: int, worker: str) -> MetricsServer:
    """Serve `/metrics` from threads of its own. Return the server."""
    WORKER.labels(worker).set(1)
    server = MetricsServer((host, port), _Connection)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class MetricsServer(socketserver.ThreadingTCPServer):
    """A server of MAX_CONNECTIONS connections at a time; it closes others at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 2 * MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler]) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)
        self.is_on_loopback = _is_loopback(str(self.server_address[0]))

    @property
    def port(self) -> int:
        """The port that it listens on, also when it was asked to take any."""
        return int(self.socket.getsockname()[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or close it."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is no fault of ours."""


class _Connection(socketserver.BaseRequestHandler):
    """A connection with one request."""

    server: MetricsServer

    def handle(self) -> None:
        deadline = time.monotonic() + CONNECTION_SECONDS
        head = self._read_head(deadline)
        if head is None:
            return
        request_line, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status, body = self._respond(request_line, headers)
        text = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE_LATEST}\r\nContent-Length: {len(body)}\r\n"
        is_head = request_line.startswith("HEAD ")
        self.request.settimeout(max(0.1, deadline - time.monotonic()))
        self.request.sendall(f"{text}Connection: close\r\n\r\n".encode() + (b"" if is_head else body))

    def _read_head(self, deadline: float) -> str | None:
        """Return the request line and the headers; None when they are too long or too late."""
        received = b""
        while b"\r\n\r\n" not in received:
            seconds = deadline - time.monotonic()
            if seconds <= 0 or len(received) > MAX_HEAD_BYTES:
                return None
            self.request.settimeout(seconds)
            piece = self.request.recv(MAX_HEAD_BYTES)
            if not piece:
                return None
            received += piece
        return received.partition(b"\r\n\r\n")[0].decode("latin-1")

    def _respond(self, request_line: str, headers: dict[str, str]) -> tuple[str, bytes]:
        """Return status and body."""
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if "origin" in headers or "sec-fetch-site" in headers:
            return "403 Forbidden", b""
        # A site can give its name the address of loopback.
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if self.server.is_on_loopback and not _is_loopback(host.strip("[]")):
            return "403 Forbidden", b""
        if path != "/metrics":
            return "404 Not Found", b""
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed\r\nAllow: GET, HEAD", b""
        return "200 OK", generate_latest()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
