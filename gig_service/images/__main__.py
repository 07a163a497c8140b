"""`python -m gig_service.images`: the process that takes uploads of pictures."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

from gig_service.commands.add_images import AddImages
from gig_service.images.confinement import Limits
from gig_service.images.decoder_pool import PICTURES_A_DECODER, DecoderPool
from gig_service.images.keeper import Keeper
from gig_service.images.servicer import ImageServicer
from gig_service.media.pictures import storage_from
from gig_service.settings import ImageSettings
from gig_service.store.images import MEDIA
from gig_service.store.store import Store
from marketplace.gig.v1 import image_pb2, image_pb2_grpc
from servicekit.aio import run_aio
from servicekit.database import Database
from servicekit.server import Service, ServiceSpec
from servicekit.settings import load
from servicekit.storage.deletion import file_deletion
from servicekit.storage.orphan_sweeper import OrphanSweeper
from servicekit.uploads.folders import upload_folder
from servicekit.user_places import UserPlaces

NICENESS = 5
MIGRATIONS = Path(__file__).parents[1] / "migrations"


def main() -> None:
    """Serve until a signal stops the process."""
    # Readers of pages go before uploaders of pictures.
    os.nice(NICENESS)
    settings = load(ImageSettings)
    # Before anything of a client is in this process, and while it may still be root.
    keeper = Keeper(_limits(settings))
    with upload_folder(settings.upload_dir, settings.run_as) as folder:
        serve(settings, folder, keeper)


def _limits(settings: ImageSettings) -> Limits:
    uid, gid = (int(part) for part in settings.decoder_run_as.split(":"))
    # A second limit on time, in case this process hangs and does not enforce the first.
    cpu_seconds = math.ceil(PICTURES_A_DECODER * settings.image_decode_seconds)
    return Limits(settings.image_decode_memory_mib, cpu_seconds, uid, gid)


def _stop() -> None:
    """Stop this process, so that its supervisor starts it anew, with a keeper."""
    os.kill(os.getpid(), signal.SIGTERM)


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
                file_deletion(database, storage, MEDIA),
                OrphanSweeper(storage, store.images.orphans, database),
            ],
        )

    run_aio(settings, settings.gig_database_url, MIGRATIONS, build)


if __name__ == "__main__":
    main()
