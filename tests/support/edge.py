"""A real Envoy with the bootstrap that is shipped, on ports of its own, before upstreams that answer as told."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from edge import keys, tokens
from edge.bootstrap import render
from edge.settings import EdgeSettings
from tests.support.upstream import Upstream

START_SECONDS = 30
ENVOY = Path(sys.executable).parent / "envoy"
SERVICES = ("gig", "order", "review")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def settings_for_tests(folder: Path, **changes: Any) -> EdgeSettings:
    """Settings that render and run; `changes` by their field names."""
    port, admin = free_ports(2)
    values: dict[str, Any] = {
        "port": port,
        "envoy_admin_port": admin,
        "user_jwks": str(keys.user_key(folder).jwks),
        "user_jwt_issuer": keys.USER_ISSUER,
        "user_jwt_audience": keys.USER_AUDIENCE,
        **{f"{service}_service_addresses": "127.0.0.1:1" for service in SERVICES},
    }
    return EdgeSettings(**{**values, **changes})


class Edge:
    """One Envoy. Each service has as many upstreams as asked for, all in this process unless addresses are given."""

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
        self.settings = settings_for_tests(self.folder, **{**addresses, **changes})
        self.port = self.settings.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.settings.envoy_admin_port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Edge:
        """Starts the upstreams and Envoy and waits until it takes requests."""
        for upstream in self.all_upstreams():
            upstream.start()
        config = self.folder / "envoy.yaml"
        config.write_text(render(self.settings))
        command = [str(ENVOY), "-c", str(config), "--disable-hot-restart", "--concurrency", "2", "--log-level", "warn"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Envoy did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """Stops everything and removes the folder."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        for upstream in self.all_upstreams():
            upstream.stop()
        self._folder.cleanup()

    @property
    def log(self) -> Path:
        """Envoy's output, access log included."""
        return self.folder / "envoy.log"

    def all_upstreams(self) -> list[Upstream]:
        """Those of all services."""
        return [upstream for upstreams in self.upstreams.values() for upstream in upstreams]

    @property
    def gig(self) -> Upstream:
        """The first worker of GigService."""
        return self.upstreams["gig"][0]

    @property
    def order(self) -> Upstream:
        """The first worker of OrderService."""
        return self.upstreams["order"][0]

    @property
    def review(self) -> Upstream:
        """The first worker of ReviewService."""
        return self.upstreams["review"][0]

    def reset(self) -> None:
        """Makes all upstreams forget what was told and what arrived."""
        for upstream in self.all_upstreams():
            upstream.reset()

    def received(self) -> int:
        """How many calls reached an upstream."""
        return sum(len(upstream.received) for upstream in self.all_upstreams())

    def token(self, *roles: str, name: str = "someone", seconds: int = 600) -> str:
        """A good token."""
        return tokens.mint(self.folder, name, roles or ("buyer", "seller"), seconds)

    def bearer(self, *roles: str) -> dict[str, str]:
        """The header with a good token."""
        return {"Authorization": f"Bearer {self.token(*roles)}"}

    def client(self, *, http2: bool = False) -> httpx.Client:
        """A client of HTTP/1.1, or of HTTP/2 without TLS."""
        return httpx.Client(base_url=self.url, http1=not http2, http2=http2, timeout=30)

    def raw(self, request: bytes, seconds: float = 10) -> bytes:
        """Sends bytes over a new connection, and reads until the edge closes it or an answer is there in full."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=seconds)) as connection:
            connection.sendall(request)
            return read_answer(connection, has_body=not request.startswith(b"HEAD "))

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.admin}/ready", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False


def read_answer(connection: socket.socket, *, has_body: bool = True) -> bytes:
    """One answer of HTTP/1.1 with a content-length, or whatever comes until the other side closes."""
    answer = b""
    while True:
        head, found, body = answer.partition(b"\r\n\r\n")
        if found:
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if lengths and len(body) >= int(lengths[0].split(b":")[1]):
                return answer
            if not has_body or head.split(b" ", 2)[1] in (b"204", b"304"):
                return answer
        piece = connection.recv(65536)
        if not piece:
            return answer
        answer += piece
