"""ReviewService's RPCs. What surrounds each of them is in servicekit.pipeline."""

from datetime import datetime
from uuid import UUID

from marketplace.review.v1 import review_pb2
from review_service import convert
from review_service.domain.review import Author, check_readable, write
from review_service.gigs import Gigs
from review_service.orders import Orders
from review_service.store import START, PageKey, Store
from servicekit import paging
from servicekit.call import Call
from servicekit.ids import new_id


class ReviewServicer:
    """Answers the RPCs of `marketplace.review.v1.ReviewService`."""

    def __init__(self, store: Store, orders: Orders, gigs: Gigs) -> None:
        self._store = store
        self._orders = orders
        self._gigs = gigs

    def SubmitReview(self, request: review_pb2.SubmitReviewRequest, call: Call) -> review_pb2.SubmitReviewResponse:
        order = self._orders.describe(UUID(request.order_id))
        author = Author(call.user_id, call.caller.username)
        draft = write(new_id(), order, author, stars=request.rating, comment=request.comment)
        tally = self._store.submit(draft)
        return review_pb2.SubmitReviewResponse(
            review_id=str(draft.id), gig_id=str(draft.gig_id), new_average_rating=float(tally.mean)
        )

    def ListReviews(self, request: review_pb2.ListReviewsRequest, call: Call) -> review_pb2.ListReviewsResponse:
        key = paging.decode(request, datetime.fromisoformat, UUID)
        gig = self._gigs.describe(UUID(request.gig_id))
        check_readable(gig, call.caller.id, is_admin=call.caller.is_admin)
        size = paging.page_size(request.page_size)
        reviews, tally = self._store.page(gig.id, after=PageKey(*key) if key else START, limit=size + 1)
        response = convert.to_page(reviews[:size], tally)
        if len(reviews) > size:
            last = reviews[size - 1]
            response.next_page_token = paging.encode(request, PageKey(last.created_at, last.id))
        return response
