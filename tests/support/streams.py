"""Streams of server-sent events: the side of a service, which a test leads, and the side of a client."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from tests.support.edge import Edge, get

# A stream that a test has forgotten ends by then.
LONGEST_SECONDS = 60.0


def event(text: str) -> HttpBody:
    """Return a message of a stream."""
    return HttpBody(content_type="text/event-stream", data=text.encode())


class Led:
    """The handler of one stream: it sends what a test gives it, when the test gives it."""

    def __init__(self, *, headers_first: bool = False) -> None:
        self._headers_first = headers_first
        self.over = threading.Event()
        """Set when the call has ended, by whichever side."""
        self._steps: queue.SimpleQueue[Callable[[grpc.ServicerContext], None] | Message | None] = queue.SimpleQueue()

    def send(self, text: str) -> None:
        """Send bytes as one message."""
        self._steps.put(event(text))

    def end(self) -> None:
        """End the stream with OK."""
        self._steps.put(None)

    def fail(self, code: grpc.StatusCode, *trailers: tuple[str, str]) -> None:
        """End the stream with an error."""

        def abort(context: grpc.ServicerContext) -> None:
            context.set_trailing_metadata(trailers)
            context.abort(code, "")

        self._steps.put(abort)

    def __call__(self, request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        context.add_callback(self._finish)
        if self._headers_first:
            context.send_initial_metadata(())
        while (step := self._steps.get(timeout=LONGEST_SECONDS)) is not None:
            if isinstance(step, Message):
                yield step
            else:
                step(context)

    def _finish(self) -> None:
        self.over.set()
        self._steps.put(None)


def led_by(edge: Edge, rpc: str = "WatchSse", *, headers_first: bool = False) -> Led:
    """Return the handler of the next streams of an RPC. `headers_first`: its headers come before its first message."""
    led = Led(headers_first=headers_first)
    edge.upstreams["event"][0].streams[rpc] = led
    return led


class Watcher:
    """A client of HTTP/1 that reads a stream byte by byte."""

    def __init__(self, edge: Edge, path: str, *headers: str, method: str = "GET", version: str = "1.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", edge.port), timeout=10)
        authorization = f"Authorization: Bearer {edge.token()}"
        self.socket.sendall(get(path, authorization, *headers, method=method, version=version))
        self.received = b""

    def read_until(self, text: bytes) -> bytes:
        """Return all bytes so far, as soon as the text is among them. Raises TimeoutError and ConnectionError."""
        while text not in self.received:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError(f"closed after {self.received!r}")
            self.received += piece
        return self.received

    def read_all(self) -> bytes:
        """Return all bytes to the connection's end."""
        while piece := self.socket.recv(65536):
            self.received += piece
        return self.received

    def is_closed(self) -> bool:
        """Return whether the edge has closed the connection; what has come by then is received."""
        self.socket.settimeout(0.05)
        try:
            self.read_all()
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        """Go away."""
        self.socket.close()
