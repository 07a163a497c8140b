"""ReviewService in its pipeline, with a real PostgreSQL, and the other services over real gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from marketplace.order.v1 import order_pb2
from marketplace.review.v1 import review_pb2
from review_service.commands.reply_to_review import ReplyToReview
from review_service.commands.submit_review import SubmitReview
from review_service.convert import to_submitted
from review_service.gigs import Gigs
from review_service.orders import Orders
from review_service.servicer import ReviewServicer
from review_service.store.reviews import RATINGS, REVIEWS
from review_service.store.store import Store
from servicekit.database import Database, Statement
from servicekit.idempotency import IdempotencyKeys, ResponseStore
from servicekit.ids import new_id
from servicekit.outbox import Relay, Topic
from tests.support.identity import token, user_id
from tests.support.rpc import Answer, Rpc
from tests.support.standins import GigStandIn, OrderStandIn, service_tokens, serving

SERVICE = review_pb2.DESCRIPTOR.services_by_name["ReviewService"]
BUYER = token("happy_buyer", "buyer")
SELLER = token("webdev_pro", "seller")
GIG = UUID("550e8400-e29b-41d4-a716-446655440000")


IN_TRANSACTION = Statement("""
    SELECT count(*) AS count FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
""")


class World:
    """ReviewService, its relay, and the stand-ins for the other services."""

    def __init__(self, database: Database, gig_address: str, order_address: str) -> None:
        self.orders = OrderStandIn()
        self.gigs = GigStandIn()
        self._built_with = (database, gig_address, order_address)
        tokens = service_tokens("review")
        store = self.store = Store(database)
        gigs = Gigs(gig_address, tokens)
        idempotency_keys = IdempotencyKeys(database, timedelta(hours=48))
        orders = Orders(order_address, tokens)
        submit_review = SubmitReview(store, orders, idempotency_keys, ResponseStore(idempotency_keys, to_submitted))
        servicer = ReviewServicer(store, gigs, submit_review, ReplyToReview(store, orders))
        self.rpc = Rpc(servicer, SERVICE, idempotency_keys)
        topics = {RATINGS: Topic(gigs.apply_rating, newest_only=True), REVIEWS: Topic(gigs.apply_review)}
        self.relay = Relay(database, topics)

    def open_transactions(self) -> int:
        """Return the number of transactions of other connections that are open and idle."""
        row = self._built_with[0].fetch_one(IN_TRANSACTION)
        assert row is not None
        return int(row["count"])

    def twin(self) -> World:
        """Return another worker of the same ReviewService."""
        return World(*self._built_with)

    def order(
        self, status: str = "DELIVERED", buyer: str = "happy_buyer", gig_id: UUID = GIG, order_id: str = ""
    ) -> str:
        """Add an order to OrderService, or change it, and return its id."""
        order_id = order_id or str(new_id())
        self.orders.orders[order_id] = order_pb2.DescribeOrderResponse(
            order_id=order_id,
            gig_id=str(gig_id),
            buyer_id=str(user_id(buyer)),
            seller_id=str(user_id("webdev_pro")),
            status=order_pb2.Order.Status.Value(status),
        )
        return order_id

    def submit(self, order_id: str, sent_token: str | None = BUYER, key: str | None = None, **changed: Any) -> Answer:
        review = {"order_id": order_id, "rating": 5, "comment": "Excellent work! Delivered early.", **changed}
        metadata: dict[str, Any] = {} if key is None else {"idempotency_key": key}
        return self.rpc.call("SubmitReview", review_pb2.SubmitReviewRequest(**review), sent_token, **metadata)

    def submit_as(self, buyer: str, gig_id: UUID | str, rating: int = 5) -> Answer:
        """Submit a review of a new order of this buyer."""
        answer = self.submit(self.order(buyer=buyer, gig_id=UUID(str(gig_id))), token(buyer, "buyer"), rating=rating)
        assert not answer.error, answer.message
        return answer

    def reply(self, review_id: UUID | str, text: str = "Thank you!", sent_token: str | None = SELLER) -> Answer:
        request = review_pb2.ReplyToReviewRequest(review_id=str(review_id), text=text)
        return self.rpc.call("ReplyToReview", request, sent_token)

    def page(self, sent_token: str | None = None, gig_id: UUID | str = GIG, **listing: Any) -> Answer:
        return self.rpc.call("ListReviews", self.listing(gig_id, **listing), sent_token)

    def listing(self, gig_id: UUID | str = GIG, **listing: Any) -> review_pb2.ListReviewsRequest:
        return review_pb2.ListReviewsRequest(gig_id=str(gig_id), **listing)

    def every_page(self, **listing: Any) -> list[str]:
        """Return the ids of the reviews on all pages."""
        ids: list[str] = []
        page_token = ""
        while True:
            response = self.page(page_token=page_token, **listing).response
            ids += [review.id for review in response.results]
            page_token = response.next_page_token
            if not page_token:
                return ids


@contextmanager
def a_world(database: Database) -> Iterator[World]:
    """Yield ReviewService with its neighbours; the gig GIG is webdev_pro's."""
    with ExitStack() as stack:
        gigs, orders = GigStandIn(), OrderStandIn()
        world = World(database, stack.enter_context(serving(gigs)), stack.enter_context(serving(orders)))
        world.gigs, world.orders = gigs, orders
        gigs.knows(GIG, user_id("webdev_pro"))
        yield world
