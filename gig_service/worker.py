"""The parts of a GigService worker, put together."""

from pathlib import Path

from gig_service.media.pictures import storage_from
from gig_service.ready_pages import ReadyPages
from gig_service.servicer import GigServicer
from gig_service.settings import Settings
from gig_service.store.documents import analysis_task
from gig_service.store.images import MEDIA
from gig_service.store.search_index import word_bits_task
from gig_service.store.store import Store
from marketplace.gig.v1 import gig_pb2, gig_pb2_grpc
from servicekit.database import Database
from servicekit.idempotency import IdempotencyKeys
from servicekit.server import Service, ServiceSpec
from servicekit.storage.deletion import file_deletion

MIB = 1024 * 1024
MIGRATIONS = Path(__file__).parent / "migrations"


def build(settings: Settings, database: Database) -> ServiceSpec:
    """Return what the worker serves, and its background work."""
    return ServiceSpec(
        [
            Service(
                GigServicer(Store(database), settings.media_url, ReadyPages(settings.ready_pages_mib * MIB)),
                gig_pb2.DESCRIPTOR.services_by_name["GigService"],
                gig_pb2_grpc.add_GigServiceServicer_to_server,
            )
        ],
        background=[
            file_deletion(database, storage_from(settings), MEDIA),
            analysis_task(database),
            word_bits_task(database),
        ],
        idempotency_keys=IdempotencyKeys(database, settings.idempotency_key_lifetime),
    )
