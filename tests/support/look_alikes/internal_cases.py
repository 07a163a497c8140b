"""The RPCs of the marketplace's own services: they refuse both look-alikes, and the edge has no way to them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from marketplace.gig.v1 import gig_pb2, gig_pb2_grpc
from marketplace.order.v1 import order_pb2, order_pb2_grpc
from tests.support.look_alikes.pair import Pair
from tests.support.story import ok

Case = Callable[[Pair], None]

STUBS = {
    "marketplace.gig.v1.GigService": ("gig", gig_pb2_grpc.GigServiceStub),
    "marketplace.order.v1.OrderService": ("order", order_pb2_grpc.OrderServiceStub),
}


def refuses_both(service: str, rpc: str, request: Callable[[Pair], Message]) -> Case:
    """Return the case of an RPC whose request is about something of the owner's."""

    def case(pair: Pair) -> None:
        name, stub = STUBS[service]
        with pair.stack.targets()[f"{name}-0"].channel() as channel:
            method = getattr(stub(channel), rpc)
            pair.refused_by_grpc(method, request(pair), grpc.StatusCode.PERMISSION_DENIED)
            try:
                method(request(pair), metadata=[("authorization", f"Bearer {pair.owner.token}")], timeout=10)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.PERMISSION_DENIED
            else:
                raise AssertionError("the owner was answered")
        message = request(pair).SerializeToString()
        body = b"\0" + len(message).to_bytes(4, "big") + message
        headers = {"content-type": "application/grpc"}
        assert ok(pair.ask("POST", f"/{service}/{rpc}", content=body, headers=headers), 404)["code"] == "NOT_FOUND"

    return case


def _terms(pair: Pair) -> Message:
    return gig_pb2.GetPackageTermsRequest(package_id=pair.owner.paused[0]["packages"][0]["id"])


def _gig(pair: Pair) -> Message:
    return gig_pb2.DescribeGigRequest(gig_id=pair.owner.paused[0]["id"])


def _rating(pair: Pair) -> Message:
    return gig_pb2.ApplyRatingRequest(gig_id=pair.owner.gig["id"], version=1000, review_count=1000, rating_sum=1000)


def _review(pair: Pair) -> gig_pb2.ApplyReviewRequest:
    return gig_pb2.ApplyReviewRequest(
        review_id=pair.owner.replied,
        gig_id=pair.owner.gig["id"],
        buyer_id=pair.viewer.id,
        rating=1,
        created_at=Timestamp(seconds=1),
    )


def _ratings(pair: Pair) -> Message:
    return gig_pb2.ListRatingsRequest(after_gig_id=str(UUID(int=0)), until_gig_id=pair.owner.gig["id"])


def _reviews(pair: Pair) -> Message:
    return gig_pb2.FindMissingReviewsRequest(reviews=[_review(pair)])


def _order(pair: Pair) -> Message:
    return order_pb2.DescribeOrderRequest(order_id=pair.owner.bought["PENDING"])


CASES: dict[str, Case] = {
    "GigService.GetPackageTerms": refuses_both("marketplace.gig.v1.GigService", "GetPackageTerms", _terms),
    "GigService.DescribeGig": refuses_both("marketplace.gig.v1.GigService", "DescribeGig", _gig),
    "GigService.ApplyRating": refuses_both("marketplace.gig.v1.GigService", "ApplyRating", _rating),
    "GigService.ApplyReview": refuses_both("marketplace.gig.v1.GigService", "ApplyReview", _review),
    "GigService.ListRatings": refuses_both("marketplace.gig.v1.GigService", "ListRatings", _ratings),
    "GigService.FindMissingReviews": refuses_both("marketplace.gig.v1.GigService", "FindMissingReviews", _reviews),
    "OrderService.DescribeOrder": refuses_both("marketplace.order.v1.OrderService", "DescribeOrder", _order),
}
