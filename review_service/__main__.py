"""`python -m review_service`: one worker of ReviewService."""

from pathlib import Path

from marketplace.review.v1 import review_pb2, review_pb2_grpc
from review_service.gigs import Gigs
from review_service.orders import Orders
from review_service.servicer import ReviewServicer
from review_service.settings import Settings
from review_service.store import RATINGS, Store
from servicekit.database import Database
from servicekit.idempotency import IdempotencyKeys
from servicekit.outbox import Outbox, Relay, Topic
from servicekit.server import ServiceSpec, run, service_tokens
from servicekit.settings import load


def main() -> None:
    """Serves until it is told to stop."""
    settings = load(Settings)

    def build(database: Database) -> ServiceSpec:
        tokens = service_tokens(settings, "review")
        gigs = Gigs(settings.gig_service_addresses, tokens)
        outbox = Outbox(database)
        servicer = ReviewServicer(Store(database, outbox), Orders(settings.order_service_addresses, tokens), gigs)
        relay = Relay(database, {RATINGS: Topic(gigs.apply_rating, newest_only=True)})
        descriptor = review_pb2.DESCRIPTOR.services_by_name["ReviewService"]
        return ServiceSpec(
            servicer,
            descriptor,
            review_pb2_grpc.add_ReviewServiceServicer_to_server,
            background=[relay],
            keys=IdempotencyKeys(database, settings.key_lifetime),
        )

    run(settings, settings.review_database_url, Path(__file__).parent / "migrations", build)


if __name__ == "__main__":
    main()
