"""Broken HTTP against the public port: no answer is a 5xx, and no request of others fails.

Ordinary clients use the stack meanwhile. Envoy's own counters tell whether a connection that clients share was lost:
the one between the two listeners, and those to the workers.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

from deploy.local.envoy_admin import counters
from tests.fuzz import Options, Result
from tests.fuzz.http_inputs import Http2, http1, http2
from tests.support.bystanders import bystanders
from tests.support.http2 import read_statuses
from tests.support.stack import Stack

ATTACKERS = 8
# An answer comes in milliseconds; many inputs get none, since their end is missing. Seconds.
QUIET = 0.25
PATIENCE = 10.0
# Connections that are shared between clients, and lost with requests under way or by an invalid message.
LOST = (
    r"^(cluster\.(api|event|gig|order|review|image)\.upstream_cx_(destroy_(remote_|local_)?with_active_rq|protocol_error)"
    r"|http\.api\.downstream_cx_(destroy_(local_|remote_)?active_rq|protocol_error))$"
)


def fuzz(stack: Stack, options: Options) -> Result:
    """Send broken requests until the end of the options, and return what was answered."""
    result, lock = Result(), threading.Lock()
    token = stack.token("fuzzer", "seller", "buyer")
    numbers = _numbers(options, lock)
    before = counters(stack.ports.envoy_admin, LOST)

    def attack() -> None:
        for number in numbers:
            random = Random(f"{options.seed}/{number}")
            kind, faults = _one(stack, random, token)
            with lock:
                result.count(kind)
                result.faults += [f"input {number}: {fault}" for fault in faults]

    options.began = time.monotonic()
    with bystanders(stack) as others, ThreadPoolExecutor(ATTACKERS) as pool:
        for attacker in [pool.submit(attack) for _ in range(ATTACKERS)]:
            attacker.result()
    result.faults += [f"another client: {failure}" for failure in others.failures]
    for name, count in counters(stack.ports.envoy_admin, LOST).items():
        if count > before.get(name, 0):
            result.faults.append(f"{name} has risen by {count - before.get(name, 0)}")
    return result


class _numbers(Iterator[int]):  # noqa: N801  # a generator that threads share
    """The numbers of the inputs, for all attackers together."""

    def __init__(self, options: Options, lock: threading.Lock) -> None:
        self._options, self._lock, self._next = options, lock, 0

    def __next__(self) -> int:
        with self._lock:
            if self._options.is_over(self._next):
                raise StopIteration
            self._next += 1
            return self._next - 1


def _one(stack: Stack, random: Random, token: str) -> tuple[str, list[str]]:
    """Send one input. Return the kind of its answer, and the faults."""
    if random.random() < 0.5:
        data = http1(random, token)
        answer = _send(stack, data, QUIET, lambda _: False)
        statuses = [int(each) for each in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]
        faults = [f"{status} to {data[:300]!r}" for status in statuses if status >= 500]
        return f"1: {statuses[0] if statuses else _silence(answer)}", faults
    connection = http2(random, token)
    answer = _send(
        stack,
        connection.data,
        PATIENCE if connection.good else QUIET,
        lambda received: bool(connection.good) and _is_complete(connection, received),
    )
    by_stream, _ = read_statuses(answer)
    faults = [f"{status} on {stream} of {connection.data!r}" for stream, status in by_stream.items() if status >= 500]
    unanswered = [stream for stream in connection.good if by_stream.get(stream) != 200]
    if unanswered:
        faults.append(f"good streams {unanswered} got {by_stream} in {connection.data!r}")
    return f"2: {max(by_stream.values(), default=0) or _silence(answer)}", faults


def _silence(answer: bytes) -> str:
    return "other bytes" if answer else "nothing"


def _is_complete(connection: Http2, received: bytes) -> bool:
    statuses, closed = read_statuses(received)
    return closed or all(stream in statuses for stream in connection.good)


def _send(stack: Stack, data: bytes, patience: float, is_complete: Callable[[bytes], bool]) -> bytes:
    """Send bytes on a new connection. Return all that comes back until it is complete, closed, or late."""
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", stack.ports.edge), timeout=PATIENCE) as connection:
            connection.sendall(data)
            deadline = time.monotonic() + patience
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                piece = connection.recv(65536)
                received += piece
                if not piece or is_complete(received):
                    break
    except (ConnectionError, TimeoutError):
        pass
    return received
