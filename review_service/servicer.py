"""ReviewService's RPCs: proto in, proto out. servicekit.pipeline does everything that all RPCs have in common."""

from uuid import UUID

from marketplace.review.v1 import review_pb2
from review_service import convert
from review_service.commands.reply_to_review import ReplyToReview
from review_service.commands.submit_review import SubmitReview
from review_service.domain.review import check_readable
from review_service.gigs import Gigs
from review_service.store.review_lists import PageKey
from review_service.store.store import Store
from servicekit import paging
from servicekit.call import Call
from servicekit.idempotency import binds_idempotency_key


class ReviewServicer:
    """The RPCs of `marketplace.review.v1.ReviewService`."""

    def __init__(self, store: Store, gigs: Gigs, submit_review: SubmitReview, reply_to_review: ReplyToReview) -> None:
        self._store = store
        self._gigs = gigs
        self._submit_review = submit_review
        self._reply_to_review = reply_to_review

    @binds_idempotency_key
    def SubmitReview(self, request: review_pb2.SubmitReviewRequest, call: Call) -> review_pb2.SubmitReviewResponse:
        submitted = self._submit_review.execute(
            UUID(request.order_id),
            convert.to_author(call),
            stars=request.rating,
            comment=request.comment,
            claim=call.idempotency_claim,
        )
        return convert.to_submitted(submitted)

    def ListReviews(self, request: review_pb2.ListReviewsRequest, call: Call) -> review_pb2.ListReviewsResponse:
        key = paging.decode(request, convert.stars_in_key, paging.timestamp, paging.uuid)
        listing = convert.from_listing(request)
        check_readable(self._gigs.describe(listing.gig_id), call.caller.id, is_admin=call.caller.is_admin)
        size = paging.page_size(request.page_size)
        reviews, counts = self._store.review_lists.page(listing, after=PageKey(*key) if key else None, limit=size + 1)
        response = convert.to_page(reviews[:size], counts, listing.stars)
        if len(reviews) > size:
            last = reviews[size - 1]
            response.next_page_token = paging.encode(request, PageKey(last.stars, last.created_at, last.id))
        return response

    def ReplyToReview(self, request: review_pb2.ReplyToReviewRequest, call: Call) -> review_pb2.ReplyToReviewResponse:
        review = self._reply_to_review.execute(UUID(request.review_id), call.user_id, request.text)
        return review_pb2.ReplyToReviewResponse(review=convert.to_review(review))
