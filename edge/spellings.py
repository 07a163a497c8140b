"""The spellings of a path: what is at /api/gigs and below it is at /gig as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Spelling:
    """A path template as clients spell it."""

    path: str
    prefix_rewrite: tuple[str, str] | None = None
    """The beginning of the path, a regular expression, and what replaces it for the listener `api`."""


def spellings(path: str) -> Iterator[Spelling]:
    """Yield the spellings of a path of the contract, its own one first."""
    yield Spelling(path)
    if path == "/api/gigs":
        yield from (Spelling(other, (f"{other}$", path)) for other in ("/gig", "/gig/"))
    elif path.startswith("/api/gigs/"):
        yield Spelling(path.replace("/api/gigs/", "/gig/", 1), ("/gig/", "/api/gigs/"))
