"""A pool of decoders: processes that may be slow, run out of memory or die without harm to the rest.

Users take turns at them. A decoder that fails is replaced before the next picture. Nothing that a decoder says is
believed without a check: it works on the bytes of strangers.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gig_service.images.decode import PictureRefused
from gig_service.images.decoder import BEGUN, TASK, TYPES
from gig_service.images.keeper import Keeper, KeeperLost
from gig_service.images.picture_type import BYTES, picture_type
from gig_service.images.turns import Turns
from gig_service.media.decoded_picture import THUMBNAIL_MEDIA_TYPE, DecodedPicture
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
STARTING_SECONDS = 20
# The longest message of a decoder.
_MESSAGE = 1_000


class _Ready(BaseModel):
    missing: list[str]


class _Written(BaseModel):
    type: Literal["image/jpeg", "image/png", "image/webp"]
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class _Refused(BaseModel):
    outcome: Literal["too_large", "refused", "crashed", "failed"]
    message: str = Field(max_length=200)


_RESULT: TypeAdapter[_Written | _Refused] = TypeAdapter(_Written | _Refused)


class _NotBegun(Exception):
    """The decoder has ended without a look at the picture."""


class _Crashed(Exception):
    """The decoder has ended in the middle of the picture, or has said something that no decoder says."""


@dataclass
class _Decoder:
    """A decoder process, and the pictures that it has taken."""

    pid: int
    connection: socket.socket
    is_ready: bool = False
    pictures: int = 0


class DecoderPool:
    """Decodes pictures in `decoders` processes of the keeper, each picture in at most `seconds`.

    It belongs to one event loop. `on_lost` is called when the keeper has ended: no picture can be decoded then.
    """

    def __init__(
        self,
        keeper: Keeper,
        *,
        decoders: int = 1,
        seconds: float = 20,
        max_pixels: int = 50_000_000,
        wait_seconds: float = 60,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._keeper = keeper
        self._seconds = seconds
        self._max_pixels = max_pixels
        self._turns = Turns(decoders, wait_seconds)
        self._on_lost = on_lost
        self._decoders: list[_Decoder | None] = [None] * decoders
        self._is_stopped = False
        self._has_logged = False

    def start(self) -> None:
        """Start the decoders, so that the first picture need not wait for that."""
        for place in range(len(self._decoders)):
            self._start(place)

    def stop(self) -> None:
        """Stop the keeper and its decoders at once, even in the middle of a picture, and wait for their end."""
        self._is_stopped = True
        for place in range(len(self._decoders)):
            self._discard(place)
        self._keeper.stop()

    async def decode(self, source: Path, media_type: str, target: Path, user: Hashable = None) -> DecodedPicture:
        """Decode `source`, a file of this type, and write `target` and `<target>-thumbnail`. Users take turns.

        Raises InvalidArgument for a picture that cannot be decoded or is too much for a decoder, PAYLOAD_TOO_LARGE for
        too many pixels; and Unavailable when there is no decoder in time. After an error, or when the caller is
        cancelled, none of the two files is left.
        """
        thumbnail = target.with_name(f"{target.name}-thumbnail")
        async with self._turns.turn(user) as place:
            started = time.perf_counter()
            try:
                written = await self._decode(place, source, media_type, target, thumbnail)
            except BaseException as error:
                for path in (target, thumbnail):
                    path.unlink(missing_ok=True)
                outcome, error_for_caller = _outcome(error)
                if error_for_caller is None:
                    raise
                raise error_for_caller from error
            else:
                outcome = "ok"
                return DecodedPicture(target, thumbnail, written.type, written.width, written.height)
            finally:
                PICTURES.labels(outcome).inc()
                SECONDS.observe(time.perf_counter() - started)

    async def _decode(self, place: int, source: Path, media_type: str, target: Path, thumbnail: Path) -> _Written:
        """Decode, with a second try when the decoder had been killed while it was idle."""
        try:
            result = await self._try(place, source, media_type, target, thumbnail)
        except _NotBegun:
            result = await self._try(place, source, media_type, target, thumbnail)
        if isinstance(result, _Refused):
            if result.outcome == "failed":
                structlog.get_logger().error("a decoder failed", error=result.message)
                raise Unavailable
            raise PictureRefused(result.outcome, result.message)
        if _type_of(target) != result.type or _type_of(thumbnail) != THUMBNAIL_MEDIA_TYPE:
            self._discard(place)
            raise _Crashed
        return result

    async def _try(
        self, place: int, source: Path, media_type: str, target: Path, thumbnail: Path
    ) -> _Written | _Refused:
        """Return the decoder's result. A decoder that does not give one is killed."""
        if self._decoders[place] is None:
            await asyncio.to_thread(self._start, place)
        decoder = self._decoders[place]
        if decoder is None:
            raise Unavailable
        is_whole = False
        try:
            await self._begin(decoder, source, media_type, target, thumbnail)
            async with asyncio.timeout(self._seconds):
                message = await _receive(decoder)
            try:
                result = _RESULT.validate_json(message)
            except ValidationError as error:
                raise _Crashed from error
            is_whole = decoder.pictures < PICTURES_A_DECODER
            return result
        finally:
            if not is_whole:
                self._discard(place)

    async def _begin(self, decoder: _Decoder, source: Path, media_type: str, target: Path, thumbnail: Path) -> None:
        """Give the decoder a picture. Raises _NotBegun when it does not begin."""
        try:
            async with asyncio.timeout(STARTING_SECONDS):
                if not decoder.is_ready:
                    self._log_once(_Ready.model_validate_json(await _receive(decoder)))
                    decoder.is_ready = True
                decoder.pictures += 1
                with ExitStack() as files:
                    opened = (source.open("rb"), target.open("wb"), thumbnail.open("wb"))
                    numbers = [files.enter_context(file).fileno() for file in opened]
                    task = TASK.pack(TYPES.index(media_type), self._max_pixels)
                    socket.send_fds(decoder.connection, [task], numbers)
                if await _receive(decoder) != BEGUN:
                    raise _Crashed
        except (OSError, _Crashed, ValidationError) as error:
            raise _NotBegun from error

    def _log_once(self, ready: _Ready) -> None:
        if not self._has_logged:
            self._has_logged = True
            log = structlog.get_logger()
            level = log.warning if ready.missing else log.info
            level("decoders are confined", missing=ready.missing)

    def _start(self, place: int) -> None:
        """Start a decoder at this place, unless this was stopped meanwhile."""
        if self._is_stopped:
            return
        try:
            pid, connection = self._keeper.start_decoder()
        except KeeperLost:
            if not self._is_stopped:
                structlog.get_logger().error("the decoder keeper has ended")
                self._on_lost()
            return
        connection.setblocking(False)
        self._decoders[place] = _Decoder(pid, connection)

    def _discard(self, place: int) -> None:
        """Kill the decoder at this place; the next picture gets another."""
        decoder, self._decoders[place] = self._decoders[place], None
        if decoder is not None:
            self._keeper.kill(decoder.pid)
            decoder.connection.close()


async def _receive(decoder: _Decoder) -> bytes:
    """Return the decoder's next message. Raises _Crashed when it has ended."""
    try:
        message = await asyncio.get_running_loop().sock_recv(decoder.connection, _MESSAGE)
    except OSError as error:
        raise _Crashed from error
    if not message:
        raise _Crashed
    return message


def _type_of(path: Path) -> str | None:
    with path.open("rb") as file:
        return picture_type(file.read(BYTES))


def _outcome(error: BaseException) -> tuple[str, MarketplaceError | None]:
    """Return the outcome to count, and the error for the caller; None for an error that the picture did not cause."""
    match error:
        case PictureRefused(outcome="too_large"):
            return "too_large", MarketplaceError("PAYLOAD_TOO_LARGE", error.message)
        case PictureRefused():
            return error.outcome, InvalidArgument([Violation("file", error.message)])
        case _NotBegun() | Unavailable():
            return "crashed", Unavailable()
        case _Crashed():
            return "crashed", InvalidArgument([Violation("file", "is too much work to decode")])
        case TimeoutError():
            return "timeout", InvalidArgument([Violation("file", "takes too long to decode")])
        case asyncio.CancelledError():
            return "abandoned", None
        case _:
            return "crashed", None
