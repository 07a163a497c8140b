"""The way of a client to the hosts, as a load balancer in front of them takes it.

It checks each host, sends nothing to one that does not answer, ends what is under way there, and sends a read to
another host as well when one does not answer it at once.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass, field

import httpx

CHECK_SECONDS = 0.5
CHECK_TIMEOUT = 1.0
FAILURES = 2
READ_TRIES = 3
READ_TRY_SECONDS = 0.3
READ_SECONDS = 0.95
CALL_SECONDS = 45.0


@dataclass
class Waits:
    """What requests of one kind came to: their number, the failed ones, the longest wait (seconds) and its request."""

    number: int = 0
    failed: int = 0
    longest: float = 0.0
    longest_for: str = ""
    reasons: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, seconds: float, request: str, failure: str = "") -> None:
        """Count a request; `failure` is empty for one that succeeded."""
        with self._lock:
            self.number += 1
            if seconds > self.longest:
                self.longest, self.longest_for = seconds, request
            if failure:
                self.failed += 1
                self.reasons.append(failure)

    def __str__(self) -> str:
        """Return a line for people."""
        share = 100 * self.failed / max(1, self.number)
        longest = f"longest wait {self.longest:.2f} s ({self.longest_for})"
        return f"{self.number:,} requests, {self.failed} failed ({share:.2f} %), {longest}"


class Balancer(httpx.BaseTransport):
    """A transport to all hosts, by their URLs. Threads may share it."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._failures = dict.fromkeys(urls, 0)
        self._transports = {url: self._transport() for url in self._failures}
        self._pool = ThreadPoolExecutor(256, thread_name_prefix="request")
        self._stopping = threading.Event()
        self.reads, self.writes = Waits(), Waits()
        for url in self._failures:
            threading.Thread(target=self._check, args=(url,), daemon=True).start()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of a person to a host that answers checks. Counts it as a write unless it is a GET."""
        request.read()
        began = time.monotonic()
        url = self._choose(())
        name, failure = f"{request.method} {request.url.path}", ""
        try:
            response = self._send(url, request, CALL_SECONDS)
            if response.status_code >= 500:
                failure = f"{name}: {response.status_code} {response.text}"
            return response
        except httpx.TransportError as error:
            failure = f"{name}: {error!r}"
            raise
        finally:
            if request.method != "GET":
                self.writes.add(time.monotonic() - began, name, failure)

    def read(self, path: str) -> None:
        """Send an anonymous read, to a further host when none has answered for a moment, and count it."""
        began, failure = time.monotonic(), "no host answered"
        tried: list[str] = []
        running: set[Future[httpx.Response]] = set()
        while time.monotonic() < began + READ_SECONDS and (running or len(tried) < READ_TRIES):
            if len(tried) < READ_TRIES:
                tried.append(self._choose(tried))
                request = httpx.Request("GET", f"http://cluster{path}")
                running.add(self._pool.submit(self._send, tried[-1], request, READ_SECONDS))
            done, running = wait(running, READ_TRY_SECONDS, FIRST_COMPLETED)
            failures = [_failure_of(each) for each in done]
            if "" in failures:
                failure = ""
                break
            failure = next(iter(failures), failure)
        self.reads.add(time.monotonic() - began, f"GET {path}", failure)

    def close(self) -> None:
        """End the checks."""
        self._stopping.set()

    def _transport(self) -> httpx.HTTPTransport:
        return httpx.HTTPTransport(limits=httpx.Limits(max_connections=None, keepalive_expiry=5))

    def _choose(self, but: Iterable[str]) -> str:
        urls = [url for url in self._failures if url not in but] or list(self._failures)
        return random.choice([url for url in urls if self._failures[url] < FAILURES] or urls)

    def _send(self, url: str, request: httpx.Request, seconds: float) -> httpx.Response:
        """Send a request to a host. Raises httpx.TransportError, also when the host stops to answer meanwhile."""
        target = httpx.URL(url).copy_with(raw_path=request.url.raw_path)
        timeouts = {"connect": min(1.0, seconds), "read": seconds, "write": seconds, "pool": seconds}
        sent = httpx.Request(
            request.method, target, headers=request.headers, content=request.read(), extensions={"timeout": timeouts}
        )
        running = self._pool.submit(self._exchange, self._transports[url], sent)
        return self._wait(url, running, time.monotonic() + seconds)

    def _exchange(self, transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        response = transport.handle_request(request)
        response.read()
        response.close()
        return response

    def _wait(self, url: str, running: Future[httpx.Response], deadline: float) -> httpx.Response:
        while True:
            try:
                return running.result(timeout=min(0.25, max(0.0, deadline - time.monotonic())))
            except WaitedTooLong:
                if self._failures[url] >= FAILURES or time.monotonic() >= deadline:
                    raise httpx.ReadError(f"{url} does not answer") from None

    def _check(self, url: str) -> None:
        while not self._stopping.wait(CHECK_SECONDS):
            try:
                is_good = httpx.get(f"{url}/api/gigs?pageSize=1", timeout=CHECK_TIMEOUT, trust_env=False).is_success
            except httpx.HTTPError:
                is_good = False
            if not is_good and self._failures[url] + 1 == FAILURES:
                # The connections to a host that is gone stay with the old transport.
                self._transports[url] = self._transport()
            self._failures[url] = 0 if is_good else self._failures[url] + 1


def _failure_of(done: Future[httpx.Response]) -> str:
    """Return why a request did not succeed; empty when it did."""
    if error := done.exception():
        return repr(error)
    response = done.result()
    return "" if response.status_code == 200 else f"{response.status_code} {response.text}"
