"""Connections of an attacker to a stack, from addresses that ordinary clients do not have."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from itertools import cycle, islice

import hpack
from hyperframe.frame import RstStreamFrame, SettingsFrame

from tests.support.http2 import PREFACE, headers_frames, read_statuses
from tests.support.stack import Stack

ATTACKER = "127.0.0.9"


def connect(stack: Stack, source: str = ATTACKER, seconds: float = 10) -> socket.socket:
    """Return a connection to the edge from an address of loopback."""
    return socket.create_connection(("127.0.0.1", stack.ports.edge), timeout=seconds, source_address=(source, 0))


@contextlib.contextmanager
def connections(stack: Stack, count: int, *sources: str) -> Iterator[list[socket.socket]]:
    """Open connections from the addresses in turn, and close them at the end of the block."""
    opened: list[socket.socket] = []
    try:
        for source in islice(cycle(sources or (ATTACKER,)), count):
            opened.append(connect(stack, source))  # noqa: PERF401  # what is open is closed when one fails
        yield opened
    finally:
        for each in opened:
            each.close()


def send(connection: socket.socket, data: bytes) -> bool:
    """Send bytes; return whether the connection took all of them within a moment."""
    connection.settimeout(0.5)
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def wait_for_response(opened: list[socket.socket], seconds: float) -> None:
    """Wait until one of the connections has something to read, for so long at most."""
    with selectors.DefaultSelector() as selector:
        for each in opened:
            selector.register(each, selectors.EVENT_READ)
        selector.select(seconds)


def statuses(opened: list[socket.socket], seconds: float) -> list[int]:
    """Return the status of the first response on each connection; 0 for one that has none in time."""
    deadline = time.monotonic() + seconds
    return [_status(each, deadline) for each in opened]


def _status(connection: socket.socket, deadline: float) -> int:
    received = b""
    while len(received) < 12:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            piece = connection.recv(65536)
        except OSError:
            return 0
        if not piece:
            return 0
        received += piece
    return int(received[9:12])


class UnreadStreams:
    """A connection of HTTP/2 that asks for much and lets the server send nothing of it."""

    def __init__(self, stack: Stack, path: str, streams: int, source: str = ATTACKER) -> None:
        self._socket = connect(stack, source)
        encoder = hpack.Encoder()
        headers = [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", path)]
        requests = (headers_frames(encoder, 2 * number + 1, headers, end=True) for number in range(streams))
        window = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}).serialize()
        self._socket.sendall(PREFACE + window + b"".join(requests))

    def answers(self, seconds: float) -> list[int]:
        """Return the statuses of the streams whose headers come in time."""
        received = b""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(65536)
            except OSError:
                break
            if not piece:
                break
            received += piece
        return list(read_statuses(received)[0].values())

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def reset_at_once(stack: Stack, requests: int, source: str = ATTACKER) -> None:
    """Send so many requests on one connection of HTTP/2, and reset each right after it."""
    encoder = hpack.Encoder()
    headers = [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", "/api/gigs")]
    with connect(stack, source) as connection:
        connection.sendall(PREFACE + SettingsFrame(0).serialize())
        for number in range(requests):
            stream = 2 * number + 1
            reset = RstStreamFrame(stream, error_code=8).serialize()
            if not send(connection, headers_frames(encoder, stream, headers, end=True) + reset):
                break
