"""One call to a receiver: the host is resolved once, its addresses are checked, and one of them is called.

So a name server that answers differently a moment later changes nothing. The certificate is checked for the host of the
URL. Redirects are not followed, no proxy of the environment is used, and the body of the response is not read.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import Counter, Histogram
from urllib3.connection import HTTPConnection, HTTPSConnection

from order_service.domain import webhook_url
from order_service.domain.addresses import is_public
from order_service.domain.webhook_url import BadUrl, Target
from order_service.webhooks.resolver import Resolver, Unresolvable

# Seconds of a whole call, and of its look-up and its connection. A receiver cannot make a call longer by any means.
CALL_SECONDS = 10.0
LOOKUP_SECONDS = 5.0
CONNECT_SECONDS = 5.0
USER_AGENT = "marketplace-webhooks/1"

CALLS = Counter("marketplace_webhook_calls_total", "Calls of this worker to receivers of webhooks", ["outcome"])
SECONDS = Histogram(
    "marketplace_webhook_call_seconds",
    "Duration of calls to receivers of webhooks",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: the HTTP status code, None without a response, and then the reason."""

    status: int | None
    reason: str = ""


class NotPublic(Exception):
    """The host has an address that is not public."""


class Sender:
    """Makes the calls. `allow_private` lets them go to addresses that are not public, and over plain HTTP."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        allow_private: bool,
        ssl_context: ssl.SSLContext | None = None,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._resolver = resolver
        self._allow_private = allow_private
        self._ssl_context = ssl_context or ssl.create_default_context()
        self._call_seconds = call_seconds

    def check(self, url: str, seconds: float | None) -> None:
        """Check the URL of a new endpoint, waiting for a look-up for so long; with None there is none.

        Raises BadUrl, also when its host has an address now that is not public.
        """
        target = webhook_url.parse(url, allow_private=self._allow_private)
        if seconds is None:
            return
        try:
            self._addresses(target, seconds)
        except NotPublic:
            raise BadUrl("must have a public host") from None
        except Unresolvable:
            # The name may get an address later; each call checks the addresses that there are then.
            return

    def send(self, url: str, headers: Mapping[str, str], body: str) -> Outcome:
        """POST a JSON body to the URL and return the outcome. Raises nothing: all that goes wrong is the receiver's."""
        began = time.monotonic()
        try:
            outcome = self._send(webhook_url.parse(url, allow_private=self._allow_private), headers, body.encode())
        except Exception as error:
            # The text of the error may contain the URL.
            outcome = Outcome(None, type(error).__name__)
        SECONDS.observe(time.monotonic() - began)
        CALLS.labels(f"{outcome.status // 100}xx" if outcome.status is not None else "no response").inc()
        return outcome

    def _send(self, target: Target, headers: Mapping[str, str], body: bytes) -> Outcome:
        deadline = time.monotonic() + self._call_seconds
        addresses = self._addresses(target, min(LOOKUP_SECONDS, self._call_seconds))
        connection = self._connect(target, addresses, deadline)
        try:
            with _ended_at(deadline, connection):
                connection.timeout = max(0.0, deadline - time.monotonic())
                connection.sock.settimeout(connection.timeout)
                connection.request("POST", target.path, body=body, headers=_headers(target, headers))
                # Not urllib3's own, which logs the URL of a response whose headers it cannot parse.
                return Outcome(http.client.HTTPConnection.getresponse(connection).status)
        finally:
            connection.close()

    def _addresses(self, target: Target, seconds: float) -> list[str]:
        """Return the addresses of the target. Raises NotPublic when any of them is not, and Unresolvable."""
        addresses = [target.host]
        if not target.is_address:
            addresses = self._resolver.addresses(target.host, target.port, seconds)
        if not self._allow_private and not all(map(is_public, addresses)):
            raise NotPublic
        return addresses

    def _connect(self, target: Target, addresses: list[str], deadline: float) -> HTTPConnection:
        """Connect to the first address that takes the connection. Raises the last one's error."""
        until = min(time.monotonic() + CONNECT_SECONDS, deadline)
        failure: Exception = Unresolvable()
        for address in addresses:
            if (seconds := until - time.monotonic()) <= 0:
                break
            connection = self._connection(target, address, seconds)
            try:
                connection.connect()
            except Exception as error:
                connection.close()
                failure = error
            else:
                return connection
        raise failure

    def _connection(self, target: Target, address: str, seconds: float) -> HTTPConnection:
        """Return a connection to the address, without the name of the host but for its certificate."""
        if target.scheme == "http":
            return HTTPConnection(address, target.port, timeout=seconds)
        return HTTPSConnection(
            address,
            target.port,
            timeout=seconds,
            ssl_context=self._ssl_context,
            cert_reqs=ssl.CERT_REQUIRED,
            server_hostname=target.host,
        )


def _headers(target: Target, headers: Mapping[str, str]) -> dict[str, str]:
    own = {"Host": target.authority, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Connection": "close"}
    return {**own, "Content-Type": "application/json", **headers}


@contextmanager
def _ended_at(deadline: float, connection: HTTPConnection) -> Iterator[None]:
    """End the connection at the deadline, when the block is not over by then, and raise TimeoutError after it.

    A timeout of the socket would begin anew with every byte that the receiver sends.
    """
    lock = threading.Lock()
    is_over = is_late = False

    def end() -> None:
        nonlocal is_late
        with lock:
            if not is_over and connection.sock is not None:
                is_late = True
                # Of the TCP connection: TLS' own way would wait for the receiver.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            is_over = True
    # What reads from an ended connection may take the end of the bytes for the end of the headers.
    if is_late:
        raise TimeoutError
