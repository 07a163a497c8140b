"""A stand-in of a gRPC server that gives every call the same response at once, for benchmarks of what stands before it.

It reads frames of HTTP/2 and no more: no header is decoded, no message parsed. A call costs it some 20 µs.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import struct
from multiprocessing.process import BaseProcess

from hpack import Encoder

_PREFACE = 24
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_WINDOW = 1 << 30


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


class _Connection(asyncio.Protocol):
    def __init__(self, message: bytes, trailers: list[tuple[str, str]]) -> None:
        encoder = Encoder()
        encoder.header_table_size = 0  # the same bytes on every stream
        head = [(":status", "200"), ("content-type", "application/grpc")]
        self.head = encoder.encode(head)
        self.body = b"\0" + struct.pack(">I", len(message)) + message
        self.trailers = encoder.encode([("grpc-status", "0"), *trailers])
        self.buffer = b""
        self.unread = _PREFACE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        settings = struct.pack(">HIHI", 3, 1024, 4, _WINDOW)  # streams at once, a stream's window
        transport.write(_frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW)))

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data
        at, answers = self.unread, []
        while len(data) >= at + 9:
            size = int.from_bytes(data[at : at + 3])
            if len(data) < at + 9 + size:
                break
            kind, flags, stream = data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
            if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                answers.append(self.answer(stream))
            elif kind == _SETTINGS and not flags & _ACK:
                answers.append(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                answers.append(_frame(_PING, _ACK, 0, data[at + 9 : at + 9 + size]))
            if kind == _DATA and size:
                answers.append(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", size)))
            at += 9 + size
        self.buffer, self.unread = data[at:], max(0, at - len(data))
        if answers:
            self.transport.write(b"".join(answers))

    def answer(self, stream: int) -> bytes:
        head = _frame(_HEADERS, _END_HEADERS, stream, self.head)
        return (
            head
            + _frame(_DATA, 0, stream, self.body)
            + _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, self.trailers)
        )


def _serve(ports: dict[int, bytes], trailers: list[tuple[str, str]]) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(lambda message=message: _Connection(message, trailers), "127.0.0.1", port)  # type: ignore[misc]
            for port, message in ports.items()
        ]
        await asyncio.gather(*(each.serve_forever() for each in servers))

    asyncio.run(serve())


def start(ports: dict[int, bytes], trailers: list[tuple[str, str]]) -> BaseProcess:
    """Serve on these ports of 127.0.0.1, each with its message, in a process of its own; terminate it afterwards."""
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(ports, trailers), daemon=True)
    process.start()
    return process
