"""The command of `UploadImages`: first the files, then the rows, which can be tried again while there is no primary.

The rows decide. Until the transaction commits, the gig is unchanged. A process that dies on the way leaves at most
files without a row, which the orphan sweeper deletes.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.domain.gig import Gig, GigPage, check_editable
from gig_service.domain.image import Image, after_adding, check_image_room
from gig_service.media.decoded_picture import THUMBNAIL_EXTENSION, THUMBNAIL_MEDIA_TYPE, DecodedPicture
from gig_service.store.store import Store
from servicekit.call import Caller
from servicekit.crash import crash_point
from servicekit.ids import new_id
from servicekit.storage.storage import Storage, deleted_on_failure, new_key


class AddImages:
    """Adds pictures to the caller's gig, which can have `limit` images. It blocks on the database and the storage."""

    def __init__(self, store: Store, storage: Storage, limit: int) -> None:
        self._store = store
        self._storage = storage
        self._limit = limit

    def check_allowed(self, gig_id: UUID, caller: Caller, if_match: str | None) -> Gig:
        """Return the gig when the caller may add an image to it now. Raises as `add` does.

        It refuses an upload before its files arrive; `add` checks again.
        """
        gig = self._store.gigs.get(gig_id)
        check_editable(gig, caller, if_match)
        self.check_room(gig, 1)
        return gig

    def check_room(self, gig: Gig, adding: int) -> None:
        """Raise Conflict (LIMIT_REACHED) when the gig cannot have that many more images."""
        check_image_room(len(gig.image_ids), adding, self._limit)

    def store(self, pictures: Sequence[DecodedPicture]) -> list[Image]:
        """Store the files of the pictures, and return the images to add. Raises Unavailable; no file is left then."""
        stored: list[str] = []
        with deleted_on_failure(self._storage, stored):
            images = [self._store_files(picture, stored) for picture in pictures]
        crash_point("files stored")
        return images

    def add(
        self,
        gig_id: UUID,
        added: Sequence[Image],
        caller: Caller,
        if_match: str | None,
        *,
        first_is_primary: bool,
    ) -> GigPage:
        """Add all or none of the stored images to the gig, and return its page, where they are the last ones.

        Raises NotFound, Forbidden, PreconditionFailed, Conflict and Unavailable; the gig is then unchanged, and the
        files are deleted. After DatabaseAway it is not known whether the gig has the images, and they stay: the orphan
        sweeper deletes those without a row.
        """
        keys = [key for image in added for key in (image.key, image.thumbnail_key)]
        with deleted_on_failure(self._storage, keys):
            with self._store.transaction():
                gig = lock_own_gig(self._store, gig_id, caller, if_match)
                self.check_room(gig, len(added))
                images = self._store.images.of_gig(gig.id)
                self._store.images.save(gig.id, images, after_adding(images, added, first_is_primary=first_is_primary))
                page = self._store.gigs.page(gig.id)
                crash_point("rows written")
            crash_point("committed")
        return page

    def _store_files(self, picture: DecodedPicture, stored: list[str]) -> Image:
        """Store both files of a picture; each key is added to `stored` first, since a failed `put` may leave a file."""
        image = Image(new_id(), new_key(picture.extension), new_key(THUMBNAIL_EXTENSION), is_primary=False)
        stored.append(image.key)
        self._storage.put(image.key, picture.path, picture.media_type)
        crash_point("picture stored")
        stored.append(image.thumbnail_key)
        self._storage.put(image.thumbnail_key, picture.thumbnail, THUMBNAIL_MEDIA_TYPE)
        return image
