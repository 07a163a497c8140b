"""Handlers that call a system outside the marketplace, and the threads that run them.

Such a call takes as long as the other side wants. So these handlers have threads of their own, beside the ones that
serve reads, and a short queue: a call that finds no place in it is refused before anything of it has begun.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from prometheus_client import Counter

from servicekit.errors import Unavailable

H = TypeVar("H", bound=Callable[..., Any])

REFUSED = Counter("marketplace_outside_calls_refused_total", "Calls that found no place among the outside calls")

_this_thread = threading.local()


def calls_outside(handler: H) -> H:
    """Mark a handler whose command calls a system outside the marketplace before it responds."""
    handler.calls_outside = True  # type: ignore[attr-defined]
    return handler


def is_outside_handler(handler: Callable[..., Any]) -> bool:
    """Return whether the handler is marked with `calls_outside`."""
    return getattr(handler, "calls_outside", False)


def refuse_without_place() -> None:
    """Refuse the current call when it has found no place. Raises Unavailable: nothing has begun."""
    if getattr(_this_thread, "is_without_place", False):
        REFUSED.inc()
        raise Unavailable


class OutsidePool(ThreadPoolExecutor):
    """Threads for the handlers that are marked with `calls_outside`: `threads` calls run, and as many wait.

    gRPC gives each call of such a handler to `submit`, under the server's lock. A call over the limit runs at once, in
    a thread of its own, only to be refused: `refuse_without_place` raises there.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="outside")
        self._places = threading.BoundedSemaphore(2 * threads)
        self._refusals = ThreadPoolExecutor(1, thread_name_prefix="refusal", initializer=_have_no_place)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See Executor."""
        if not self._places.acquire(blocking=False):
            return self._refusals.submit(fn, *args, **kwargs)
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See Executor."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._refusals.shutdown(wait, cancel_futures=cancel_futures)


def _have_no_place() -> None:
    _this_thread.is_without_place = True
