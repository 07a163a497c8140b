"""ImageService's RPC: an upload in, the new images out. Nothing here may block the event loop.

The pipeline in servicekit.aio checks access and requests around it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from gig_service import convert
from gig_service.commands.add_images import AddImages
from gig_service.domain.gig import GigPage
from gig_service.domain.image import Image
from gig_service.images.decoder_pool import DecoderPool
from gig_service.images.forms import ReceivedPicture, receive_pictures
from gig_service.media.decoded_picture import DecodedPicture
from marketplace.gig.v1 import image_pb2
from servicekit.call import Call
from servicekit.crash import crash_point
from servicekit.failover import until_primary
from servicekit.uploads.bodies import UploadLimits
from servicekit.uploads.folders import UPLOAD_PREFIX
from servicekit.uploads.uploads import BYTES, counted_upload, run_to_completion, steady, upload_place
from servicekit.user_places import UserPlaces

Pieces = AsyncIterator[image_pb2.UploadImagesRequest]


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

    def admit(self, call: Call) -> AbstractContextManager[None]:
        """Keep a place for the call, from before its first message. Raises RATE_LIMITED, Unavailable."""
        return upload_place(self._places, call.caller.id)

    async def UploadImages(self, pieces: Pieces, call: Call) -> image_pb2.UploadImagesResponse:
        with counted_upload():
            images = await self._upload(pieces, call)
        return image_pb2.UploadImagesResponse(images=convert.to_images(images, self._media_url))

    async def _upload(self, pieces: Pieces, call: Call) -> Sequence[Image]:
        first = await anext(pieces)
        gig_id = UUID(first.gig_id)
        gig = await until_primary(
            lambda: asyncio.to_thread(self._add_images.check_allowed, gig_id, call.caller, call.if_match)
        )
        limits = UploadLimits(self._max_bytes, lambda files: self._add_images.check_room(gig, files))
        # A cancelled call may leave a thread that still writes into the folder.
        with TemporaryDirectory(dir=self._upload_dir, prefix=UPLOAD_PREFIX, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            body = steady(_bodies(first, pieces), self._min_rate)
            files = await receive_pictures(first.file.content_type, body, folder, limits)
            crash_point("received")
            pictures = await self._decode(files, folder, call)
            page = await run_to_completion(self._keep(gig_id, pictures, call, first_is_primary=first.is_primary))
        call.set_etag(page.etag)
        return page.images[-len(pictures) :]

    async def _keep(
        self, gig_id: UUID, pictures: Sequence[DecodedPicture], call: Call, *, first_is_primary: bool
    ) -> GigPage:
        images = await asyncio.to_thread(self._add_images.store, pictures)
        return await until_primary(
            lambda: asyncio.to_thread(
                self._add_images.add, gig_id, images, call.caller, call.if_match, first_is_primary=first_is_primary
            )
        )

    async def _decode(self, files: Sequence[ReceivedPicture], folder: Path, call: Call) -> list[DecodedPicture]:
        pictures = []
        for number, file in enumerate(files):
            BYTES.observe(file.size)
            target = folder / f"decoded-{number}"
            pictures.append(await self._decoders.decode(file.path, file.media_type, target, call.caller.id))
            file.path.unlink()
        return pictures


async def _bodies(first: image_pb2.UploadImagesRequest, others: Pieces) -> AsyncIterator[bytes]:
    yield first.file.data
    async for piece in others:
        yield piece.file.data
