"""`python -m benchmarks.open_loop URL --rate 2000`: requests at a fixed rate, whether or not they are answered.

A client that waits for an answer before it asks again asks an overloaded server less often, and so measures what the
server can do, not what its users get. Here every request has a time in a schedule, and its latency counts from it.

Several processes share the rate. Each one has sockets of its own, from several addresses of loopback, as a server
bounds what one address may do. All is bounded: the time, the connections, and the requests that wait for one; what
finds no connection in time counts as lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

# Connections of a process, and addresses that they come from.
CONNECTIONS = 1000
ADDRESSES = 8
# Requests of a process that wait for a connection.
MAX_WAITING = 20_000
# Seconds after the last request in which answers still count.
LAST_ANSWERS_SECONDS = 10.0


@dataclass
class Outcome:
    """What became of the requests: latencies in seconds by status; 0 stands for a lost connection or none."""

    latencies: dict[int, list[float]] = field(default_factory=dict)
    without_retry_after: int = 0
    late_starts: int = 0
    """Requests that began more than 50 ms after their time, since this program was too slow: the machine is full."""

    def add(self, status: int, seconds: float) -> None:
        """Count one request."""
        self.latencies.setdefault(status, []).append(seconds)

    def merge(self, other: Outcome) -> None:
        """Add what another process has counted."""
        for status, latencies in other.latencies.items():
            self.latencies.setdefault(status, []).extend(latencies)
        self.without_retry_after += other.without_retry_after
        self.late_starts += other.late_starts


def percentile(latencies: Sequence[float], share: float) -> float:
    """Return the latency that this share of the requests stays under; 0 without any."""
    ordered = sorted(latencies)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Connection(asyncio.Protocol):
    """One connection of HTTP/1.1, with one request at a time."""

    def __init__(self, process: _Process) -> None:
        self.process = process
        self.scheduled: float | None = None
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.process.is_free(self)

    def ask(self, request: bytes, scheduled: float) -> None:
        self.scheduled = scheduled
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        if len(body) < int(headers.get(b"content-length", b"0")):
            return
        self.buffer = b""
        status = int(lines[0].split(b" ")[1])
        scheduled, self.scheduled = self.scheduled, None
        if scheduled is not None:
            self.process.outcome.add(status, time.monotonic() - scheduled)
        if status in (429, 503) and b"retry-after" not in headers:
            self.process.outcome.without_retry_after += 1
        if headers.get(b"connection") == b"close":
            self.transport.close()
        else:
            self.process.is_free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.scheduled is not None:
            self.process.outcome.add(0, time.monotonic() - self.scheduled)
            self.scheduled = None
        self.process.is_gone(self)


class _Process:
    """The requests of one process."""

    def __init__(self, host: str, port: int, requests: list[bytes], number: int) -> None:
        self.host, self.port, self.requests, self.number = host, port, requests, number
        self.outcome = Outcome()
        self.free: list[_Connection] = []
        self.waiting: deque[float] = deque()
        self.open = 0
        self.opening: set[asyncio.Task[None]] = set()

    def is_free(self, connection: _Connection) -> None:
        if self.waiting:
            connection.ask(random.choice(self.requests), self.waiting.popleft())  # noqa: S311  # no secret
        else:
            self.free.append(connection)

    def is_gone(self, connection: _Connection) -> None:
        self.open -= 1
        if connection in self.free:
            self.free.remove(connection)

    def begin(self, scheduled: float) -> None:
        if self.free:
            self.free.pop().ask(random.choice(self.requests), scheduled)  # noqa: S311  # no secret
            return
        if len(self.waiting) >= MAX_WAITING:
            self.outcome.add(0, 0.0)
            return
        self.waiting.append(scheduled)
        if self.open < CONNECTIONS:
            self.open += 1
            task = asyncio.get_running_loop().create_task(self.connect())
            self.opening.add(task)
            task.add_done_callback(self.opening.discard)

    async def connect(self) -> None:
        source = f"127.0.{1 + self.number}.{1 + self.open % ADDRESSES}"
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), self.host, self.port, local_addr=(source, 0)
            )
        except OSError:
            self.open -= 1

    async def run(self, rate: float, seconds: float) -> Outcome:
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            scheduled = began + number / rate
            delay = scheduled - time.monotonic()
            if delay > 0.001:
                await asyncio.sleep(delay)
            elif number % 16 == 0:
                await asyncio.sleep(0)
            self.outcome.late_starts += time.monotonic() - scheduled > 0.05
            self.begin(scheduled)
        end = time.monotonic() + LAST_ANSWERS_SECONDS
        while (self.waiting or len(self.free) < self.open) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        lost = len(self.waiting) + self.open - len(self.free)
        for _ in range(lost):
            self.outcome.add(0, time.monotonic() - began)
        return self.outcome


def _run(arguments: tuple[str, int, list[bytes], int, float, float]) -> Outcome:
    host, port, requests, number, rate, seconds = arguments
    return asyncio.run(_Process(host, port, requests, number).run(rate, seconds))


def run(url: str, paths: Sequence[str], rate: float, seconds: float, processes: int = 2, token: str = "") -> Outcome:
    """Ask for the paths, in random order, at this rate for so many seconds. Return what became of all requests."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    requests = [f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{authorization}\r\n".encode() for path in paths]
    shares = [(parts.hostname, parts.port, requests, each, rate / processes, seconds) for each in range(processes)]
    outcome = Outcome()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for each in pool.map(_run, shares):
            outcome.merge(each)
    return outcome


def summary(outcome: Outcome, seconds: float) -> dict[str, Any]:
    """Return the figures of a run: requests a second that were good, refused (503) and other, and latencies in ms."""
    good, refused = outcome.latencies.get(200, []), outcome.latencies.get(503, [])
    others = Counter({status: len(each) for status, each in outcome.latencies.items() if status not in (200, 503)})

    def milliseconds(latencies: Sequence[float], share: float) -> float:
        return round(percentile(latencies, share) * 1000, 1)

    return {
        "good_per_second": round(len(good) / seconds, 1),
        "good_p50_ms": milliseconds(good, 0.5),
        "good_p99_ms": milliseconds(good, 0.99),
        "refused_per_second": round(len(refused) / seconds, 1),
        "refused_p50_ms": milliseconds(refused, 0.5),
        "refused_p99_ms": milliseconds(refused, 0.99),
        "others": dict(others),
        "without_retry_after": outcome.without_retry_after,
        "late_starts": outcome.late_starts,
    }


def main() -> None:
    """Ask, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:8080")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--rate", type=float, required=True, help="requests a second of all processes together")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    outcome = run(options.url, options.paths, options.rate, options.seconds, options.processes)
    print(json.dumps(summary(outcome, options.seconds)))


if __name__ == "__main__":
    main()
