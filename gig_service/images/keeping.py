"""Makes pictures a gig's: files first, then rows.

Rows decide. Until the transaction commits the gig is as it was, and what dies on the way leaves at most files without a
row, which the sweeper finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from gig_service.domain.gig import Gig, check_editable
from gig_service.domain.image import Image, NewImage, check_image_room
from gig_service.images.decode import Prepared
from gig_service.images.storage import Storage, new_key
from gig_service.store import Store
from servicekit.call import Call
from servicekit.crash import crash_point
from servicekit.database import DatabaseAway
from servicekit.errors import Unavailable

THUMBNAIL = "webp"


class Keeper:
    """Blocks: it asks the database and the storage. `limit` is how many images a gig can have."""

    def __init__(self, store: Store, storage: Storage, limit: int) -> None:
        self._store = store
        self._storage = storage
        self._limit = limit

    def admit(self, gig_id: UUID, call: Call) -> Gig:
        """The gig as it is, when the caller may add an image to it now. Raises as `keep` does."""
        gig = self._store.gigs.head(gig_id)
        self._check(gig, 1, call)
        return gig

    def check_count(self, gig: Gig, adding: int) -> None:
        """Raises Conflict (LIMIT_REACHED) when the gig cannot take so many."""
        check_image_room(gig, adding, self._limit)

    def keep(
        self, gig_id: UUID, pictures: Sequence[Prepared], call: Call, *, first_is_primary: bool
    ) -> tuple[list[Image], str]:
        """Stores pictures and adds them to the gig: all or none. The images, and the gig's new tag.

        Raises NotFound, Forbidden, PreconditionFailed and Conflict, for what has changed since `admit`, and
        Unavailable. The gig is then as it was; only with DatabaseAway nobody knows.
        """
        stored: list[str] = []
        try:
            new = [self._store_files(picture, stored) for picture in pictures]
            crash_point("files stored")
            with self._store.transaction():
                gig = self._store.gigs.lock(gig_id)
                self._check(gig, len(new), call)
                self._store.sellers.remember(call.user_id, call.caller.username)
                images = self._store.images.insert(gig_id, new, first_is_primary=first_is_primary)
                etag = self._store.gigs.page(gig_id).etag
                crash_point("rows written")
            crash_point("committed")
        except DatabaseAway:
            # Perhaps the commit got through. So the files stay; if there are no rows, the sweeper finds them.
            raise
        except BaseException:
            self._discard(stored)
            raise
        return images, etag

    def _check(self, gig: Gig, adding: int, call: Call) -> None:
        check_editable(gig, call.caller, call.if_match)
        self.check_count(gig, adding)

    def _store_files(self, picture: Prepared, stored: list[str]) -> NewImage:
        new = NewImage(new_key(picture.extension), new_key(THUMBNAIL))
        # Noted first: of a file whose storing failed perhaps something is there.
        stored.append(new.key)
        self._storage.put(new.key, picture.picture, picture.media_type)
        crash_point("picture stored")
        stored.append(new.thumbnail_key)
        self._storage.put(new.thumbnail_key, picture.thumbnail, "image/webp")
        return new

    def _discard(self, keys: Sequence[str]) -> None:
        """As far as the storage can be reached; the sweeper finds the rest."""
        with suppress(Unavailable):
            for key in keys:
                self._storage.delete(key)
