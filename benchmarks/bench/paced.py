"""An open-loop load: requests are sent at a fixed rate, whether or not earlier ones are answered.

A time counts from when the request was due, so that neither a server that stalls nor a generator that is late can hide
it (coordinated omission). `late_p99` says how late the generator itself was with requests that had a free connection.
It speaks raw HTTP/1.1 over kept connections, in processes of its own that read a schedule each, offset to one another.
"""

from __future__ import annotations

import gc
import json
import math
import re
import resource
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from uuid import uuid4

from benchmarks.bench.load import LoadError, Request

MAX_CONNECTIONS = 4000
# Requests that are due and wait for a connection; above this a run is given up as hopeless for the rest.
MAX_WAITING = 50_000
# One process sends some 30,000 a second when it is alone; this leaves it idle for most of the time.
RATE_OF_A_PROCESS = 8000
MAX_PROCESSES = 4
# epoll's timeout has this resolution, so requests leave within it.
TICK_SECONDS = 0.001
# How long answers are waited for after the last request.
DRAIN_SECONDS = 5.0
# Python's start, on a busy machine too.
START_SECONDS = 1.0
FIRST_CONNECTIONS = 16
UNAVAILABLE = 503
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Outcome:
    """The outcome of an open-loop load. Times are milliseconds, of good answers."""

    rate: float
    seconds: float
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    # 503s with a Retry-After, and the times of all refusals.
    retry_after: int = 0
    times: list[float] = field(default_factory=list)
    refusal_times: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    # Good answers that came while the counted requests were sent, to whatever request.
    good_in_time: int = 0
    # Connections that broke with a request under way, and requests without an answer at the end.
    broken: int = 0
    unanswered: int = 0
    # The generator's own CPU for a request, user and system.
    cpu_us: float = 0.0

    @classmethod
    def of(cls, values: dict[str, Any]) -> Outcome:
        """Return the outcome that a process printed."""
        statuses = Counter({int(status): count for status, count in values["statuses"].items()})
        return cls(**{**values, "statuses": statuses})

    @property
    def good_rate(self) -> float:
        """Good answers a second, of those that came while the load lasted."""
        return self.good_in_time / self.seconds

    def quantile(self, part: float) -> float:
        """Return a quantile of the times of good answers."""
        return _quantile(self.times, part)

    def add(self, other: Outcome) -> None:
        """Add the part of another process."""
        self.rate += other.rate
        self.cpu_us = max(self.cpu_us, other.cpu_us)
        self.statuses += other.statuses
        for name in ("sent", "retry_after", "good_in_time", "broken", "unanswered"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("times", "refusal_times", "late"):
            getattr(self, name).extend(getattr(other, name))

    def as_json(self) -> dict[str, object]:
        """Return the outcome for the report."""
        return {
            "wanted_rate": round(self.rate, 1),
            "sent": self.sent,
            "good_rate": round(self.good_rate, 1),
            "p50": round(self.quantile(0.5), 2),
            "p99": round(self.quantile(0.99), 2),
            "late_p99": round(_quantile(self.late, 0.99), 2),
            "generator_us": round(self.cpu_us, 1),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "retry_after": self.retry_after,
            "refusal_p99": round(_quantile(self.refusal_times, 0.99), 2),
            "broken": self.broken,
            "unanswered": self.unanswered,
        }


def run(
    url: str, requests: Sequence[Request], rate: float, seconds: float, *, cached: bool = True, warm: float = 1.0
) -> Outcome:
    """Send so many requests a second, in turn, and return the outcome. Raises LoadError.

    The load lasts `warm` seconds longer: requests that are due in the first of them are sent and not counted.
    """
    count = min(MAX_PROCESSES, len(requests), max(1, math.ceil(rate / RATE_OF_A_PROCESS)))
    begin = time.monotonic() + START_SECONDS
    parts: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(count):
            process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            parts.append(process)
            assert process.stdin
            task = [url, requests[number::count], MAX_CONNECTIONS // count, cached]
            process.stdin.write(json.dumps([*task, rate / count, seconds, begin + number / rate, warm]).encode())
            process.stdin.close()
        whole = Outcome(0.0, seconds)
        for process in parts:
            assert process.stdout
            answer = process.stdout.read()
            if process.wait():
                raise LoadError(f"a process of the open-loop load ended with {process.returncode}")
            whole.add(Outcome.of(json.loads(answer)))
        return whole
    finally:
        # After an error the others would load the next measurement.
        for process in parts:
            process.kill()
            process.wait()


def main() -> None:
    """Send one process's part of the requests, as standard input says, and print the outcome."""
    url, requests, most, cached, *when = json.load(sys.stdin)
    generator = _Generator(url, [Request(*each) for each in requests], most, cached=cached)
    gc.collect()
    gc.disable()
    json.dump(vars(generator.run(*when)), sys.stdout)


class _Connection:
    """A kept connection with at most one request under way."""

    __slots__ = ("due", "is_busy", "received", "socket", "unsent")

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.due = 0.0
        self.is_busy = False
        self.received = b""
        # Waits for the connection to be made, or for room in the kernel's buffer.
        self.unsent = b""


class _Generator:
    def __init__(self, url: str, requests: Sequence[Request], most: int, *, cached: bool) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._address = (host, int(port))
        self._requests = cycle([_raw(request, f"{host}:{port}", cached=cached) for request in requests])
        self._most = most
        self._prefix = uuid4().hex
        self._keys = 0
        self._poll = select.epoll()
        self._free: list[_Connection] = []
        self._connections: dict[int, _Connection] = {}
        self._waiting: deque[float] = deque()

    def run(self, rate: float, seconds: float, begin: float, warm: float) -> Outcome:
        self._outcome = outcome = Outcome(rate, seconds)
        before = _cpu_seconds()
        self._free.extend(filter(None, [self._open() for _ in range(min(self._most, FIRST_CONNECTIONS))]))
        time.sleep(max(0.0, begin - time.monotonic()))
        self._begin, self._end = begin + warm, begin + warm + seconds
        sent, total = 0, int(rate * (warm + seconds))
        while sent < total and len(self._waiting) <= MAX_WAITING:
            now = time.monotonic()
            ready = min(total, int((now - begin) * rate) + 1)
            for number in range(sent, ready):
                due = begin + number / rate
                outcome.sent += due >= self._begin
                self._send_or_wait(due, now)
            sent = ready
            self._receive()
        give_up = time.monotonic() + DRAIN_SECONDS
        while self._is_waiting() and time.monotonic() < give_up:
            self._receive()
        outcome.unanswered = len(self._waiting) + sum(each.is_busy for each in self._connections.values())
        outcome.cpu_us = (_cpu_seconds() - before) * 1e6 / sent
        for connection in self._connections.values():
            connection.socket.close()
        self._poll.close()
        return outcome

    def _is_waiting(self) -> bool:
        return bool(self._waiting) or any(each.is_busy for each in self._connections.values())

    def _send_or_wait(self, due: float, now: float) -> None:
        if self._free:
            if due >= self._begin:
                self._outcome.late.append((now - due) * 1000)
            self._send(self._free.pop(), due)
        elif len(self._connections) < self._most and (connection := self._open()):
            self._send(connection, due)
        else:
            self._waiting.append(due)

    def _open(self) -> _Connection | None:
        opened = socket.socket()
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):
            try:
                opened.connect(self._address)
            except ConnectionError:
                self._outcome.broken += 1
                opened.close()
                return None
        connection = self._connections[opened.fileno()] = _Connection(opened)
        self._poll.register(opened, select.EPOLLIN)
        return connection

    def _send(self, connection: _Connection, due: float) -> None:
        raw = next(self._requests)
        if b"KEY" in raw:
            self._keys += 1
            raw = raw.replace(b"KEY", f"{self._prefix}-{self._keys}".encode(), 1)
        connection.due, connection.is_busy, connection.received = due, True, b""
        self._write(connection, raw)

    def _write(self, connection: _Connection, raw: bytes) -> None:
        try:
            sent = connection.socket.send(raw)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose(connection)
            return
        if sent < len(raw) or connection.unsent:
            connection.unsent = raw[sent:]
            wanted = select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0)
            self._poll.modify(connection.socket, wanted)

    def _receive(self) -> None:
        """Wait a tick at most, and take what has come."""
        for number, events in self._poll.poll(TICK_SECONDS):
            connection = self._connections.get(number)
            if connection is None:
                continue
            if events & select.EPOLLOUT:
                self._write(connection, connection.unsent)
            if events & ~select.EPOLLOUT:
                self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(connection)
            return
        received = connection.received + data if connection.received else data
        end = received.find(b"\r\n\r\n")
        if end < 0 or not _is_whole(received, end):
            connection.received = received
            return
        connection.is_busy = False
        self._count(received[:end], connection.due)
        if b"connection: close" in received[:end].lower():
            self._lose(connection)
        elif self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def _count(self, head: bytes, due: float) -> None:
        outcome, status, now = self._outcome, int(head[9:12]), time.monotonic()
        outcome.good_in_time += status < 400 and self._begin <= now <= self._end
        if due < self._begin:
            return
        outcome.statuses[status] += 1
        if status < 400:
            outcome.times.append((now - due) * 1000)
        else:
            outcome.refusal_times.append((now - due) * 1000)
            outcome.retry_after += status == UNAVAILABLE and b"\r\nretry-after:" in head.lower()

    def _lose(self, connection: _Connection) -> None:
        """Forget a connection that was closed, and open another for a request that waits."""
        self._connections.pop(connection.socket.fileno(), None)
        connection.socket.close()
        with suppress(ValueError):
            self._free.remove(connection)
        self._outcome.broken += connection.is_busy
        if self._waiting and (another := self._open()):
            self._send(another, self._waiting.popleft())


def _is_whole(received: bytes, end: int) -> bool:
    """Whether a response is complete, whose head ends there."""
    if length := _LENGTH.search(received, 0, end + 2):
        return len(received) >= end + 4 + int(length[1])
    return received[9:12] in (b"204", b"304") or received.endswith(b"0\r\n\r\n")


def _raw(request: Request, host: str, *, cached: bool) -> bytes:
    control = "" if cached or request.token else "Cache-Control: no-cache\r\n"
    if not request.token:
        return f"GET {request.path} HTTP/1.1\r\nHost: {host}\r\n{control}\r\n".encode()
    headers = f"Authorization: Bearer {request.token}\r\nIdempotency-Key: KEY\r\nContent-Type: application/json\r\n"
    length = f"Content-Length: {len(request.body.encode())}\r\n"
    return f"POST {request.path} HTTP/1.1\r\nHost: {host}\r\n{headers}{length}\r\n{request.body}".encode()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _quantile(times: list[float], part: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


if __name__ == "__main__":
    main()
