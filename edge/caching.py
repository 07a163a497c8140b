"""What the edge's cache keeps: answers to the anonymous reads of the contract. docs/edge.md describes the cache."""

from __future__ import annotations

from edge import contract
from edge.settings import EdgeSettings
from edge.spellings import Spelling, spellings


def is_cached(route: contract.Route) -> bool:
    """Return whether answers of a route may be kept: it reads, needs no token, and answers at once."""
    return route.method == "GET" and not (route.needs_token or route.stream or route.wait_seconds)


def max_age(route: contract.Route, settings: EdgeSettings) -> int:
    """Return how many seconds anyone may keep an anonymous answer of a route; 0: nobody may."""
    return settings.edge_cache_seconds if settings.edge_cache == "on" and is_cached(route) else 0


def cached_paths(protos: contract.Contract, settings: EdgeSettings) -> list[Spelling]:
    """Return the paths of all cached routes, `/gig` and what is below it included."""
    return [each for route in protos.routes if max_age(route, settings) for each in spellings(route.path)]
