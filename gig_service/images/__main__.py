"""`python -m gig_service.images`: the process that takes uploads of pictures."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from gig_service.commands.add_images import AddImages
from gig_service.images.decoder_pool import DecoderPool
from gig_service.images.servicer import UPLOAD_PREFIX, ImageServicer
from gig_service.media.media_deletion import media_deletion
from gig_service.media.orphan_sweeper import OrphanSweeper
from gig_service.media.storage_factory import storage_from
from gig_service.settings import ImageSettings
from gig_service.store.store import Store
from marketplace.gig.v1 import image_pb2, image_pb2_grpc
from servicekit.aio import run_aio
from servicekit.database import Database
from servicekit.server import ServiceSpec
from servicekit.settings import load

NICENESS = 5
# With five minutes between two sweeps, an orphan is deleted within the hour.
ORPHAN_AGE = timedelta(minutes=50)
MIGRATIONS = Path(__file__).parents[1] / "migrations"


def main() -> None:
    """Serve until a signal stops the process."""
    # Readers of pages go before uploaders of pictures.
    os.nice(NICENESS)
    settings = load(ImageSettings)
    if settings.upload_dir is not None:
        return serve(settings, emptied(settings.upload_dir))
    with TemporaryDirectory(prefix="marketplace-uploads-") as folder:
        return serve(settings, Path(folder))


def emptied(folder: Path) -> Path:
    """Return the folder, without the unfinished uploads of an earlier process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for upload in folder.glob(f"{UPLOAD_PREFIX}*"):
        shutil.rmtree(upload)
    return folder


def serve(settings: ImageSettings, upload_dir: Path) -> None:
    """Serve, with this folder for incoming uploads."""

    def build(database: Database) -> ServiceSpec:
        store, storage = Store(database), storage_from(settings)
        decoders = DecoderPool(
            decoders=settings.image_decoders,
            seconds=settings.image_decode_seconds,
            memory_mib=settings.image_decode_memory_mib,
            max_pixels=settings.image_max_pixels,
        )
        add_images = AddImages(store, storage, settings.image_max_count)
        return ServiceSpec(
            ImageServicer(add_images, decoders, upload_dir, settings.image_max_bytes, settings.media_url),
            image_pb2.DESCRIPTOR.services_by_name["ImageService"],
            image_pb2_grpc.add_ImageServiceServicer_to_server,
            background=[
                decoders,
                media_deletion(database, storage),
                OrphanSweeper(storage, store, database, older_than=ORPHAN_AGE),
            ],
        )

    run_aio(settings, settings.gig_database_url, MIGRATIONS, build)


if __name__ == "__main__":
    main()
