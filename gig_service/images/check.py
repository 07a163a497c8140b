"""`python -m gig_service.images.check`: finds images whose files are gone. Ends with status 1 when there are any."""

import sys
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from pydantic import Field

from gig_service.images.storage import Storage, storage_from
from gig_service.images.sweeper import without_image
from gig_service.settings import MediaSettings
from gig_service.store import Store
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.settings import load


class CheckSettings(MediaSettings):
    """What GigService knows, as far as it is about pictures."""

    gig_database_url: str = Field(description="GigService's database: a libpq URL.")


class Missing(NamedTuple):
    """A file that is gone, and the image that has lost it."""

    gig_id: UUID
    image_id: UUID
    key: str


class Findings(NamedTuple):
    """How many images there are, which of their files are gone, and how many files are no image's."""

    images: int
    missing: list[Missing]
    spare: int


def check(store: Store, storage: Storage) -> Findings:
    """Holds images against files. Raises Unavailable when either cannot be read."""
    images = 0
    missing: list[Missing] = []
    for gig_id, image in store.images.all():
        images += 1
        gone = [key for key in (image.key, image.thumbnail_key) if not storage.exists(key)]
        # An image that was deleted meanwhile has lost its files by right.
        if gone and store.images.exists(image.id):
            missing += [Missing(gig_id, image.id, key) for key in gone]
    spare = sum(1 for _ in without_image(storage.keys(timedelta(0)), store))
    return Findings(images, missing, spare)


def main() -> int:
    """Prints what was found; the status to end with."""
    settings = load(CheckSettings)
    try:
        found = check(Store(Database(settings.gig_database_url)), storage_from(settings))
    except MarketplaceError as error:
        print(f"The pictures cannot be checked: {str(error.__cause__ or error).strip()}", file=sys.stderr)
        # As for wrong settings: nothing was found out.
        return 2
    for file in found.missing:
        print(f"gig {file.gig_id} image {file.image_id}: {file.key} is gone")
    print(f"images: {found.images}, files gone: {len(found.missing)}, files without an image: {found.spare}")
    return 1 if found.missing else 0


if __name__ == "__main__":
    sys.exit(main())
