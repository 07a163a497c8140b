"""A real Envoy with the shipped bootstrap, on its own ports, in front of upstreams whose responses a test sets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.local.envoy_admin import healthy_upstreams
from edge import signing_keys, tokens
from edge.bootstrap import copy_files, json_file, render, write
from edge.settings import EdgeSettings
from tests.support.ports import free_ports as free_ports
from tests.support.upstream import Upstream

START_SECONDS = 120
ROOT = Path(__file__).resolve().parents[2]
ENVOY = Path(sys.executable).parent / "envoy"
SERVICES = ("event", "gig", "image", "order", "review")


def settings_for_tests(folder: Path, **changes: Any) -> EdgeSettings:
    """Return settings that render and run; `changes` by their field names."""
    port, admin = free_ports(2)
    values: dict[str, Any] = {
        "port": port,
        "envoy_admin_port": admin,
        "user_jwks": str(signing_keys.user_key(folder).jwks),
        "user_jwt_issuer": signing_keys.USER_ISSUER,
        "user_jwt_audience": signing_keys.USER_AUDIENCE,
        "media_dir": folder / "media",
        "internal_tls": "off",
        # Tests set a response and ask for it at once.
        "edge_cache": "off",
        # How long answers take is the machine's to decide.
        "edge_late_seconds": 0,
        **{f"{service}_service_addresses": "127.0.0.1:1" for service in SERVICES},
    }
    return EdgeSettings(**{**values, **changes})


class Edge:
    """One Envoy. Each service has `workers` upstreams in this process, unless `changes` has its addresses."""

    threads = 2

    def __init__(self, workers: int = 1, **changes: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mkt-edge-")
        self.folder = Path(self._folder.name)
        ports = free_ports(workers * len(SERVICES))
        self.upstreams = {
            service: [Upstream(ports.pop()) for _ in range(workers)]
            for service in SERVICES
            if f"{service}_service_addresses" not in changes
        }
        addresses = {
            f"{service}_service_addresses": ",".join(f"127.0.0.1:{each.port}" for each in upstreams)
            for service, upstreams in self.upstreams.items()
        }
        if "event" in self.upstreams:
            self.upstreams["file"] = self.upstreams["event"]
        self.settings = settings_for_tests(self.folder, **{**addresses, **changes})
        self.port = self.settings.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.settings.envoy_admin_port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Edge:
        """Start the upstreams and Envoy, and wait until it takes requests."""
        for upstream in self.all_upstreams():
            upstream.start()
        config = self.folder / "envoy.yaml"
        write(config, self.bootstrap())
        command = [str(ENVOY), "-c", str(json_file(config)), "--concurrency", str(self.threads), "--log-level", "warn"]
        command += ["--disable-hot-restart", "--drain-strategy", "immediate", "--file-flush-interval-msec", "200"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Envoy did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)
        return self

    def bootstrap(self) -> str:
        """Return the bootstrap that Envoy reads."""
        return render(self.settings, self._copies())

    def stop(self) -> None:
        """Stop everything and remove the folder."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        for upstream in self.all_upstreams():
            upstream.stop()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Return the id of Envoy's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        """Return the file of Envoy's output, access log included."""
        return self.folder / "envoy.log"

    def all_upstreams(self) -> list[Upstream]:
        """Return the upstreams of all services."""
        return [upstream for name in SERVICES for upstream in self.upstreams.get(name, [])]

    @property
    def gig(self) -> Upstream:
        """Return the first worker of GigService."""
        return self.upstreams["gig"][0]

    @property
    def image(self) -> Upstream:
        """Return the first process that takes pictures."""
        return self.upstreams["image"][0]

    @property
    def order(self) -> Upstream:
        """Return the first worker of OrderService."""
        return self.upstreams["order"][0]

    @property
    def review(self) -> Upstream:
        """Return the first worker of ReviewService."""
        return self.upstreams["review"][0]

    def reset(self) -> None:
        """Remove the responses and the received calls of all upstreams."""
        for upstream in self.all_upstreams():
            upstream.reset()

    def received(self) -> int:
        """Count the calls that reached an upstream."""
        return sum(len(upstream.received) for upstream in self.all_upstreams())

    def token(self, *roles: str, name: str = "someone", seconds: int = 600) -> str:
        """Return a good token."""
        return tokens.mint(self.folder, name, roles or ("buyer", "seller"), seconds)

    def bearer(self, *roles: str) -> dict[str, str]:
        """Return the header with a good token."""
        return {"Authorization": f"Bearer {self.token(*roles)}"}

    def client(self, *, http2: bool = False) -> httpx.Client:
        """Return a client of HTTP/1.1, or of HTTP/2 without TLS."""
        return httpx.Client(base_url=self.url, http1=not http2, http2=http2, timeout=30)

    def connect(self, source: str = "127.0.0.1", seconds: float = 10) -> socket.socket:
        """Return a connection from an address of loopback."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds, source_address=(source, 0))

    def raw(self, request: bytes, seconds: float = 10) -> httpx.Response:
        """Send bytes over a new connection and read one response of HTTP/1.1."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=seconds)) as connection:
            connection.sendall(request)
            return read_response(connection, has_body=not request.startswith(b"HEAD "))

    def access_log(self, request_id: str) -> list[dict[str, Any]]:
        """Return the lines of one request, as soon as there is one."""
        deadline = time.monotonic() + 5
        while True:
            lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
            found = [line for line in map(json.loads, lines) if line.get("request_id") == request_id]
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _copies(self) -> Path | None:
        """Return a folder with copies of the files that Envoy reads, where it needs one: for certificates."""
        if not self.settings.tls_certificate and self.settings.internal_tls == "off":
            return None
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        copy_files(self.settings, folder)
        return folder

    def _is_ready(self) -> bool:
        try:
            is_live = httpx.get(f"{self.admin}/ready", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False
        ports = {upstream.port for upstream in self.all_upstreams()}
        return is_live and ports <= (healthy_upstreams(self.settings.envoy_admin_port) or set())


@contextmanager
def an_edge(workers: int = 1, **changes: Any) -> Iterator[Edge]:
    """Start an edge for one test."""
    edge = Edge(workers, **changes)
    try:
        yield edge.start()
    finally:
        edge.stop()


def get(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Return the bytes of a request without a body; Latin-1, so that any byte can be sent."""
    lines = [f"{method} {target} HTTP/{version}", "Host: edge", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def read_response(connection: socket.socket, *, has_body: bool = True) -> httpx.Response:
    """Read one response of HTTP/1.1 by its content-length, or until the other side closes."""
    response = b""
    while True:
        head, found, body = response.partition(b"\r\n\r\n")
        if found:
            status_line, *lines = head.decode("latin-1").split("\r\n")
            headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
            parsed = httpx.Response(int(status_line.split(" ")[1]), headers=headers)
            length = int(parsed.headers.get("content-length", "0"))
            if not has_body or parsed.status_code in (204, 304) or len(body) >= length:
                return httpx.Response(parsed.status_code, headers=headers, content=body)
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {response!r}")
        response += piece


def assert_refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check what all errors have in common. Return the body."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert len(response.headers.get_list("x-request-id")) == 1
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert body["error"]
    assert set(body) <= {"error", "code", "details"}
    for inside in ("grpc", "envoy", "upstream", "TYPE_", "marketplace.", "lua"):
        assert inside not in response.text
    assert_nothing_of_the_inside(response)
    assert_readable_by_pages(response)
    assert_safe_in_browsers(response)
    assert ("retry-after" in response.headers) == (status in (429, 503))
    assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    assert "etag" not in response.headers
    assert "location" not in response.headers
    return body


def assert_nothing_of_the_inside(response: httpx.Response) -> None:
    """Check that no header shows what is behind the edge."""
    assert response.headers["server"] == "marketplace"
    for name in response.headers:
        assert not name.startswith(("grpc-", "x-envoy", "x-edge", "x-error", "via")), name


def assert_readable_by_pages(response: httpx.Response, origin: str = "*") -> None:
    """Check that a page of an origin may read a response and the headers that the API promises (CORS)."""
    assert response.headers.get_list("access-control-allow-origin") == [origin]
    assert "access-control-allow-credentials" not in response.headers
    exposed = response.headers["access-control-expose-headers"].lower().split(", ")
    assert {"location", "etag", "retry-after", "x-request-id"} <= set(exposed)
    assert ("origin" in response.headers.get("vary", "").lower()) == (origin != "*")


def assert_safe_in_browsers(response: httpx.Response) -> None:
    """Check the security headers of a response that is no page."""
    for name, value in {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "cross-origin",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    }.items():
        assert response.headers.get_list(name) == [value]


def details_of(response: httpx.Response) -> dict[str, str]:
    """Return the message of each field that a 400 names."""
    body = assert_refused(response, 400, "INVALID_ARGUMENT")
    details: list[dict[str, str]] = body.get("details", [])
    assert all(set(each) == {"field", "message"} for each in details)
    assert len({each["field"] for each in details}) == len(details)
    return {each["field"]: each["message"] for each in details}


def fetches(edge: Edge, outcome: str) -> int:
    """Return how often Envoy has fetched the JWKS with this outcome: `success` or `failed`."""
    name = f"http.api.jwt_authn.jwks_fetch_{outcome}"
    stats: list[dict[str, Any]] = httpx.get(f"{edge.admin}/stats?format=json").json()["stats"]
    return next(int(each["value"]) for each in stats if each.get("name") == name)
