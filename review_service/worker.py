"""The parts of a ReviewService worker, put together."""

from pathlib import Path

from marketplace.review.v1 import review_pb2, review_pb2_grpc
from review_service.commands.reply_to_review import ReplyToReview
from review_service.commands.submit_review import SubmitReview
from review_service.convert import to_submitted
from review_service.gigs import Gigs
from review_service.orders import Orders
from review_service.servicer import ReviewServicer
from review_service.settings import Settings
from review_service.store.reviews import RATINGS, REVIEWS
from review_service.store.store import Store
from servicekit.database import Database
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.outbox import Relay, Topic
from servicekit.server import Service, ServiceSpec, service_tokens

MIGRATIONS = Path(__file__).parent / "migrations"
# Ratings that a worker sends at once. They occupy threads of GigService, which has four in each worker.
RATINGS_AT_ONCE = 2


def build(settings: Settings, database: Database) -> ServiceSpec:
    """Return what the worker serves, and its background work."""
    tokens = service_tokens(settings, "review")
    gigs = Gigs(settings.gig_service_addresses, tokens, settings.tls)
    orders = Orders(settings.order_service_addresses, tokens, settings.tls)
    store = Store(database)
    idempotency_keys = IdempotencyKeys(database, settings.idempotency_key_lifetime)
    submit_review = SubmitReview(store, orders, idempotency_keys, ResponseStore(idempotency_keys, to_submitted))
    return ServiceSpec(
        [
            Service(
                ReviewServicer(store, gigs, submit_review, ReplyToReview(store, orders)),
                review_pb2.DESCRIPTOR.services_by_name["ReviewService"],
                review_pb2_grpc.add_ReviewServiceServicer_to_server,
            )
        ],
        background=[
            Relay(
                database,
                {
                    RATINGS: Topic(gigs.apply_rating, newest_only=True, concurrency=RATINGS_AT_ONCE),
                    REVIEWS: Topic(gigs.apply_review),
                },
            )
        ],
        idempotency_keys=idempotency_keys,
    )
