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
# A decoder that is free takes a picture at once, one that has to be started within a second.
STARTING_SECONDS = 5


class Workshop:
    """Prepares pictures in `decoders` processes, each picture in at most `seconds` and `memory_mib` of address space.

    Lives on one event loop. Start it in a thread that lives as long as the process: a decoder dies with the thread
    that started it. How many pictures wait is the caller's business.
    """

    def __init__(
        self, *, decoders: int = 1, seconds: float = 20, memory_mib: int = 1024, max_pixels: int = 50_000_000
    ) -> None:
        self._seconds = seconds
        self._memory_mib = memory_mib
        self._max_pixels = max_pixels
        # A pool for each decoder: what breaks one does not touch the picture that is in another.
        self._pools: list[ProcessPool | None] = [None] * decoders
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for place in range(decoders):
            self._free.put_nowait(place)

    def start(self) -> None:
        """Starts the decoders, so that the first picture waits for none of them."""
        for place in range(len(self._pools)):
            self._start(place)

    def stop(self) -> None:
        """Ends the decoders at once, with what they are at; returns when they are gone."""
        for place, pool in enumerate(self._pools):
            self._pools[place] = None
            if pool is not None:
                _end(pool)

    async def prepare(self, source: Path, declared: str, target: Path) -> Prepared:
        """Decodes `source`, whose media type is said to be `declared`, and writes the files named after `target`.

        Raises InvalidArgument for what does not decode, lies about its type, or is too much for a decoder,
        UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE for more pixels than are allowed, and Unavailable when there is
        no decoder. Then, and when the caller goes away, none of the files is left.
        """
        place = await self._free.get()
        started = time.perf_counter()
        try:
            prepared = await self._decoded(place, source, declared, target)
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
            self._free.put_nowait(place)
            PICTURES.labels(outcome).inc()
            SECONDS.observe(time.perf_counter() - started)

    async def _decoded(self, place: int, source: Path, declared: str, target: Path) -> Prepared:
        """With one try more when the pool is broken, as it is once a decoder was killed that had nothing to do."""
        try:
            answer = await self._scheduled(place, source, declared, target)
        except BrokenProcessPool:
            await self._replace(place)
            answer = await self._scheduled(place, source, declared, target)
        if isinstance(answer, Refused):
            raise answer
        return answer

    async def _scheduled(self, place: int, source: Path, declared: str, target: Path) -> Prepared | Refused:
        """The decoder's answer; BrokenProcessPool when it does not even begin."""
        pool = self._pools[place]
        if pool is None:
            raise Unavailable
        if not pool.active:
            raise BrokenProcessPool
        future = pool.schedule(decode.attempt, args=(source, declared, target, self._max_pixels), timeout=self._seconds)
        answer = asyncio.wrap_future(future)
        try:
            await asyncio.wait({answer}, timeout=STARTING_SECONDS)
            # A pool that breaks while a task is on its way to it forgets the task.
            if not future.done() and not future.running():
                raise BrokenProcessPool
            return await answer
        finally:
            answer.cancel()

    def _start(self, place: int) -> None:
        pool = ProcessPool(
            max_workers=1,
            max_tasks=PICTURES_A_DECODER,
            initializer=confine,
            # A belt for the case that this process hangs and does not look at the clock.
            initargs=(os.getpid(), self._memory_mib, math.ceil(PICTURES_A_DECODER * self._seconds)),
            context=multiprocessing.get_context("spawn"),
        )
        # A decoder imports what it needs with its first task.
        pool.schedule(decode.ready)
        self._pools[place] = pool

    async def _replace(self, place: int) -> None:
        """A new decoder where the pool is broken, unless the workshop has been stopped meanwhile."""
        broken = self._pools[place]
        if broken is not None:
            self._start(place)
            await asyncio.to_thread(_end, broken)


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
