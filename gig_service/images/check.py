"""`python -m gig_service.images.check`: finds images whose files are missing. Its status is 1 when there are any."""

import sys
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from pydantic import Field

from gig_service.media.pictures import storage_from
from gig_service.settings import MediaSettings
from gig_service.store.store import Store
from servicekit.database import Database
from servicekit.errors import MarketplaceError
from servicekit.settings import load
from servicekit.storage.storage import Storage


class CheckSettings(MediaSettings):
    """The settings of GigService that the check needs."""

    gig_database_url: str = Field(description="GigService's database: a libpq URL.")


class MissingFile(NamedTuple):
    """A missing file, and the image that it belongs to."""

    gig_id: UUID
    image_id: UUID
    key: str


class Report(NamedTuple):
    """The number of images, their missing files, and the number of files without an image."""

    images: int
    missing: list[MissingFile]
    orphans: int


def check(store: Store, storage: Storage) -> Report:
    """Compare images and files. Raises Unavailable when either cannot be read."""
    images = 0
    missing: list[MissingFile] = []
    for gig_id, image in store.images.all():
        images += 1
        keys = [key for key in (image.key, image.thumbnail_key) if not storage.exists(key)]
        # The image may have been deleted since it was read; then its files are rightly gone.
        if keys and store.images.exists(image.id):
            missing += [MissingFile(gig_id, image.id, key) for key in keys]
    orphans = sum(1 for _ in store.images.orphans(storage.keys(timedelta(0))))
    return Report(images, missing, orphans)


def main() -> int:
    """Print the report and return the exit status."""
    settings = load(CheckSettings)
    try:
        report = check(Store(Database(settings.gig_database_url)), storage_from(settings))
    except MarketplaceError as error:
        print(f"The pictures cannot be checked: {str(error.__cause__ or error).strip()}", file=sys.stderr)
        # The same status as for invalid settings: nothing was checked.
        return 2
    for file in report.missing:
        print(f"gig {file.gig_id} image {file.image_id}: {file.key} is gone")
    print(f"images: {report.images}, files gone: {len(report.missing)}, files without an image: {report.orphans}")
    return 1 if report.missing else 0


if __name__ == "__main__":
    sys.exit(main())
