"""gRPC-Web: the RPCs that a browser may call by their own names, and their routes.

These are the RPCs with a route of the API, so nothing can be called that REST does not have. Uploads are left out: a
browser cannot send a stream. A stream of server-sent events stands for the RPC of the same name without `Sse`, whose
messages are typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge import contract
from edge.route_times import RouteTimes, times_of
from edge.settings import EdgeSettings

# The forms of Envoy's filter: binary, and text (base64), which old browsers need for streams.
CONTENT_TYPES = "application/grpc-web(?:-text)?(?:\\+proto)?"
ALLOW = "POST, OPTIONS"


@dataclass(frozen=True)
class Group:
    """RPCs of one service with the same times, as one route of the listener `public`."""

    pattern: str
    """A regular expression for their paths."""
    times: RouteTimes
    is_stream: bool


def routes(protos: contract.Contract) -> Iterator[contract.Route]:
    """Yield a route for each RPC: as the contract has it, but with the RPC's own name and path."""
    seen = set()
    for route in protos.routes:
        rpc = route.rpc.removesuffix(contract.SSE) if route.stream else route.rpc
        path = f"/{route.service}/{rpc}"
        if not route.upload and path not in seen:
            seen.add(path)
            yield replace(route, path=path, rpc=rpc)


def groups(protos: contract.Contract, settings: EdgeSettings) -> list[Group]:
    """Return the routes of the listener `public`."""
    names: dict[tuple[str, RouteTimes, bool], list[str]] = {}
    for route in routes(protos):
        is_watch = route.stream and not route.download
        names.setdefault((route.service, times_of(route, settings), is_watch), []).append(route.rpc)
    return [
        Group(f"/{re.escape(service)}/(?:{'|'.join(rpcs)})", times, is_stream)
        for (service, times, is_stream), rpcs in names.items()
    ]
