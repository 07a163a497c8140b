"""Handlers that call a system outside the marketplace, and the threads that run them.

Such a call takes as long as the other side wants. So these handlers have threads of their own, beside the ones that
serve reads, and a short queue: a call that finds no place in it is refused before anything of it has begun. A user has
at most half of the threads, so that one user whose calls are slow does not keep the others out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from prometheus_client import Counter

from servicekit.call import Caller
from servicekit.call_pool import CallPool, has_no_place
from servicekit.errors import Unavailable
from servicekit.user_places import UserPlaces

# A user may make so many calls at once, also where they are more than half of the threads.
MIN_CALLS_OF_USER = 4

H = TypeVar("H", bound=Callable[..., Any])

REFUSED = Counter("marketplace_outside_calls_refused_total", "Calls that found no place among the outside calls")


def calls_outside(handler: H) -> H:
    """Mark a handler whose command calls a system outside the marketplace before it responds."""
    handler.calls_outside = True  # type: ignore[attr-defined]
    return handler


def is_outside_handler(handler: Callable[..., Any]) -> bool:
    """Return whether the handler is marked with `calls_outside`."""
    return getattr(handler, "calls_outside", False)


def refuse_without_place(handler: Callable[..., Any]) -> None:
    """Refuse the current call when it has found no place. Raises Unavailable: nothing has begun."""
    if has_no_place():
        if is_outside_handler(handler):
            REFUSED.inc()
        raise Unavailable


class OutsidePool(CallPool):
    """Threads for the handlers that are marked with `calls_outside`: `threads` calls run, and as many wait."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, 2 * threads, "outside")
        self._user_places = UserPlaces(threads, max(threads // 2, MIN_CALLS_OF_USER), "such requests")

    def user_place(self, caller: Caller) -> AbstractContextManager[None]:
        """Return the block in which a user's call runs; entering it raises RATE_LIMITED when too many others do.

        The caller is known only in the call's thread, so calls that wait for one do not count: the thread refuses them
        at once. Services and anonymous clients have no bound.
        """
        if caller.is_anonymous or "service" in caller.roles:
            return nullcontext()
        return self._user_places.place(caller.id)
