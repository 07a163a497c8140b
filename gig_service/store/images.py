"""Images. A gig's images change only while the gig is locked; their files are deleted through the outbox."""

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from gig_service.domain.image import Image, NewImage, after_adding, after_choosing, after_removing
from gig_service.store.gigs import Gigs
from gig_service.store.models import ImageRow
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from servicekit.outbox import Outbox

# The outbox's topic for files that nothing needs any more; a row's key is the image's id, its payload {"keys": [...]}.
MEDIA = "media"

OF_GIG = Statement("SELECT id, key, thumbnail_key, is_primary FROM images WHERE gig_id = $1 ORDER BY position")
LAST_POSITION = Statement("SELECT coalesce(max(position), 0) AS last FROM images WHERE gig_id = $1")
PAGE_OF_ALL = Statement("""
    SELECT gig_id, id, key, thumbnail_key, is_primary FROM images WHERE id > $1 ORDER BY id LIMIT 500
""")
EXISTS = Statement("SELECT id FROM images WHERE id = $1")
# Of a picture that was taken away the outbox knows until its files are gone.
KNOWN = Statement(f"""
    SELECT key FROM images WHERE key = ANY ($1::text[])
    UNION ALL SELECT thumbnail_key FROM images WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL SELECT waiting.key FROM outbox, jsonb_array_elements_text(payload -> 'keys') AS waiting (key)
    WHERE topic = '{MEDIA}' AND waiting.key = ANY ($1::text[])
""")  # noqa: S608  # a constant of ours


class Images:
    """The images. The writes raise the gig's version and keep the thumbnail that searches show."""

    def __init__(self, database: Database, gigs: Gigs, outbox: Outbox) -> None:
        self._database = database
        self._gigs = gigs
        self._outbox = outbox

    def insert(self, gig_id: UUID, new: Sequence[NewImage], *, first_is_primary: bool) -> list[Image]:
        """Adds images behind those that the gig has, and returns them as they are stored.

        The first of them becomes primary when that is asked for, or when the gig had none.
        """
        before = self._of(gig_id)
        added = [Image(new_id(), image.key, image.thumbnail_key, is_primary=False) for image in new]
        after = after_adding(before, added, first_is_primary=first_is_primary)
        row = self._database.fetch_one(LAST_POSITION, gig_id)
        last = row["last"] if row else 0
        ImageRow.insert_many(
            {
                "id": image.id,
                "gig_id": gig_id,
                "position": last + number,
                "key": image.key,
                "thumbnail_key": image.thumbnail_key,
                "is_primary": False,
            }
            for number, image in enumerate(added, start=1)
        ).execute(self._database.peewee)
        self._settle(gig_id, after)
        return after[len(before) :]

    def make_primary(self, gig_id: UUID, image_id: UUID) -> Image:
        """Makes an image primary instead of another; when it is already, nothing changes. Raises NotFound("Image")."""
        before = self._of(gig_id)
        after = after_choosing(before, image_id)
        if after != before:
            self._settle(gig_id, after)
        return next(image for image in after if image.is_primary)

    def delete(self, gig_id: UUID, image_id: UUID) -> None:
        """Takes an image away; if it was primary, the oldest other one is now. Raises NotFound("Image")."""
        before = self._of(gig_id)
        after = after_removing(before, image_id)
        ImageRow.delete().where(ImageRow.id == image_id).execute(self._database.peewee)
        self._discard(image for image in before if image.id == image_id)
        self._settle(gig_id, after)

    def delete_all(self, gig_id: UUID) -> None:
        """Takes all images of a gig away."""
        before = self._of(gig_id)
        if before:
            ImageRow.delete().where(ImageRow.gig_id == gig_id).execute(self._database.peewee)
            self._discard(before)
            self._settle(gig_id, [])

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose files are some image's, or will be deleted by the outbox's relay."""
        return {row["key"] for row in self._database.fetch_all(KNOWN, list(keys))}

    def all(self) -> Iterator[tuple[UUID, Image]]:
        """Every image with its gig's id, some hundreds a statement."""
        last = UUID(int=0)
        while rows := self._database.fetch_all(PAGE_OF_ALL, last):
            yield from ((row.pop("gig_id"), Image(**row)) for row in rows)
            last = rows[-1]["id"]

    def exists(self, image_id: UUID) -> bool:
        """Whether there is such an image."""
        return self._database.fetch_one(EXISTS, image_id) is not None

    def _of(self, gig_id: UUID) -> list[Image]:
        return [Image(**row) for row in self._database.fetch_all(OF_GIG, gig_id)]

    def _discard(self, images: Iterable[Image]) -> None:
        for image in images:
            self._outbox.add(MEDIA, str(image.id), 1, {"keys": [image.key, image.thumbnail_key]})

    def _settle(self, gig_id: UUID, images: Sequence[Image]) -> None:
        """Stores which of the images is primary, and what follows from it for the gig."""
        primary = next((image for image in images if image.is_primary), None)
        if primary is not None:
            # One after the other: at no moment may there be two.
            ImageRow.update(is_primary=False).where(
                ImageRow.gig_id == gig_id, ImageRow.is_primary, ImageRow.id != primary.id
            ).execute(self._database.peewee)
            ImageRow.update(is_primary=True).where(ImageRow.id == primary.id, ~ImageRow.is_primary).execute(
                self._database.peewee
            )
        self._gigs.touch(gig_id, thumbnail_key=primary.thumbnail_key if primary else "")
