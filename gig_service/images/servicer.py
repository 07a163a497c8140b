"""ImageService's RPC: an upload in, the new images out. Nothing here may block the event loop.

The pipeline in servicekit.aio checks access and requests around it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar
from uuid import UUID

from prometheus_client import Counter, Histogram

from gig_service import convert
from gig_service.commands.add_images import AddImages
from gig_service.domain.image import Image
from gig_service.images.decoder_pool import DecoderPool
from gig_service.images.forms import ReceivedFile, UploadLimits, receive_files
from gig_service.media.decoded_picture import DecodedPicture
from marketplace.gig.v1 import image_pb2
from servicekit.call import Call
from servicekit.crash import crash_point
from servicekit.errors import DeadlineExceeded, MarketplaceError
from servicekit.user_places import UserPlaces

UPLOADS = Counter("marketplace_uploads_total", "Uploads by outcome.", ("outcome",))
BYTES = Histogram(
    "marketplace_upload_file_bytes",
    "How large the uploaded files were, in bytes.",
    buckets=(10_000, 100_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000),
)

# The prefix of an upload's folder, by which the next process finds the folders of a dead one.
UPLOAD_PREFIX = "upload-"
# A connection may take so long to get going.
GRACE_SECONDS = 20.0

Pieces = AsyncIterator[image_pb2.UploadImagesRequest]
P = ParamSpec("P")
R = TypeVar("R")


class ImageServicer:
    """The RPC of `marketplace.gig.v1.ImageService`.

    `places` bounds the uploads at once. Incoming uploads are stored in `upload_dir`; each file can have `max_bytes`,
    and must come at `min_rate` bytes a second. `media_url` is the prefix of images' URLs.
    """

    def __init__(
        self,
        add_images: AddImages,
        decoders: DecoderPool,
        places: UserPlaces,
        upload_dir: Path,
        *,
        max_bytes: int,
        min_rate: float,
        media_url: str,
    ) -> None:
        self._add_images = add_images
        self._decoders = decoders
        self._places = places
        self._upload_dir = upload_dir
        self._max_bytes = max_bytes
        self._min_rate = min_rate
        self._media_url = media_url

    @contextmanager
    def admit(self, call: Call) -> Iterator[None]:
        """Keep a place for the call, from before its first message. Raises RATE_LIMITED, Unavailable."""
        with ExitStack() as place:
            try:
                place.enter_context(self._places.place(call.caller.id))
            except MarketplaceError as error:
                UPLOADS.labels(error.code).inc()
                raise
            yield

    async def UploadImages(self, pieces: Pieces, call: Call) -> image_pb2.UploadImagesResponse:
        outcome = "CANCELLED"
        try:
            images = await self._upload(pieces, call)
            outcome = "OK"
        except Exception as error:
            outcome = error.code if isinstance(error, MarketplaceError) else "INTERNAL"
            raise
        finally:
            UPLOADS.labels(outcome).inc()
        return image_pb2.UploadImagesResponse(images=convert.to_images(images, self._media_url))

    async def _upload(self, pieces: Pieces, call: Call) -> Sequence[Image]:
        first = await anext(pieces)
        gig_id = UUID(first.gig_id)
        gig = await asyncio.to_thread(self._add_images.check_allowed, gig_id, call.caller, call.if_match)
        limits = UploadLimits(self._max_bytes, lambda files: self._add_images.check_room(gig, files))
        # A cancelled call may leave a thread that still writes into the folder.
        with TemporaryDirectory(dir=self._upload_dir, prefix=UPLOAD_PREFIX, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            body = steady(_bodies(first, pieces), self._min_rate)
            files = await receive_files(first.file.content_type, body, folder, limits)
            crash_point("received")
            pictures = await self._decode(files, folder, call)
            page = await _run_to_completion(
                self._add_images.execute,
                gig_id,
                pictures,
                call.caller,
                call.if_match,
                first_is_primary=first.is_primary,
            )
        call.set_etag(page.etag)
        return page.images[-len(pictures) :]

    async def _decode(self, files: Sequence[ReceivedFile], folder: Path, call: Call) -> list[DecodedPicture]:
        pictures = []
        for number, file in enumerate(files):
            BYTES.observe(file.path.stat().st_size)
            target = folder / f"decoded-{number}"
            pictures.append(await self._decoders.decode(file.path, file.media_type, target, call.caller.id))
            file.path.unlink()
        return pictures


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


async def _bodies(first: image_pb2.UploadImagesRequest, others: Pieces) -> AsyncIterator[bytes]:
    yield first.file.data
    async for piece in others:
        yield piece.file.data


async def _run_to_completion(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run the function in a thread. A call that is cancelled meanwhile waits for its end, successful or not."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
