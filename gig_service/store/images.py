"""Images. A gig's images change only while the gig is locked; their files are deleted through the outbox."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from uuid import UUID

from gig_service.domain.image import Image
from gig_service.store.gigs import Gigs
from gig_service.store.models import ImageRow
from servicekit.database import Database, Statement
from servicekit.outbox import Outbox

# The outbox's topic for files to be deleted. A row's key is the image's id, its payload {"keys": [...]}.
MEDIA = "media"

OF_GIG = Statement("SELECT id, key, thumbnail_key, is_primary FROM images WHERE gig_id = $1 ORDER BY position")
LAST_POSITION = Statement("SELECT coalesce(max(position), 0) AS last FROM images WHERE gig_id = $1")
PAGE_OF_ALL = Statement("""
    SELECT gig_id, id, key, thumbnail_key, is_primary FROM images WHERE id > $1 ORDER BY id LIMIT 500
""")
EXISTS = Statement("SELECT id FROM images WHERE id = $1")
# The outbox names the files of a deleted image until they are deleted.
KNOWN = Statement(f"""
    SELECT key FROM images WHERE key = ANY ($1::text[])
    UNION ALL SELECT thumbnail_key FROM images WHERE thumbnail_key = ANY ($1::text[])
    UNION ALL SELECT waiting.key FROM outbox, jsonb_array_elements_text(payload -> 'keys') AS waiting (key)
    WHERE topic = '{MEDIA}' AND waiting.key = ANY ($1::text[])
""")
# Keys in one statement of `orphans`.
BATCH = 500


class Images:
    """The images. A write raises the gig's version and keeps the thumbnail that searches show."""

    def __init__(self, database: Database, gigs: Gigs, outbox: Outbox) -> None:
        self._database = database
        self._gigs = gigs
        self._outbox = outbox

    def of_gig(self, gig_id: UUID) -> list[Image]:
        """Return a gig's images, in the order of their adding."""
        return [Image(**row) for row in self._database.fetch_all(OF_GIG, gig_id)]

    def save(self, gig_id: UUID, before: Sequence[Image], after: Sequence[Image]) -> None:
        """Replace a gig's images, as `of_gig` returns them, by `after`; equal ones change nothing.

        New images come last. Rows in the outbox tell the relay to delete the files of those that are gone.
        """
        if list(before) == list(after):
            return
        self._insert(gig_id, _missing(after, before))
        self._delete(_missing(before, after))
        primary = next((image for image in after if image.is_primary), None)
        if primary is not None:
            self._set_primary(gig_id, primary.id)
        self._gigs.touch(gig_id, thumbnail_key=primary.thumbnail_key if primary else "")

    def known(self, keys: Sequence[str]) -> set[str]:
        """Return the keys whose files belong to an image, or wait in the outbox for their deletion."""
        return {row["key"] for row in self._database.fetch_all(KNOWN, list(keys))}

    def orphans(self, keys: Iterable[str]) -> Iterator[str]:
        """Yield the keys that are not `known`, some hundreds a statement."""
        rest = iter(keys)
        while batch := list(islice(rest, BATCH)):
            known = self.known(batch)
            yield from (key for key in batch if key not in known)

    def all(self) -> Iterator[tuple[UUID, Image]]:
        """Yield every image with its gig's id, some hundreds a statement."""
        last = UUID(int=0)
        while rows := self._database.fetch_all(PAGE_OF_ALL, last):
            yield from ((row.pop("gig_id"), Image(**row)) for row in rows)
            last = rows[-1]["id"]

    def exists(self, image_id: UUID) -> bool:
        """Return whether there is an image with this id."""
        return self._database.fetch_one(EXISTS, image_id) is not None

    def _insert(self, gig_id: UUID, images: Sequence[Image]) -> None:
        if not images:
            return
        row = self._database.fetch_one(LAST_POSITION, gig_id)
        last = row["last"] if row else 0
        ImageRow.insert_many(
            {
                "id": image.id,
                "gig_id": gig_id,
                "position": last + number,
                "key": image.key,
                "thumbnail_key": image.thumbnail_key,
                # Set afterwards: until then another image is primary.
                "is_primary": False,
            }
            for number, image in enumerate(images, start=1)
        ).execute(self._database.peewee)

    def _delete(self, images: Sequence[Image]) -> None:
        if not images:
            return
        ImageRow.delete().where(ImageRow.id.in_([image.id for image in images])).execute(self._database.peewee)
        for image in images:
            self._outbox.add(MEDIA, str(image.id), 1, {"keys": [image.key, image.thumbnail_key]})

    def _set_primary(self, gig_id: UUID, image_id: UUID) -> None:
        """Make one image primary. Two statements: the unique index allows no two primary images at any moment."""
        ImageRow.update(is_primary=False).where(
            ImageRow.gig_id == gig_id, ImageRow.is_primary, ImageRow.id != image_id
        ).execute(self._database.peewee)
        ImageRow.update(is_primary=True).where(ImageRow.id == image_id, ~ImageRow.is_primary).execute(
            self._database.peewee
        )


def _missing(images: Sequence[Image], others: Sequence[Image]) -> list[Image]:
    """Return the images that are not among the others."""
    ids = {image.id for image in others}
    return [image for image in images if image.id not in ids]
