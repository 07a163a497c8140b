"""`python -m gig_service.images`: the process that takes uploads of pictures."""

from __future__ import annotations

import math
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from gig_service.commands.add_images import AddImages
from gig_service.images.confinement import Limits
from gig_service.images.decoder_pool import PICTURES_A_DECODER, DecoderPool
from gig_service.images.keeper import Keeper
from gig_service.images.servicer import UPLOAD_PREFIX, ImageServicer
from gig_service.media.media_deletion import media_deletion
from gig_service.media.orphan_sweeper import OrphanSweeper
from gig_service.media.storage_factory import storage_from
from gig_service.settings import ImageSettings
from gig_service.store.store import Store
from marketplace.gig.v1 import image_pb2, image_pb2_grpc
from servicekit.aio import run_aio
from servicekit.database import Database
from servicekit.server import Service, ServiceSpec
from servicekit.settings import load
from servicekit.user_places import UserPlaces

NICENESS = 5
# With five minutes between two sweeps, an orphan is deleted within the hour.
ORPHAN_AGE = timedelta(minutes=50)
MIGRATIONS = Path(__file__).parents[1] / "migrations"


def main() -> None:
    """Serve until a signal stops the process."""
    # Readers of pages go before uploaders of pictures.
    os.nice(NICENESS)
    settings = load(ImageSettings)
    # Before anything of a client is in this process, and while it may still be root.
    keeper = Keeper(_limits(settings))
    if settings.upload_dir is not None:
        return serve(settings, given(emptied(settings.upload_dir), settings), keeper)
    with TemporaryDirectory(prefix="marketplace-uploads-") as folder:
        return serve(settings, given(Path(folder), settings), keeper)


def _limits(settings: ImageSettings) -> Limits:
    uid, gid = (int(part) for part in settings.decoder_run_as.split(":"))
    # A second limit on time, in case this process hangs and does not enforce the first.
    cpu_seconds = math.ceil(PICTURES_A_DECODER * settings.image_decode_seconds)
    return Limits(settings.image_decode_memory_mib, cpu_seconds, uid, gid)


def _stop() -> None:
    """Stop this process, so that its supervisor starts it anew, with a keeper."""
    os.kill(os.getpid(), signal.SIGTERM)


def emptied(folder: Path) -> Path:
    """Return the folder, without the unfinished uploads of an earlier process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for upload in folder.glob(f"{UPLOAD_PREFIX}*"):
        shutil.rmtree(upload)
    return folder


def given(folder: Path, settings: ImageSettings) -> Path:
    """Return the folder; under root it belongs to the user that this process becomes."""
    if os.geteuid() == 0:
        os.chown(folder, *(int(part) for part in settings.run_as.split(":")))
    return folder


def serve(settings: ImageSettings, upload_dir: Path, keeper: Keeper) -> None:
    """Serve, with this folder for incoming uploads and this keeper of decoders."""

    def build(database: Database) -> ServiceSpec:
        store, storage = Store(database), storage_from(settings)
        decoders = DecoderPool(
            keeper,
            decoders=settings.image_decoders,
            seconds=settings.image_decode_seconds,
            max_pixels=settings.image_max_pixels,
            wait_seconds=settings.image_wait_seconds,
            on_lost=_stop,
        )
        places = UserPlaces(settings.image_uploads, settings.image_uploads_per_user, "uploads")
        add_images = AddImages(store, storage, settings.image_max_count)
        servicer = ImageServicer(
            add_images,
            decoders,
            places,
            upload_dir,
            max_bytes=settings.image_max_bytes,
            min_rate=settings.image_upload_min_rate,
            media_url=settings.media_url,
        )
        return ServiceSpec(
            [
                Service(
                    servicer,
                    image_pb2.DESCRIPTOR.services_by_name["ImageService"],
                    image_pb2_grpc.add_ImageServiceServicer_to_server,
                )
            ],
            background=[
                decoders,
                media_deletion(database, storage),
                OrphanSweeper(storage, store, database, older_than=ORPHAN_AGE),
            ],
        )

    run_aio(settings, settings.gig_database_url, MIGRATIONS, build)


if __name__ == "__main__":
    main()
