"""The scanners of files: a clamd, or a command."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from order_service.domain.file_scanner import Clamd, Command, scanner_of

MAX_REPLY_BYTES = 4096
HARMFUL_STATUS = 1


class ScannerAway(Exception):
    """The scanner cannot be asked now."""


class ScanFailed(Exception):
    """The scanner has said nothing about this file."""


class Scanner(Protocol):
    """Something that tells harmful files."""

    def is_harmful(self, pieces: Iterator[bytes]) -> bool:
        """Return whether a file with these bytes is harmful. Raises ScannerAway, ScanFailed."""
        ...


def scanner_from(text: str, seconds: float) -> Scanner | None:
    """Return the scanner that `FILE_SCANNER` names, which has so long for a file; None for none."""
    match scanner_of(text):
        case Clamd() as clamd:
            return ClamdScanner(clamd, seconds)
        case Command(words):
            return CommandScanner(words, seconds)
    return None


class ClamdScanner:
    """A server that speaks clamd's protocol: INSTREAM, the pieces with their lengths, an empty one, and one reply."""

    def __init__(self, clamd: Clamd, seconds: float) -> None:
        self._clamd = clamd
        self._seconds = seconds

    def is_harmful(self, pieces: Iterator[bytes]) -> bool:
        """Return whether a file with these bytes is harmful. Raises ScannerAway, ScanFailed."""
        end = time.monotonic() + self._seconds
        try:
            with self._connect() as connection:
                return _is_found(self._ask(connection, pieces, end))
        except TimeoutError as error:
            raise ScanFailed("no reply in time") from error
        except OSError as error:
            raise ScannerAway(str(error)) from error

    def _connect(self) -> socket.socket:
        if not self._clamd.path:
            return socket.create_connection((self._clamd.host, self._clamd.port), self._seconds)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._seconds)
            connection.connect(self._clamd.path)
        except OSError:
            connection.close()
            raise
        return connection

    def _ask(self, connection: socket.socket, pieces: Iterator[bytes], end: float) -> str:
        # A file that is too large for it is refused in the middle: then the reply says so.
        with suppress(BrokenPipeError, ConnectionResetError):
            _send(connection, b"zINSTREAM\0", end)
            for piece in pieces:
                _send(connection, struct.pack("!I", len(piece)) + piece, end)
            _send(connection, struct.pack("!I", 0), end)
        reply = b""
        while not reply.endswith(b"\0") and len(reply) < MAX_REPLY_BYTES:
            _set_timeout(connection, end)
            data = connection.recv(MAX_REPLY_BYTES)
            if not data:
                break
            reply += data
        return reply.rstrip(b"\0\n").decode(errors="replace")


def _send(connection: socket.socket, data: bytes, end: float) -> None:
    _set_timeout(connection, end)
    connection.sendall(data)


def _set_timeout(connection: socket.socket, end: float) -> None:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _is_found(reply: str) -> bool:
    """Return what a reply of clamd says. Raises ScanFailed when it is neither OK nor FOUND, ScannerAway without one."""
    if reply.endswith(" OK"):
        return False
    if reply.endswith(" FOUND"):
        return True
    if not reply:
        raise ScannerAway("no reply")
    raise ScanFailed(reply)


class CommandScanner:
    """A command that reads the file from its standard input. It has a process group and no secrets of ours."""

    def __init__(self, words: tuple[str, ...], seconds: float) -> None:
        self._words = words
        self._seconds = seconds

    def is_harmful(self, pieces: Iterator[bytes]) -> bool:
        """Return whether a file with these bytes is harmful. Raises ScannerAway, ScanFailed."""
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,
            )
        except OSError as error:
            raise ScannerAway(str(error)) from error
        timer = threading.Timer(self._seconds, _kill, (process,))
        timer.start()
        try:
            self._feed(process, pieces)
            status = process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
        if status not in (0, HARMFUL_STATUS):
            raise ScanFailed(f"status {status}")
        return status == HARMFUL_STATUS

    def _feed(self, process: subprocess.Popen[bytes], pieces: Iterator[bytes]) -> None:
        """Write the file. A command that has seen enough may close its input."""
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            for piece in pieces:
                process.stdin.write(piece)
        with suppress(BrokenPipeError):
            process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the command, and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
