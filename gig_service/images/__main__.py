"""`python -m gig_service.images`: the process that takes pictures."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from gig_service.images.keeping import Keeper
from gig_service.images.removal import removal
from gig_service.images.servicer import UPLOAD_PREFIX, ImageServicer
from gig_service.images.storage import storage_from
from gig_service.images.sweeper import Sweeper
from gig_service.images.workshop import Workshop
from gig_service.settings import ImageSettings
from gig_service.store import Store
from marketplace.gig.v1 import image_pb2, image_pb2_grpc
from servicekit.aio import run_aio
from servicekit.database import Database
from servicekit.server import ServiceSpec
from servicekit.settings import load

POLITENESS = 5
# With the sweeper's own round of five minutes, what an upload left behind is gone within the hour.
LEFT_BEHIND = timedelta(minutes=50)
MIGRATIONS = Path(__file__).parents[1] / "migrations"


def main() -> None:
    """Serves until it is told to stop."""
    # Whoever waits for a page goes before whoever brings a picture.
    os.nice(POLITENESS)
    settings = load(ImageSettings)
    if settings.upload_dir is not None:
        return serve(settings, emptied(settings.upload_dir))
    with TemporaryDirectory(prefix="marketplace-uploads-") as folder:
        return serve(settings, Path(folder))


def emptied(folder: Path) -> Path:
    """The folder without the uploads that an earlier process left there, which are of no use."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob(f"{UPLOAD_PREFIX}*"):
        shutil.rmtree(left)
    return folder


def serve(settings: ImageSettings, spool: Path) -> None:
    """Serves with this folder for what comes in."""

    def build(database: Database) -> ServiceSpec:
        store, storage = Store(database), storage_from(settings)
        workshop = Workshop(
            decoders=settings.image_decoders,
            seconds=settings.image_decode_seconds,
            memory_mib=settings.image_decode_memory_mib,
            max_pixels=settings.image_max_pixels,
        )
        keeper = Keeper(store, storage, settings.image_max_count)
        return ServiceSpec(
            ImageServicer(keeper, workshop, spool, settings.image_max_bytes, settings.media_url),
            image_pb2.DESCRIPTOR.services_by_name["ImageService"],
            image_pb2_grpc.add_ImageServiceServicer_to_server,
            background=[workshop, removal(database, storage), Sweeper(storage, store, older_than=LEFT_BEHIND)],
        )

    run_aio(settings, settings.gig_database_url, MIGRATIONS, build)


if __name__ == "__main__":
    main()
