"""A stand-in of clamd: it speaks INSTREAM, finds the word EICAR, and refuses streams that are too large."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOUND = b"EICAR"
MAX_STREAM_BYTES = 1_000_000


class Clamd(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The server. `streams` are the files that it has got, in their order; while `is_silent` it answers nothing."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.path = path
        self.streams: list[bytes] = []
        self.is_silent = False


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        stream = self.request.makefile("rb")
        if stream.read(10) != b"zINSTREAM\0":
            self.request.sendall(b"UNKNOWN COMMAND\0")
            return
        data = b""
        while size := struct.unpack("!I", stream.read(4))[0]:
            data += stream.read(size)
            if len(data) > MAX_STREAM_BYTES:
                self.request.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                self.request.shutdown(socket.SHUT_RDWR)
                return
        server.streams.append(data)
        if not server.is_silent:
            self.request.sendall(b"stream: Eicar-Signature FOUND\0" if FOUND in data else b"stream: OK\0")


@contextmanager
def clamd(path: Path) -> Iterator[Clamd]:
    """Run a clamd at this socket for the block."""
    path.unlink(missing_ok=True)
    with Clamd(path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
