"""The double behind HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.support.stripe_double.double import StripeDouble
from tests.support.stripe_double.errors import Object


def nested(pairs: list[tuple[str, str]]) -> Object:
    """Return form fields as Stripe reads them: `a[b]=c` is {"a": {"b": "c"}}. A list is a dictionary by index."""
    fields: Object = {}
    for name, value in pairs:
        head, *rest = re.findall(r"[^\[\]]+", name)
        level = fields
        for part in rest:
            level = level.setdefault(head, {})
            head = part
        level[head] = value
    return fields


@contextmanager
def serving_double() -> Iterator[StripeDouble]:
    """Serve a double on a free port of 127.0.0.1."""
    double = StripeDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            form = self.rfile.read(length).decode()
            params = nested(parse_qsl(form if self.command == "POST" else split.query, keep_blank_values=True))
            key = self.headers.get("idempotency-key", "")
            status, body, is_repeated = double.handle(self.command, split.path, params, key)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            if is_repeated:
                self.send_header("idempotent-replayed", "true")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = respond  # noqa: N815  # the names that BaseHTTPRequestHandler calls
        do_POST = respond  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
