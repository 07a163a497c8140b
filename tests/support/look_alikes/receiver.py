"""A receiver of webhooks: takes every delivery, and keeps it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """A request that was received."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """An HTTP server on this machine, from the first use of its `url` until the process ends."""

    def __init__(self) -> None:
        self._received: list[Received] = []

    def received(self) -> list[Received]:
        """Return all requests so far."""
        return list(self._received)

    @cached_property
    def url(self) -> str:
        """The URL; the same for everybody."""
        received = self._received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append(Received({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the tests' output free of requests."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/hook"


RECEIVER = Receiver()
