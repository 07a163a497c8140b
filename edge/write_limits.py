"""The limits of writes: which requests count, and the sizes of Envoy's tables of buckets.

`envoy/write_limits.yaml.j2` makes two filters of it: one by client address on the listener `public`, one by user on the
listener `api`. docs/edge.md describes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.contract import Contract
from edge.settings import EdgeSettings

# Buckets that Envoy keeps, of 500 bytes each. When a table is full, the bucket that was used longest ago goes, and its
# client begins with a full one. Addresses have a table in each of the listener's 15 filter chains (16 with
# TRUSTED_PROXIES).
MAX_ADDRESSES = 10_000
MAX_USERS = 100_000


@dataclass(frozen=True)
class WriteLimits:
    """What the filters need to know."""

    per_address: int
    per_user: int
    """Writes a minute; 0: no limit."""
    uncounted_paths: tuple[str, ...]
    """Regular expressions for `:path` of requests that are not counted, whatever their method: reads over gRPC-Web, and
    webhooks of the payment provider, which come from a few addresses and are lost when they are refused for long."""
    max_addresses: int
    max_users: int


def write_limits(protos: Contract, settings: EdgeSettings) -> WriteLimits:
    """Return the limits for a contract and settings."""
    reads: dict[str, list[str]] = {}
    for route in protos.routes:
        if route.method == "GET":
            reads.setdefault(route.service, []).append(route.rpc)
    calls = tuple(f"/{re.escape(service)}/(?:{'|'.join(rpcs)})(?:\\?.*)?" for service, rpcs in reads.items())
    webhooks = tuple(rf"{re.escape(route.path)}(?:\?.*)?" for route in protos.routes if route.raw)
    return WriteLimits(
        per_address=settings.edge_writes_per_minute_per_address,
        per_user=settings.edge_writes_per_minute_per_user,
        uncounted_paths=calls + webhooks,
        max_addresses=MAX_ADDRESSES,
        max_users=MAX_USERS,
    )
