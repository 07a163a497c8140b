"""The times of a route: how long the edge waits for a worker and for a client.

Both listeners have them. `public` waits a little longer than `api`, so that `api` answers a timeout.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.contract import Route
from edge.settings import EdgeSettings

# Seconds that `public` waits longer than `api`.
MARGIN = 2.0


@dataclass(frozen=True)
class RouteTimes:
    """Seconds; 0 has no end."""

    response: float
    """For the whole response of a service, all tries together."""
    one_try: float
    """For one worker's response, before another one is asked; 0 where no other one is."""
    idle: float
    """For a pause in which neither side sends anything."""
    whole: float
    """From a request's first byte to the last one of its response."""


def ordinary(settings: EdgeSettings) -> RouteTimes:
    """Return the times of most routes."""
    return RouteTimes(
        response=settings.edge_request_timeout_seconds,
        one_try=settings.edge_try_timeout_seconds,
        idle=settings.edge_idle_timeout_seconds,
        whole=settings.edge_stream_seconds,
    )


def times_of(route: Route, settings: EdgeSettings) -> RouteTimes:
    """Return the times of a route."""
    times = ordinary(settings)
    if route.upload:
        upload = settings.edge_upload_timeout_seconds
        return RouteTimes(upload, 0, settings.edge_upload_idle_seconds, upload + MARGIN)
    if route.stream:
        return RouteTimes(0, 0, settings.edge_watch_idle_seconds, 0)
    if route.wait_seconds:
        response = times.response + route.wait_seconds
        return RouteTimes(
            response=response,
            one_try=times.one_try + route.wait_seconds,
            # While it waits, nothing is sent.
            idle=max(times.idle, response + MARGIN),
            whole=times.whole + route.wait_seconds,
        )
    return times
