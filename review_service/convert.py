"""Conversions between the domain and the protos."""

from collections.abc import Iterable

from marketplace.review.v1 import review_pb2
from review_service.domain.review import Author, Review, SubmittedReview
from review_service.domain.star_counts import StarCounts
from servicekit.call import Call
from servicekit.times import to_timestamp


def to_author(call: Call) -> Author:
    """Return the caller as the author of a review."""
    return Author(call.user_id, call.caller.username)


def to_submitted(submitted: SubmittedReview) -> review_pb2.SubmitReviewResponse:
    """Return the response to a submitted review."""
    return review_pb2.SubmitReviewResponse(
        review_id=str(submitted.review.id),
        gig_id=str(submitted.review.gig_id),
        new_average_rating=float(submitted.counts.mean),
    )


def to_review(review: Review) -> review_pb2.Review:
    """Return a review as an entry of a list."""
    return review_pb2.Review(
        id=str(review.id),
        order_id=str(review.order_id),
        buyer=review_pb2.Review.Buyer(id=str(review.buyer_id), username=review.buyer_name),
        rating=review.stars,
        comment=review.comment,
        created_at=to_timestamp(review.created_at),
    )


def to_page(reviews: Iterable[Review], counts: StarCounts) -> review_pb2.ListReviewsResponse:
    """Return a page of reviews with the counts of all the gig's reviews, without a page token."""
    return review_pb2.ListReviewsResponse(
        results=[to_review(review) for review in reviews],
        total=counts.count,
        average_rating=float(counts.mean),
        histogram=counts.histogram,
    )
