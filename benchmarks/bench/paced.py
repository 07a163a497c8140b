"""An open-loop load: requests are sent at a fixed rate, whether or not earlier ones are answered.

A latency counts from the time at which its request was due, so that a server that stalls cannot hide it by slowing the
client down. It is one process with raw HTTP/1.1 over kept connections, which sends some ten thousand requests a second.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast
from uuid import uuid4

import uvloop

from benchmarks.bench.load import Request

MAX_CONNECTIONS = 4000
# Requests that are due and wait for a connection; above this a run is given up as hopeless for the rest.
MAX_WAITING = 50_000
TICK_SECONDS = 0.001
# How long answers are waited for after the last request.
DRAIN_SECONDS = 5.0
OK, UNAVAILABLE = 200, 503
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Outcome:
    """The outcome of an open-loop load. Times are milliseconds, of good answers."""

    rate: float
    seconds: float
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    # 503s with and without a Retry-After, and their times.
    retry_after: int = 0
    times: list[float] = field(default_factory=list)
    refusal_times: list[float] = field(default_factory=list)
    # Connections that broke with a request under way, and requests without an answer at the end.
    broken: int = 0
    unanswered: int = 0

    @property
    def good(self) -> int:
        """Answers below 400."""
        return sum(count for status, count in self.statuses.items() if status < 400)

    def quantile(self, part: float) -> float:
        """Return a quantile of the times of good answers."""
        return _quantile(self.times, part)

    def as_json(self) -> dict[str, object]:
        """Return the outcome for the report."""
        return {
            "wanted_rate": round(self.rate, 1),
            "sent": self.sent,
            "good_rate": round(self.good / self.seconds, 1),
            "p50": round(self.quantile(0.5), 2),
            "p99": round(self.quantile(0.99), 2),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "retry_after": self.retry_after,
            "refusal_p99": round(_quantile(self.refusal_times, 0.99), 2),
            "broken": self.broken,
            "unanswered": self.unanswered,
        }


def run(url: str, requests: Sequence[Request], rate: float, seconds: float, *, cached: bool = True) -> Outcome:
    """Send so many requests a second, in turn, and return the outcome."""
    return uvloop.run(_Generator(url, requests, cached=cached).run(rate, seconds))


class _Generator:
    def __init__(self, url: str, requests: Sequence[Request], *, cached: bool) -> None:
        self._host, port = url.removeprefix("http://").split(":")
        self._port = int(port)
        self._requests = cycle([_raw(request, f"{self._host}:{port}", cached=cached) for request in requests])
        self._prefix = uuid4().hex.encode()
        self._free: list[_Connection] = []
        self._connections: set[_Connection] = set()
        self._waiting: deque[float] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, seconds: float) -> Outcome:
        self._outcome = Outcome(rate, seconds)
        await asyncio.gather(*(self._open() for _ in range(16)))
        begin = time.perf_counter()
        total = int(rate * seconds)
        while self._outcome.sent < total:
            now = time.perf_counter()
            due = min(total, int((now - begin) * rate) + 1)
            for number in range(self._outcome.sent, due):
                self._send(begin + number / rate)
            self._outcome.sent = due
            if len(self._waiting) > MAX_WAITING:
                break
            await asyncio.sleep(TICK_SECONDS)
        end = time.perf_counter() + DRAIN_SECONDS
        while (self._waiting or any(each.is_busy for each in self._connections)) and time.perf_counter() < end:
            await asyncio.sleep(0.01)
        self._outcome.unanswered = len(self._waiting) + sum(each.is_busy for each in self._connections)
        for connection in list(self._connections):
            connection.close()
        return self._outcome

    def _send(self, due: float) -> None:
        if self._free:
            self._free.pop().send(self._next(), due)
            return
        self._waiting.append(due)
        if len(self._connections) + len(self._opening) < MAX_CONNECTIONS:
            task = asyncio.ensure_future(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _next(self) -> bytes:
        raw = next(self._requests)
        return raw.replace(b"KEY", self._prefix + str(id(raw) ^ time.perf_counter_ns()).encode(), 1)

    async def _open(self) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), self._host, self._port
            )
        except OSError:
            self._outcome.broken += 1
            return
        self._connections.add(connection)
        self.is_free(connection)

    def is_free(self, connection: _Connection) -> None:
        """Give a connection the next request that waits."""
        if self._waiting:
            connection.send(self._next(), self._waiting.popleft())
        else:
            self._free.append(connection)

    def is_answered(self, status: int, head: bytes, due: float) -> None:
        """Count an answer."""
        outcome = self._outcome
        outcome.statuses[status] += 1
        took = (time.perf_counter() - due) * 1000
        if status < 400:
            outcome.times.append(took)
        else:
            outcome.refusal_times.append(took)
            outcome.retry_after += status == UNAVAILABLE and b"retry-after" in head.lower()

    def is_lost(self, connection: _Connection) -> None:
        """Forget a connection that was closed."""
        self._connections.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        self._outcome.broken += connection.is_busy


class _Connection(asyncio.Protocol):
    """A kept connection with at most one request under way."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._received = b""
        self._due = 0.0
        self.is_busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def send(self, raw: bytes, due: float) -> None:
        self._due, self.is_busy, self._received = due, True, b""
        self._transport.write(raw)

    def close(self) -> None:
        self.is_busy = False
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(received, 0, end + 2)
        if not (len(received) >= end + 4 + int(length[1]) if length else received.endswith(b"0\r\n\r\n")):
            return
        self.is_busy = False
        head = received[:end]
        self._generator.is_answered(int(head[9:12]), head, self._due)
        if b"connection: close" in head.lower():
            self._transport.close()
        else:
            self._generator.is_free(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._generator.is_lost(self)
        self.is_busy = False


def _raw(request: Request, host: str, *, cached: bool) -> bytes:
    control = "" if cached or request.token else "Cache-Control: no-cache\r\n"
    if not request.token:
        return f"GET {request.path} HTTP/1.1\r\nHost: {host}\r\n{control}\r\n".encode()
    headers = f"Authorization: Bearer {request.token}\r\nIdempotency-Key: KEY\r\nContent-Type: application/json\r\n"
    length = f"Content-Length: {len(request.body.encode())}\r\n"
    return f"POST {request.path} HTTP/1.1\r\nHost: {host}\r\n{headers}{length}\r\n{request.body}".encode()


def _quantile(times: list[float], part: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
