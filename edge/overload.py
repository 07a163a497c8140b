"""The requests that the edge refuses early while their service is overloaded: `envoy/overload.lua`."""

from __future__ import annotations

from edge import contract, grpc_web
from edge.spellings import spellings


def is_guarded(route: contract.Route) -> bool:
    """Return whether requests of a route are refused early: its answer comes at once, and the client can ask again.

    Streams, long-polls and uploads have bounds of their own. The payment provider sends its events again only later.
    """
    return not (route.stream or route.wait_seconds or route.upload or route.raw)


def guarded_services(protos: contract.Contract) -> dict[str, str]:
    """Return the gRPC service by method and path (`GET /api/gigs/{gig_id}`), for gRPC-Web and `/gig` as well."""
    routes = {
        f"{route.method} {each.path}": route.service
        for route in protos.routes
        if is_guarded(route)
        for each in spellings(route.path)
    }
    return routes | {f"POST {route.path}": route.service for route in grpc_web.routes(protos) if is_guarded(route)}
