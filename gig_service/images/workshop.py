"""A pool of decoders: processes that may be slow, run out of memory or die without anybody else noticing.

They are spawned, not forked, so they hold no connection and no thread of the process that serves. Whatever becomes of
one, the next picture finds a new one.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from prometheus_client import Counter, Histogram

from gig_service.images import decode
from gig_service.images.confinement import confine
from gig_service.images.decode import Prepared, Refused
from servicekit.errors import InvalidArgument, MarketplaceError, Unavailable, Violation

PICTURES = Counter("marketplace_pictures_total", "Pictures decoded, by what became of them.", ("outcome",))
SECONDS = Histogram(
    "marketplace_picture_seconds",
    "How long a decoder had a picture, in seconds, without the wait for a free one.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
# A decoder is replaced after so many pictures, so that what memory it may have lost comes back.
PICTURES_A_DECODER = 100
STARTING_SECONDS = 30


class Workshop:
    """Prepares pictures in `decoders` processes, each picture in at most `seconds` and `memory_mib` of address space.

    Lives on one event loop. Start it in a thread that lives as long as the process: a decoder dies with the thread
    that started it. How many pictures wait is the caller's business.
    """

    def __init__(
        self, *, decoders: int = 1, seconds: float = 20, memory_mib: int = 1024, max_pixels: int = 50_000_000
    ) -> None:
        self._decoders = decoders
        self._seconds = seconds
        self._memory_mib = memory_mib
        self._max_pixels = max_pixels
        self._free = asyncio.Semaphore(decoders)
        self._pool: ProcessPool | None = None

    def start(self) -> None:
        """Starts the decoders, so that the first picture waits for none of them."""
        self._pool = ProcessPool(
            max_workers=self._decoders,
            max_tasks=PICTURES_A_DECODER,
            initializer=confine,
            # A belt for the case that this process hangs and does not look at the clock.
            initargs=(os.getpid(), self._memory_mib, math.ceil(PICTURES_A_DECODER * self._seconds)),
            context=multiprocessing.get_context("spawn"),
        )
        # The decoders import what they need with their first task.
        self._pool.schedule(decode.ready)

    def stop(self) -> None:
        """Ends the decoders at once, with what they are at; returns when they are gone."""
        if self._pool is not None:
            _end(self._pool)
            self._pool = None

    async def prepare(self, source: Path, declared: str, target: Path) -> Prepared:
        """Decodes `source`, whose media type is said to be `declared`, and writes the files named after `target`.

        Raises InvalidArgument for what does not decode, lies about its type, or is too much for a decoder,
        UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE for more pixels than are allowed, and Unavailable when there is
        no decoder. Then, and when the caller goes away, none of the files is left.
        """
        async with self._free:
            started = time.perf_counter()
            try:
                prepared = await self._decoded(source, declared, target)
            except BaseException as error:
                decode.remove(target)
                outcome, told = _told(error)
                if told is None:
                    raise
                raise told from error
            else:
                outcome = "ok"
                return prepared
            finally:
                PICTURES.labels(outcome).inc()
                SECONDS.observe(time.perf_counter() - started)

    async def _decoded(self, source: Path, declared: str, target: Path) -> Prepared:
        """One try more when the pool itself broke, as it does when a decoder is killed that has nothing to do."""
        try:
            return await self._scheduled(source, declared, target)
        except BrokenProcessPool:
            return await self._scheduled(source, declared, target)

    async def _scheduled(self, source: Path, declared: str, target: Path) -> Prepared:
        pool = self._pool
        if pool is None:
            raise Unavailable
        if not pool.active:
            self.start()
            await asyncio.to_thread(_end, pool)
            pool = self._pool
            assert pool is not None
        future = pool.schedule(decode.attempt, args=(source, declared, target, self._max_pixels), timeout=self._seconds)
        # The pool keeps the time of a decoder. This one is for a pool that breaks while the task is on its way to it.
        async with asyncio.timeout(self._seconds + STARTING_SECONDS):
            answer = await asyncio.wrap_future(future)
        if isinstance(answer, Refused):
            raise answer
        return answer


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _told(error: BaseException) -> tuple[str, MarketplaceError | None]:
    """The outcome to count, and what the caller is told; None for what is no picture's fault."""
    match error:
        case Refused(outcome="unsupported"):
            return "refused", MarketplaceError("UNSUPPORTED_MEDIA_TYPE")
        case Refused(outcome="too_large"):
            return "too_large", MarketplaceError("PAYLOAD_TOO_LARGE", error.message)
        case Refused():
            return error.outcome, InvalidArgument([Violation("file", error.message)])
        case BrokenProcessPool():
            return "crashed", Unavailable()
        case ProcessExpired():
            return "crashed", InvalidArgument([Violation("file", "is too much work to decode")])
        case TimeoutError():
            return "timeout", InvalidArgument([Violation("file", "takes too long to decode")])
        case asyncio.CancelledError():
            return "abandoned", None
        case _:
            return "crashed", None
