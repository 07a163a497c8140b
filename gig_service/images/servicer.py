"""ImageService's RPC. What surrounds it is in servicekit.aio; nothing in it may block the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar
from uuid import UUID

from prometheus_client import Counter, Histogram

from gig_service import convert
from gig_service.domain.image import Image
from gig_service.images.decode import Prepared
from gig_service.images.forms import Limits, Received, receive
from gig_service.images.keeping import Keeper
from gig_service.images.workshop import Workshop
from marketplace.gig.v1 import image_pb2
from servicekit.call import Call
from servicekit.crash import crash_point
from servicekit.errors import MarketplaceError

UPLOADS = Counter("marketplace_uploads_total", "Uploads by what became of them.", ("outcome",))
BYTES = Histogram(
    "marketplace_upload_file_bytes",
    "How large the uploaded files were, in bytes.",
    buckets=(10_000, 100_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000),
)

# How the folder of an upload is called, so that it is known when its process is gone.
UPLOAD_PREFIX = "upload-"

Pieces = AsyncIterator[image_pb2.UploadImagesRequest]
P = ParamSpec("P")
R = TypeVar("R")


class ImageServicer:
    """Answers the RPC of `marketplace.gig.v1.ImageService`.

    Uploads lie in `spool` while they come in, a file with at most `max_bytes`. `media_url` is what the addresses of
    pictures begin with.
    """

    def __init__(self, keeper: Keeper, workshop: Workshop, spool: Path, max_bytes: int, media_url: str) -> None:
        self._keeper = keeper
        self._workshop = workshop
        self._spool = spool
        self._max_bytes = max_bytes
        self._media_url = media_url

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

    async def _upload(self, pieces: Pieces, call: Call) -> list[Image]:
        first = await anext(pieces)
        gig_id = UUID(first.gig_id)
        gig = await asyncio.to_thread(self._keeper.admit, gig_id, call)
        limits = Limits(self._max_bytes, lambda files: self._keeper.check_count(gig, files))
        # A call that was cancelled may have a thread left that writes there.
        with TemporaryDirectory(dir=self._spool, prefix=UPLOAD_PREFIX, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            files = await receive(first.file.content_type, _bodies(first, pieces), folder, limits)
            crash_point("received")
            pictures = await self._prepare(files, folder)
            images, etag = await _to_the_end(
                self._keeper.keep, gig_id, pictures, call, first_is_primary=first.is_primary
            )
        call.set_etag(etag)
        return images

    async def _prepare(self, files: Sequence[Received], folder: Path) -> list[Prepared]:
        pictures = []
        for number, file in enumerate(files):
            BYTES.observe(file.path.stat().st_size)
            pictures.append(await self._workshop.prepare(file.path, file.media_type, folder / f"prepared-{number}"))
            file.path.unlink()
        return pictures


async def _bodies(first: image_pb2.UploadImagesRequest, others: Pieces) -> AsyncIterator[bytes]:
    yield first.file.data
    async for piece in others:
        yield piece.file.data


async def _to_the_end(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs in a thread. A call that is cancelled meanwhile waits until that is over, whatever it comes to."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
