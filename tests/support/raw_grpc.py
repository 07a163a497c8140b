"""A gRPC client that sends any metadata, also what gRPC's own clients refuse to send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.support.workers import Worker

Headers = Sequence[tuple[bytes, bytes]]


class RawGrpc:
    """A connection to one worker, opened again when the worker has closed it."""

    def __init__(self, worker: Worker, seconds: float = 15) -> None:
        self._worker = worker
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._http2 = h2.connection.H2Connection()
        self.message = ""

    def call(self, path: str, message: bytes, metadata: Headers) -> str:
        """Call an RPC. Return the number of its gRPC status; `closed` or `reset` without one.

        Its text is in `message`.
        """
        for is_last in (False, True):
            try:
                return self._call(path, message, metadata)
            except (OSError, h2.exceptions.ProtocolError):
                self.close()
                if is_last:
                    return "closed"
        raise AssertionError

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        # Nothing is checked or changed on the way out.
        config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        self._http2 = h2.connection.H2Connection(config)
        self._http2.initiate_connection()
        self._socket = self._worker.connect(self._seconds)
        return self._socket

    def _call(self, path: str, message: bytes, metadata: Headers) -> str:
        connection = self._socket or self._connect()
        stream = self._http2.get_next_available_stream_id()
        headers = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", b"worker"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *metadata,
        ]
        self._http2.send_headers(stream, headers)
        self._http2.send_data(stream, b"\0" + struct.pack(">I", len(message)) + message, end_stream=True)
        connection.sendall(self._http2.data_to_send())
        status = "reset"
        while True:
            received = connection.recv(65536)
            if not received:
                raise ConnectionError("closed")
            ended = False
            for event in self._http2.receive_data(received):
                match event:
                    case h2.events.ResponseReceived() | h2.events.TrailersReceived() if event.stream_id == stream:
                        trailers = {_text(name): _text(value) for name, value in event.headers}
                        status = trailers.get("grpc-status", status)
                        self.message = trailers.get("grpc-message", "")
                    case h2.events.DataReceived():
                        self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded() | h2.events.StreamReset() if event.stream_id == stream:
                        ended = True
                    case h2.events.ConnectionTerminated():
                        raise ConnectionError("terminated")
            connection.sendall(self._http2.data_to_send())
            if ended:
                return status


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
