"""An upload: its place, its rate, its metrics, and its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram

from servicekit.errors import DeadlineExceeded, MarketplaceError
from servicekit.user_places import UserPlaces

UPLOADS = Counter("marketplace_uploads_total", "Uploads by outcome.", ("outcome",))
BYTES = Histogram(
    "marketplace_upload_file_bytes",
    "How large the uploaded files were, in bytes.",
    buckets=(10_000, 100_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000),
)

# A connection may take so long to get going.
GRACE_SECONDS = 20.0

R = TypeVar("R")


@contextmanager
def upload_place(places: UserPlaces, user: Hashable) -> Iterator[None]:
    """Keep a place for an upload of this user. Raises RATE_LIMITED, Unavailable."""
    with ExitStack() as place:
        try:
            place.enter_context(places.place(user))
        except MarketplaceError as error:
            UPLOADS.labels(error.code).inc()
            raise
        yield


@contextmanager
def counted_upload() -> Iterator[None]:
    """Count the upload that the block receives, by its outcome."""
    outcome = "CANCELLED"
    try:
        yield
        outcome = "OK"
    except Exception as error:
        outcome = error.code if isinstance(error, MarketplaceError) else "INTERNAL"
        raise
    finally:
        UPLOADS.labels(outcome).inc()


async def steady(
    body: AsyncIterator[bytes], min_rate: float, grace_seconds: float = GRACE_SECONDS
) -> AsyncIterator[bytes]:
    """Yield the body. Raises DeadlineExceeded when the client sends less than `min_rate` bytes a second, on average.

    Only the time counts in which the client is waited for, and not the first seconds.
    """
    waited, received = 0.0, 0
    while True:
        began = time.monotonic()
        data = await anext(body, None)
        waited += time.monotonic() - began
        if data is None:
            return
        received += len(data)
        if waited > grace_seconds and received < waited * min_rate:
            raise DeadlineExceeded
        yield data


async def run_to_completion(work: Coroutine[Any, Any, R]) -> R:
    """Return the result of work in a thread. A call that is cancelled meanwhile waits for its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
