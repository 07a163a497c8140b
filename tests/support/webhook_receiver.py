"""A receiver of webhooks: an HTTP server that verifies the signature of each delivery and records the events.

Each endpoint has a path of its own; its secret is given with `expect`, as soon as the creation of the endpoint has
answered. A delivery that comes before that gets 503, and comes again.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

# Decides what the receiver responds to a delivery with a valid signature: an HTTP status code.
Respond = Callable[["Received"], int]


@dataclass(frozen=True)
class Received:
    """A delivery with a valid signature. `text` is its body."""

    path: str
    event_id: str
    text: str
    headers: dict[str, str]

    @property
    def body(self) -> Any:
        """The body's JSON."""
        return json.loads(self.text)

    @property
    def type(self) -> str:
        """The type of the event."""
        return str(self.body["type"])


@dataclass
class WebhookReceiver:
    """What came, by the path of the endpoint. `invalid` has the paths of deliveries whose signature is not valid."""

    url: str
    secrets: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    respond: dict[str, Respond] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url_of(self, name: str) -> str:
        """Return the URL of an endpoint of this name."""
        return f"{self.url}/{name}"

    def expect(self, name: str, secret: str, respond: Respond | int = 204) -> None:
        """Verify deliveries to this name with the secret, and respond with a status code, or as a function says."""
        with self.lock:
            self.respond[f"/{name}"] = respond if callable(respond) else lambda _: respond
            self.secrets[f"/{name}"] = secret

    def deliveries(self, name: str) -> list[Received]:
        """Return the deliveries to this name, in the order in which they came."""
        with self.lock:
            return [each for each in self.received if each.path == f"/{name}"]

    def types(self, name: str) -> list[str]:
        """Return the types of the events that came to this name, without repeated deliveries."""
        return list({each.event_id: each.type for each in self.deliveries(name)}.values())

    def event_ids(self, name: str) -> set[str]:
        """Return the ids of the events that came to this name."""
        return {each.event_id for each in self.deliveries(name)}

    def handle(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Record a delivery and return the status code of the response."""
        with self.lock:
            secret, respond = self.secrets.get(path), self.respond.get(path)
        if secret is None or respond is None:
            return 503
        try:
            Webhook(secret).verify(body, headers, json_parse=False)
        except WebhookVerificationError:
            with self.lock:
                self.invalid.append(path)
            return 401
        received = Received(path, headers["webhook-id"], body.decode(), headers)
        with self.lock:
            self.received.append(received)
        return respond(received)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""


@contextmanager
def webhook_receiver(host: str = "127.0.0.1", ssl_context: ssl.SSLContext | None = None) -> Iterator[WebhookReceiver]:
    """Serve a receiver on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            status = receiver.handle(self.path.split("?")[0], headers, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if 300 <= status <= 399:
                self.send_header("Location", receiver.url_of("redirected"))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = _Server((host, 0), Handler)
    scheme = "http"
    if ssl_context is not None:
        server.socket = ssl_context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    receiver = WebhookReceiver(f"{scheme}://{host}:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hanging_receiver(host: str = "127.0.0.1") -> Iterator[str]:
    """Yield the URL of a server that takes connections and never responds."""
    with socket.create_server((host, 0), backlog=1000) as server:
        yield f"http://{host}:{server.getsockname()[1]}/hangs"
