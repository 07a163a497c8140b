"""The SQL of every RPC is written down in tests/recorded_sql; a change shows in review. `make record-sql` rewrites it.

A list is called with one row and with more: both must send the same statements.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from marketplace.conversation.v1 import conversation_pb2
from marketplace.gig.v1 import gig_pb2
from marketplace.offer.v1 import offer_pb2
from marketplace.order.v1 import order_pb2
from marketplace.review.v1 import review_pb2
from marketplace.webhook.v1 import webhook_pb2
from servicekit.database import Database, Statement
from servicekit.ids import new_id
from tests.support import reviewservice, talks, webhooks
from tests.support.gigs import OWNER, WEB_DEV, Gigs, a_gig, an_update
from tests.support.identity import service_token, token, user_id
from tests.support.orderservice import (
    ADMIN,
    BUYER,
    CONVERSATIONS,
    GIG,
    OFFERS,
    SELLER,
    SERVICE,
    WEBHOOKS,
    OrderBackend,
)
from tests.support.recorded_sql import Recorder, compare, recording
from tests.support.reviewservice import a_world
from tests.support.rpc import Rpc

MORE = 5
LAST_ID = str(UUID(int=2**128 - 1))
FAILED = Statement("UPDATE webhook_deliveries SET status = 'FAILED', next_at = NULL")


@pytest.fixture
def sql(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with recording(monkeypatch) as recorder:
        yield recorder


class Calls:
    """Calls whose SQL is recorded: `name` is the RPC, and after a colon the shape of the call."""

    def __init__(self, sql: Recorder, rpc: Rpc, messages: Any) -> None:
        self._sql, self._rpc, self._messages = sql, rpc, messages

    def __call__(self, name: str, token: str | None, key: str | None = None, **fields: Any) -> Any:
        rpc = name.partition(":")[0]
        request = getattr(self._messages, f"{rpc}Request")(**fields)
        metadata: dict[str, Any] = {"idempotency_key": key} if key else {}
        return self._sql.call(name, partial(self._rpc.call, rpc, request, token, **metadata)).response


def test_the_sql_of_orders(sql: Recorder, world: OrderBackend) -> None:
    call = Calls(sql, world.rpc, order_pb2)
    placing: dict[str, Any] = {
        "package_id": "aa0e8400-e29b-41d4-a716-446655440000",
        "requirements": "Need dark theme",
        "payment_method": "stripe",
    }
    seller_id = str(user_id("webdev_pro"))

    def placed() -> str:
        return str(call("PlaceOrder", BUYER, **placing).order_id)

    def delivered() -> str:
        order = placed()
        call("AcceptOrder", SELLER, order_id=order)
        call("DeliverOrder", SELLER, order_id=order)
        return order

    def lists() -> None:
        for page in ({"page_size": 20}, {"page_size": 20, "status": "PENDING"}):
            shape = ": of a status" if "status" in page else ""
            call(f"ListOrders{shape}", BUYER, **page)
        call("ListOrders: everyone's", ADMIN, page_size=20)
        call("ListOrders: of a seller", SELLER, page_size=20)
        call("ListOrderEvents", BUYER, order_id=disputed)
        call("ListBalanceEntries", SELLER)
        call("ListPayouts", SELLER)
        call("ListPayouts: everyone's", ADMIN)
        call("ListSellerBalanceEntries", ADMIN, seller_id=seller_id)
        call("ListSellerPayouts", ADMIN, seller_id=seller_id)

    call("PlaceOrder: with a new key", BUYER, "k1", **placing)
    call("PlaceOrder: with a known key", BUYER, "k1", **placing)
    call("DeclineOrder", SELLER, order_id=placed())
    call("CancelOrder", BUYER, order_id=placed())
    extended = placed()
    call("AcceptOrder", SELLER, order_id=extended)
    for answer in ("AcceptExtension", "DeclineExtension"):
        call("ExtendOrder", SELLER, order_id=extended, days=5, message="The host is down")
        call(answer, BUYER, order_id=extended)
    disputed = delivered()
    call("ReviseOrder", BUYER, order_id=disputed, message="The menu is missing")
    call("DeliverOrder", SELLER, order_id=disputed)
    call("DisputeOrder", BUYER, order_id=disputed, message="It never worked")
    call("ResolveOrder", ADMIN, order_id=disputed, outcome="COMPLETED", message="It works")
    completed = delivered()
    call("CompleteOrder", BUYER, order_id=completed)
    call("RefundOrder", ADMIN, "k2", **{"order_id": completed, "amount": 5, "message": "Sorry", "from": "seller"})
    call("GetOrder", BUYER, order_id=completed)
    call("DescribeOrder", service_token(), order_id=completed)
    call("GetBalance", SELLER)
    call("GetSellerBalance", ADMIN, seller_id=seller_id)
    call("SetPayoutAccount", SELLER, destination="acct_1")
    payout = call("RequestPayout", SELLER, "k3", amount=1).payout_id
    call("GetPayout", SELLER, payout_id=payout)
    call("SetPayoutHold", ADMIN, seller_id=seller_id, reason="A check")
    call("GetPayoutHold", ADMIN, seller_id=seller_id)
    call("ReleasePayoutHold", ADMIN, seller_id=seller_id)
    call("AdjustBalance", ADMIN, "k4", seller_id=seller_id, amount=1, message="For the wait")
    lists()
    for number in range(MORE):
        call("CompleteOrder", BUYER, order_id=delivered())
        call("RequestPayout", SELLER, f"more {number}", amount=1)
    lists()

    # Stripe's events need its own way of payments: tests/payments/test_recorded_sql_of_stripe.py.
    compare("OrderService", sql, SERVICE, elsewhere=frozenset({"ReceiveStripeEvent"}))


def test_the_sql_of_webhooks(sql: Recorder, world: OrderBackend) -> None:
    call = Calls(sql, world.webhooks, webhook_pb2)

    def create() -> str:
        return str(call("CreateWebhookEndpoint", BUYER, url="https://93.184.216.34/hook").id)

    def lists() -> None:
        call("ListWebhookEndpoints", BUYER)
        call("ListWebhookDeliveries", BUYER, endpoint_id=endpoint)

    endpoint = create()
    world.placed()
    [delivery] = webhooks.deliveries(world, endpoint)
    call("GetWebhookEndpoint", BUYER, endpoint_id=endpoint)
    lists()
    for _ in range(MORE):
        create()
        world.placed()
    lists()
    world.database.fetch_all(FAILED)
    call("RetryWebhookDelivery", BUYER, endpoint_id=endpoint, delivery_id=delivery.id)
    call("DeleteWebhookEndpoint", BUYER, endpoint_id=endpoint)

    compare("WebhookService", sql, WEBHOOKS)


def test_the_sql_of_conversations(sql: Recorder, world: OrderBackend) -> None:
    call = Calls(sql, world.conversations, conversation_pb2)
    talks.offer_gig(world)
    buyers = [token(f"buyer_{number}", "buyer") for number in range(MORE)]

    def start(shape: str, caller: str, key: str | None = None, **fields: Any) -> Any:
        return call(f"StartConversation{shape}", caller, key, **{"gig_id": GIG, "text": "Hello", **fields}).conversation

    def send(shape: str = "", key: str | None = None, **fields: Any) -> Any:
        fields = {"conversation_id": talk.id, "text": "And this", **fields}
        return call(f"SendMessage{shape}", BUYER, key, **fields).message

    def lists() -> None:
        call("ListConversations", SELLER)
        call("GetConversation", SELLER, conversation_id=talk.id)
        call("ListMessages", SELLER, conversation_id=talk.id)
        call("ListMessages: before a message", SELLER, conversation_id=talk.id, before=talk.last_message.id)
        call("ListMessages: after a message", SELLER, conversation_id=talk.id, after=talk.last_message.id)
        call("ListBlocks", SELLER)

    call("ListBlocks: a user whose name is new to the worker", BUYER)
    for caller in (SELLER, ADMIN, *buyers):
        talks.blocks(world, caller)
    talk = start("", BUYER)
    call("BlockUser", SELLER, user_id=str(user_id("user_0")))
    lists()
    start(": with a new key", buyers[0], "k1")
    start(": with a known key", buyers[0], "k1")
    start(": where there is one", buyers[0])
    for buyer in buyers[1:]:
        start("", buyer)
    first = send()
    send(": with a new key", "k2")
    send(": with a known key", "k2")
    send(": with files, about an order", file_ids=[talks.upload(world)], order_id=world.placed())
    message = send(
        ": with files, about an order", file_ids=[talks.upload(world) for _ in range(MORE)], order_id=world.placed()
    )
    call("MarkRead", SELLER, conversation_id=talk.id, message_id=message.id)
    call("MarkRead: one that was read", SELLER, conversation_id=talk.id, message_id=first.id)
    for number in range(MORE):
        call("BlockUser", SELLER, user_id=str(user_id(f"user_{number}")))
    lists()
    call("RemoveMessage", ADMIN, message_id=first.id)
    call("RemoveMessage: one that was removed", ADMIN, message_id=first.id)
    call("UnblockUser", SELLER, user_id=str(user_id("user_0")))

    compare("ConversationService", sql, CONVERSATIONS)


def test_the_sql_of_offers(sql: Recorder, world: OrderBackend) -> None:
    call, place = Calls(sql, world.offers, offer_pb2), Calls(sql, world.rpc, order_pb2)
    talk = talks.started(world)
    terms = {"conversation_id": talk, "gig_id": GIG, "title": "A shop", "price": 70, "delivery_days": 10}

    def made(shape: str = "", key: str | None = None) -> str:
        return str(call(f"MakeOffer{shape}", SELLER, key, **terms).offer.id)

    def lists() -> None:
        call("ListOffers", BUYER)
        call("ListOffers: of a status", BUYER, status="EXPIRED")
        call("ListOffers: of a seller and a conversation", SELLER, role="seller", conversation_id=talk)
        call("ListOffers: everyone's", ADMIN, role="admin")

    offer = made()
    call("GetOffer", BUYER, offer_id=offer)
    lists()
    for _ in range(MORE):
        made()
    made(": with a new key", "k1")
    made(": with a known key", "k1")
    lists()
    call("WithdrawOffer", SELLER, offer_id=made())
    call("DeclineOffer", BUYER, offer_id=made())
    call("DeclineOffer: with a message", BUYER, offer_id=made(), message="Too much")
    place("PlaceOrder: of an offer", BUYER, offer_id=offer, payment_method="stripe")

    compare("OfferService", sql, OFFERS)


def test_the_sql_of_gigs(sql: Recorder, gig_database: Database) -> None:
    gigs = Gigs(gig_database)

    def call(name: str, request: Any, user: str | None = "webdev_pro", **metadata: Any) -> Any:
        return sql.call(name, partial(gigs.call, request, user, **metadata)).response

    def internal(name: str, request: Any) -> None:
        sql.call(name, partial(gigs.internal, request))

    def create(shape: str = "") -> str:
        return str(call(f"CreateGig{shape}", a_gig()).id)

    def lists() -> None:
        call("SearchGigs", gig_pb2.SearchGigsRequest(), None)
        call("SearchGigs: a category", gig_pb2.SearchGigsRequest(category=WEB_DEV), None)
        call("SearchGigs: prices", gig_pb2.SearchGigsRequest(min_price=1, max_price=900), None)
        call("SearchGigs: words", gig_pb2.SearchGigsRequest(q="website"), None)
        call("SearchGigs: a seller", gig_pb2.SearchGigsRequest(seller_id=str(OWNER)), None)
        call("SearchGigs: the seller's own", gig_pb2.SearchGigsRequest(seller_id=str(OWNER)))
        call("ListCategories", gig_pb2.ListCategoriesRequest(), None)
        call("ListPackages", gig_pb2.ListPackagesRequest(gig_id=gig), None)
        internal("ListRatings", gig_pb2.ListRatingsRequest(after_gig_id=str(UUID(int=0)), until_gig_id=LAST_ID))
        reviews = [a_review() for _ in range(found)]
        internal("FindMissingReviews", gig_pb2.FindMissingReviewsRequest(reviews=reviews))

    def a_review() -> gig_pb2.ApplyReviewRequest:
        buyer, review = str(user_id(str(new_id()))), str(new_id())
        request = gig_pb2.ApplyReviewRequest(gig_id=gig, buyer_id=buyer, review_id=review, rating=5)
        request.created_at.FromSeconds(1_800_000_000)
        return request

    gig, found = create(": the first one of a worker"), 1
    call("CreateGig: with a key", a_gig(), idempotency_key="k1")
    call("CreateGig: with a known key", a_gig(), idempotency_key="k1")
    call("UpdateGig", an_update(gig), if_match=gigs.etag(gig))
    call("GetGig: a page that has changed", gig_pb2.GetGigRequest(gig_id=gig), None)
    call("GetGig: a ready page", gig_pb2.GetGigRequest(gig_id=gig), None)
    call("GetGig: a ready page, the seller", gig_pb2.GetGigRequest(gig_id=gig))
    images = gigs.add_images(gig, 3)
    call("UpdateImage", gig_pb2.UpdateImageRequest(gig_id=gig, image_id=str(images[1].id), is_primary=True))
    call("DeleteImage", gig_pb2.DeleteImageRequest(gig_id=gig, image_id=str(images[2].id)))
    package: dict[str, Any] = {"title": "Premium Website", "price": 900, "delivery_days": 7, "features": ["CMS"]}
    added = call("AddPackage", gig_pb2.AddPackageRequest(gig_id=gig, **package)).id
    call("UpdatePackage", gig_pb2.UpdatePackageRequest(gig_id=gig, package_id=added, **package))
    internal("GetPackageTerms", gig_pb2.GetPackageTermsRequest(package_id=added))
    internal("DescribeGig", gig_pb2.DescribeGigRequest(gig_id=gig))
    internal("ApplyRating", gig_pb2.ApplyRatingRequest(gig_id=gig, version=1, review_count=1, rating_sum=5))
    internal("ApplyReview", a_review())
    lists()
    for number in range(MORE):
        gigs.add_images(create())
        call("AddPackage", gig_pb2.AddPackageRequest(gig_id=gig, **{**package, "price": 100 + number}))
    # A rating writes as much when its seller has more gigs and reviews.
    internal("ApplyRating", gig_pb2.ApplyRatingRequest(gig_id=gig, version=2, review_count=2, rating_sum=9))
    internal("ApplyReview", a_review())
    found = MORE
    lists()
    call("GetGig", gig_pb2.GetGigRequest(gig_id=create()), None)
    call("DeletePackage", gig_pb2.DeletePackageRequest(gig_id=gig, package_id=added))
    call("SetGigStatus", gig_pb2.SetGigStatusRequest(gig_id=gig))
    call("DeleteGig", gig_pb2.DeleteGigRequest(gig_id=gig))

    compare("GigService", sql, gig_pb2.DESCRIPTOR.services_by_name["GigService"])


def test_the_sql_of_reviews(sql: Recorder, review_database: Database) -> None:
    with a_world(review_database) as world:
        call = Calls(sql, world.rpc, review_pb2)

        def submit(shape: str = "", key: str | None = None, order: str = "") -> str:
            order = order or world.order()
            review = {"order_id": order, "rating": 5, "comment": "Excellent work!"}
            call(f"SubmitReview{shape}", reviewservice.BUYER, key, **review)
            return order

        def listed() -> Any:
            return call("ListReviews", None, gig_id=str(reviewservice.GIG))

        submit()
        [review] = listed().results
        call("ListReviews: signed in", reviewservice.BUYER, gig_id=str(reviewservice.GIG))
        call("ReplyToReview", reviewservice.SELLER, review_id=review.id, text="Thank you!")
        for _ in range(MORE):
            submit()
        assert len(listed().results) == MORE + 1
        keyed = submit(": with a key", "k1")
        submit(": with a known key", "k1", keyed)

        compare("ReviewService", sql, reviewservice.SERVICE)
