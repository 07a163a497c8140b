"""GigService's RPCs that ReviewService calls."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from marketplace.gig.v1 import gig_pb2
from marketplace.gig.v1.gig_pb2_grpc import GigServiceStub
from review_service.domain.rating_differences import GigServiceRating, SentReview
from review_service.domain.review import Gig
from servicekit.clients import Client, Stub
from servicekit.identity import ServiceTokens
from servicekit.internal_tls import InternalTls
from servicekit.outbox import Message


class Gigs:
    """A client of GigService."""

    def __init__(self, addresses: str, tokens: ServiceTokens, tls: InternalTls | None = None) -> None:
        self._client = Client(tokens)
        self._stub = Stub(GigServiceStub, addresses, "gig", tls)

    def describe(self, gig_id: UUID) -> Gig:
        """Return the gig. Raises NotFound("Gig"), also for a deleted one."""
        response = self._client.call(self._stub().DescribeGig, gig_pb2.DescribeGigRequest(gig_id=str(gig_id)))
        return Gig(
            id=UUID(response.gig_id),
            seller_id=UUID(response.seller_id),
            is_active=response.status == gig_pb2.Gig.ACTIVE,
        )

    def apply_review(self, message: Message) -> None:
        """Send a review for its seller's badges; the payload is that of the topic REVIEWS, the key the review's id."""
        request = gig_pb2.ApplyReviewRequest(
            gig_id=message.payload["gig_id"],
            buyer_id=message.payload["buyer_id"],
            review_id=message.key,
            rating=message.payload["stars"],
        )
        request.created_at.FromDatetime(datetime.fromisoformat(message.payload["created_at"]))
        self._client.call(self._stub().ApplyReview, request)

    def apply_rating(self, message: Message) -> None:
        """Send a gig's rating; the message's payload is `{"count": …, "total": …}`."""
        request = gig_pb2.ApplyRatingRequest(
            gig_id=message.key,
            version=message.version,
            review_count=message.payload["count"],
            rating_sum=message.payload["total"],
        )
        self._client.call(self._stub().ApplyRating, request)

    def ratings(self, after: UUID, until: UUID) -> Iterator[GigServiceRating]:
        """Yield the ratings that GigService has of the gigs in a range of ids, `after` excluded, in their order."""
        reached = str(after)
        while reached:
            request = gig_pb2.ListRatingsRequest(after_gig_id=reached, until_gig_id=str(until))
            response = self._client.call(self._stub().ListRatings, request)
            for rating in response.ratings:
                yield GigServiceRating(
                    UUID(rating.gig_id), rating.version, rating.review_count, rating.rating_sum, rating.is_shown
                )
            reached = response.reached_gig_id

    def missing_reviews(self, reviews: Sequence[SentReview]) -> set[UUID]:
        """Return the ids of those reviews, 500 at most, that should count for a seller's badges and do not."""
        request = gig_pb2.FindMissingReviewsRequest()
        for review in reviews:
            added = request.reviews.add(
                gig_id=str(review.gig_id), buyer_id=str(review.buyer_id), review_id=str(review.id), rating=review.stars
            )
            added.created_at.FromDatetime(review.created_at)
        response = self._client.call(self._stub().FindMissingReviews, request)
        return {UUID(review_id) for review_id in response.review_ids}
