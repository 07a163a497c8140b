"""The command of `UpdateImage`."""

from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.domain.gig import GigPage
from gig_service.domain.image import after_choosing
from gig_service.store.store import Store
from servicekit.call import Caller


class UpdateImage:
    """Makes an image of the caller's gig the primary one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, image_id: UUID, caller: Caller, if_match: str | None) -> GigPage:
        """Make the image primary and return the gig's page; an image that is primary already changes nothing.

        Raises NotFound, Forbidden and PreconditionFailed.
        """
        with self._store.transaction():
            gig = lock_own_gig(self._store, gig_id, caller, if_match, image_id=image_id)
            images = self._store.images.of_gig(gig.id)
            self._store.images.save(gig.id, images, after_choosing(images, image_id))
            return self._store.gigs.page(gig.id)
