"""A pool of decoders: processes that may be slow, run out of memory or die without harm to the rest.

They are spawned, not forked, so they share no connection and no thread with the serving process. A decoder that fails
is replaced before the next picture.
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

from gig_service.images.decode import PictureRefused, delete_output, try_decode, warm_up
from gig_service.images.decoder_limits import apply_limits
from gig_service.media.decoded_picture import DecodedPicture
from servicekit.errors import InvalidArgument, MarketplaceError, Unavailable, Violation

PICTURES = Counter("marketplace_pictures_total", "Decoded pictures by outcome.", ("outcome",))
SECONDS = Histogram(
    "marketplace_picture_seconds",
    "How long a decoder had a picture, in seconds, without the wait for a free one.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
)
# A decoder is replaced after this many pictures, which frees memory that it may have leaked.
PICTURES_A_DECODER = 100
# A free decoder takes a picture at once, a starting one within a second.
STARTING_SECONDS = 5


class DecoderPool:
    """Decodes pictures in `decoders` processes, each picture in at most `seconds` and `memory_mib` of address space.

    It belongs to one event loop. Start it in a thread that lives as long as the process: a decoder dies with the thread
    that started it. The number of waiting pictures is not limited.
    """

    def __init__(
        self, *, decoders: int = 1, seconds: float = 20, memory_mib: int = 1024, max_pixels: int = 50_000_000
    ) -> None:
        self._seconds = seconds
        self._memory_mib = memory_mib
        self._max_pixels = max_pixels
        # One pebble pool for each decoder: a broken pool does not affect the pictures in others.
        self._pools: list[ProcessPool | None] = [None] * decoders
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for place in range(decoders):
            self._free.put_nowait(place)

    def start(self) -> None:
        """Start the decoders, so that the first picture need not wait for that."""
        for place in range(len(self._pools)):
            self._start(place)

    def stop(self) -> None:
        """Stop the decoders at once, even in the middle of a picture, and wait for their end."""
        for place, pool in enumerate(self._pools):
            self._pools[place] = None
            if pool is not None:
                _stop(pool)

    async def decode(self, source: Path, declared: str, target: Path) -> DecodedPicture:
        """Decode `source`, whose media type should be `declared`, and write the files named after `target`.

        Raises InvalidArgument for a picture that cannot be decoded, has another type, or is too much for a decoder;
        UNSUPPORTED_MEDIA_TYPE; PAYLOAD_TOO_LARGE for too many pixels; and Unavailable when there is no decoder. After
        an error, or when the caller is cancelled, none of the files is left.
        """
        place = await self._free.get()
        started = time.perf_counter()
        try:
            picture = await self._decode(place, source, declared, target)
        except BaseException as error:
            delete_output(target)
            outcome, error_for_caller = _outcome(error)
            if error_for_caller is None:
                raise
            raise error_for_caller from error
        else:
            outcome = "ok"
            return picture
        finally:
            self._free.put_nowait(place)
            PICTURES.labels(outcome).inc()
            SECONDS.observe(time.perf_counter() - started)

    async def _decode(self, place: int, source: Path, declared: str, target: Path) -> DecodedPicture:
        """Decode, with a second try when the pool is broken: the kill of an idle decoder breaks its pool."""
        try:
            result = await self._schedule(place, source, declared, target)
        except BrokenProcessPool:
            await self._replace(place)
            result = await self._schedule(place, source, declared, target)
        if isinstance(result, PictureRefused):
            raise result
        return result

    async def _schedule(self, place: int, source: Path, declared: str, target: Path) -> DecodedPicture | PictureRefused:
        """Return the decoder's result. Raises BrokenProcessPool when the decoder does not begin."""
        pool = self._pools[place]
        if pool is None:
            raise Unavailable
        if not pool.active:
            raise BrokenProcessPool
        future = pool.schedule(try_decode, args=(source, declared, target, self._max_pixels), timeout=self._seconds)
        result = asyncio.wrap_future(future)
        try:
            await asyncio.wait({result}, timeout=STARTING_SECONDS)
            # A pool that breaks while a task is on its way forgets the task.
            if not future.done() and not future.running():
                raise BrokenProcessPool
            return await result
        finally:
            result.cancel()

    def _start(self, place: int) -> None:
        pool = ProcessPool(
            max_workers=1,
            max_tasks=PICTURES_A_DECODER,
            initializer=apply_limits,
            # A second limit on time, in case this process hangs and does not enforce the first.
            initargs=(os.getpid(), self._memory_mib, math.ceil(PICTURES_A_DECODER * self._seconds)),
            context=multiprocessing.get_context("spawn"),
        )
        # A decoder imports its modules with its first task.
        pool.schedule(warm_up)
        self._pools[place] = pool

    async def _replace(self, place: int) -> None:
        """Start a new decoder in place of a broken pool, unless this was stopped meanwhile."""
        broken = self._pools[place]
        if broken is not None:
            self._start(place)
            await asyncio.to_thread(_stop, broken)


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _outcome(error: BaseException) -> tuple[str, MarketplaceError | None]:
    """Return the outcome to count, and the error for the caller; None for an error that the picture did not cause."""
    match error:
        case PictureRefused(outcome="unsupported"):
            return "refused", MarketplaceError("UNSUPPORTED_MEDIA_TYPE")
        case PictureRefused(outcome="too_large"):
            return "too_large", MarketplaceError("PAYLOAD_TOO_LARGE", error.message)
        case PictureRefused():
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
