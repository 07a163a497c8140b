"""Calls to other services: balanced over their workers, with a deadline and the calling service's own token."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc

from servicekit.call import current_call, remaining_seconds
from servicekit.identity import ServiceTokens
from servicekit.ids import new_id
from servicekit.internal_tls import Credentials, InternalTls, channel_credentials, channel_options
from servicekit.metadata import REQUEST_ID, forwarded
from servicekit.settings import is_name
from servicekit.spans import spans
from servicekit.status import error_from_status

R = TypeVar("R")
S = TypeVar("S")

MAX_SECONDS = 3.0

# Every call between the services may be repeated: it reads, or it sets a value that does not depend on the old one.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.4s",
                "backoffMultiplier": 2,
                # A worker that stops cancels a call which comes a moment later.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
}

OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    # Shorter than all tries of one call together: a waiting call finds a worker that has just restarted.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
    # The environment's proxies are for calls to the outside.
    ("grpc.enable_http_proxy", 0),
]


def channel(addresses: str, service: str = "", credentials: Credentials | None = None) -> grpc.Channel:
    """Return a channel to all workers of a service, given as in the setting `Workers`.

    With credentials it speaks TLS, and only with servers that have the service's identity.
    """
    target = _target(addresses)
    if credentials is None:
        return spans().on_channel(grpc.insecure_channel(target, options=OPTIONS))
    options = [*OPTIONS, *channel_options(service)]
    return spans().on_channel(grpc.secure_channel(target, channel_credentials(credentials), options=options))


def _target(addresses: str) -> str:
    """Return gRPC's name of the workers. It looks a host's name up again when a connection ends."""
    first = addresses.partition(",")[0]
    return ("dns:///" if is_name(first.rpartition(":")[0]) else "ipv4:") + addresses


class Stub(Generic[S]):
    """The stub of a service: on a channel that is replaced when the caller's certificate is.

    gRPC closes a channel as soon as nobody has a stub of it: a replaced one after the last call that has taken its
    stub. `close` would cut that call off. Without `tls` the channel is in plain text.
    """

    def __init__(
        self, stub: Callable[[grpc.Channel], S], addresses: str, service: str, tls: InternalTls | None
    ) -> None:
        self._make_stub = stub
        self._addresses = addresses
        self._service = service
        self._tls = tls
        self._lock = threading.Lock()
        self._connect(tls.current() if tls else None)

    def __call__(self) -> S:
        """Return the stub for the next call, which is not kept after it."""
        if self._tls and self._tls.current() is not self._credentials:
            with self._lock:
                newest = self._tls.current()
                if newest is not self._credentials:
                    self._connect(newest)
        return self._stub

    def _connect(self, credentials: Credentials | None) -> None:
        self._stub = self._make_stub(channel(self._addresses, self._service, credentials))
        self._credentials = credentials


class Client:
    """A caller of another service's RPCs, which raises that service's errors as MarketplaceErrors."""

    def __init__(self, tokens: ServiceTokens) -> None:
        self._tokens = tokens

    def call(self, rpc: Callable[..., R], request: Any) -> R:
        """Call a stub's method, with the current call's request id, trace and remaining time.

        Raises MarketplaceError; DeadlineExceeded also when too little time is left to make the call at all.
        """
        timeout = remaining_seconds(MAX_SECONDS)
        try:
            return rpc(request, timeout=timeout, metadata=self._metadata())
        except grpc.RpcError as error:
            raise error_from_status(error) from error

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        call = current_call.get()
        available = {**call.metadata, REQUEST_ID: call.request_id} if call else {REQUEST_ID: str(new_id())}
        return (("authorization", self._tokens.authorization()), *forwarded(available))
