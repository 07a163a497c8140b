"""Reviews on their way out: domain to proto."""

from collections.abc import Iterable

from marketplace.review.v1 import review_pb2
from review_service.domain.review import Review
from review_service.domain.tally import Tally
from servicekit.times import to_timestamp


def to_review(review: Review) -> review_pb2.Review:
    """A row of the list."""
    return review_pb2.Review(
        id=str(review.id),
        order_id=str(review.order_id),
        buyer=review_pb2.Review.Buyer(id=str(review.buyer_id), username=review.buyer_name),
        rating=review.stars,
        comment=review.comment,
        created_at=to_timestamp(review.created_at),
    )


def to_page(reviews: Iterable[Review], tally: Tally) -> review_pb2.ListReviewsResponse:
    """A page of reviews with what all of the gig's come to; the next page's token is not in it yet."""
    return review_pb2.ListReviewsResponse(
        results=[to_review(review) for review in reviews],
        total=tally.count,
        average_rating=float(tally.mean),
        histogram=tally.histogram,
    )
