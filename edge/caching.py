"""What the edge's cache keeps: answers to the anonymous reads of the contract. docs/edge.md describes the cache."""

from __future__ import annotations

from dataclasses import dataclass

from edge import contract
from edge.settings import EdgeSettings


@dataclass(frozen=True)
class CachedPath:
    """A path, as clients spell it, whose answers are kept."""

    path: str
    prefix_rewrite: tuple[str, str] | None = None
    """The beginning of the path, and what replaces it for the listener `api`."""


def is_cached(route: contract.Route) -> bool:
    """Return whether answers of a route may be kept: it reads, needs no token, and answers at once."""
    return route.method == "GET" and not (route.needs_token or route.stream or route.wait_seconds)


def max_age(route: contract.Route, settings: EdgeSettings) -> int:
    """Return how many seconds anyone may keep an anonymous answer of a route; 0: nobody may."""
    return settings.edge_cache_seconds if settings.edge_cache == "on" and is_cached(route) else 0


def cached_paths(protos: contract.Contract, settings: EdgeSettings) -> list[CachedPath]:
    """Return the paths of all cached routes, `/gig` and what is below it included."""
    paths = []
    for route in protos.routes:
        if not max_age(route, settings):
            continue
        paths.append(CachedPath(route.path))
        if route.path == "/api/gigs":
            paths += [CachedPath(other, (f"{other}$", "/api/gigs")) for other in ("/gig", "/gig/")]
        elif route.path.startswith("/api/gigs/"):
            other = route.path.replace("/api/gigs/", "/gig/", 1)
            paths.append(CachedPath(other, ("/gig/", "/api/gigs/")))
    return paths
