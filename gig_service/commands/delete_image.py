"""The command of `DeleteImage`."""

from uuid import UUID

from gig_service.commands.editing import lock_own_gig
from gig_service.domain.gig import GigPage
from gig_service.domain.image import after_removing
from gig_service.store.store import Store
from servicekit.call import Caller


class DeleteImage:
    """Deletes an image of the caller's gig; its files are deleted after the commit, through the outbox."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, gig_id: UUID, image_id: UUID, caller: Caller, if_match: str | None) -> GigPage:
        """Delete the image and return the gig's page. Raises NotFound, Forbidden and PreconditionFailed."""
        with self._store.transaction():
            gig = lock_own_gig(self._store, gig_id, caller, if_match, image_id=image_id)
            images = self._store.images.of_gig(gig.id)
            self._store.images.save(gig.id, images, after_removing(images, image_id))
            return self._store.gigs.page(gig.id)
