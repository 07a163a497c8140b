"""`python -m gig_service`: one worker of GigService."""

from pathlib import Path

from gig_service.images.removal import removal
from gig_service.images.storage import storage_from
from gig_service.servicer import GigServicer
from gig_service.settings import Settings
from gig_service.store import Store
from marketplace.gig.v1 import gig_pb2, gig_pb2_grpc
from servicekit.database import Database
from servicekit.idempotency import IdempotencyKeys
from servicekit.server import ServiceSpec, run
from servicekit.settings import load


def main() -> None:
    """Serves until it is told to stop."""
    settings = load(Settings)

    def build(database: Database) -> ServiceSpec:
        descriptor = gig_pb2.DESCRIPTOR.services_by_name["GigService"]
        store = Store(database)
        servicer = GigServicer(store, settings.media_url)
        relay = removal(database, storage_from(settings))
        return ServiceSpec(
            servicer,
            descriptor,
            gig_pb2_grpc.add_GigServiceServicer_to_server,
            background=[relay],
            idempotency_keys=IdempotencyKeys(database, settings.idempotency_key_lifetime),
        )

    run(settings, settings.gig_database_url, Path(__file__).parent / "migrations", build)


if __name__ == "__main__":
    main()
