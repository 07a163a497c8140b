"""Calls to other services: balanced over their workers, with a deadline, as the service itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from servicekit import status
from servicekit.call import current_call, seconds_left
from servicekit.identity import ServiceTokens
from servicekit.ids import new_id

R = TypeVar("R")

MAX_SECONDS = 3.0
HANDED_ON = ("x-request-id", "traceparent", "tracestate")

# Every call between the services may be repeated: they read, or they say what is rather than what changes.
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
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
}

OPTIONS = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    # Shorter than all tries of a call together, so that a worker that has come back is found by the calls that wait.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
]


def channel(addresses: str) -> grpc.Channel:
    """A channel to all workers of a service: `host:port,host:port`."""
    return grpc.insecure_channel("ipv4:" + addresses, options=OPTIONS)


class Client:
    """Calls RPCs of one other service. Errors come out as the MarketplaceErrors that they were there."""

    def __init__(self, tokens: ServiceTokens) -> None:
        self._tokens = tokens

    def call(self, rpc: Callable[..., R], request: Any) -> R:
        """Calls a stub's method for the call under way: with its id, its trace and what time it has left."""
        try:
            return rpc(request, timeout=seconds_left(MAX_SECONDS), metadata=self._metadata())
        except grpc.RpcError as error:
            raise status.to_error(error) from error

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        metadata = [("authorization", self._tokens.authorization())]
        call = current_call.get()
        known = {**call.metadata, "x-request-id": call.request_id} if call else {"x-request-id": str(new_id())}
        metadata += [(key, known[key]) for key in HANDED_ON if key in known]
        return tuple(metadata)
