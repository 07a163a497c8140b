"""Conversions between the domain and the protos."""

from collections.abc import Iterable
from uuid import UUID

from marketplace.review.v1 import review_pb2
from review_service.domain.listing import Listing, Sort
from review_service.domain.review import Author, Review, SubmittedReview
from review_service.domain.star_counts import STARS, StarCounts
from servicekit.call import Call
from servicekit.times import to_timestamp


def to_author(call: Call) -> Author:
    """Return the caller as the author of a review."""
    return Author(call.user_id, call.caller.username)


def from_listing(request: review_pb2.ListReviewsRequest) -> Listing:
    """Return the list that is asked for."""
    stars = request.rating if request.HasField("rating") else None
    return Listing(UUID(request.gig_id), stars, Sort(request.sort or Sort.NEWEST))


def stars_in_key(text: str) -> int:
    """Return the stars in a page token. Raises ValueError."""
    if text not in map(str, STARS):
        raise ValueError("no stars")
    return int(text)


def to_submitted(submitted: SubmittedReview) -> review_pb2.SubmitReviewResponse:
    """Return the response to a submitted review."""
    return review_pb2.SubmitReviewResponse(
        review_id=str(submitted.review.id),
        gig_id=str(submitted.review.gig_id),
        new_average_rating=float(submitted.counts.mean),
    )


def to_review(review: Review) -> review_pb2.Review:
    """Return a review with its reply."""
    message = review_pb2.Review(
        id=str(review.id),
        order_id=str(review.order_id),
        buyer=review_pb2.Review.Buyer(id=str(review.buyer_id), username=review.buyer_name),
        rating=review.stars,
        comment=review.comment,
        created_at=to_timestamp(review.created_at),
    )
    if review.reply is not None:
        message.reply.text = review.reply.text
        message.reply.at.CopyFrom(to_timestamp(review.reply.at))
    return message


def to_page(reviews: Iterable[Review], counts: StarCounts, stars: int | None) -> review_pb2.ListReviewsResponse:
    """Return a page of the reviews with these stars, or of all, without a page token.

    `counts` are those of all the gig's reviews.
    """
    return review_pb2.ListReviewsResponse(
        results=[to_review(review) for review in reviews],
        total=counts.of(stars),
        average_rating=float(counts.mean),
        histogram=counts.histogram,
    )
