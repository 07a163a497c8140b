"""Reviews: who may write one or reply to it, and who may read a gig's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from review_service.domain.star_counts import StarCounts
from servicekit.errors import Conflict, Forbidden, NotFound

# The states of an order, by OrderService's names, in which its buyer has received the work.
REVIEWABLE = frozenset(("DELIVERED", "COMPLETED"))


@dataclass(frozen=True, slots=True)
class Order:
    """An order, as OrderService describes it. `status` is a name of OrderService's enum."""

    id: UUID
    gig_id: UUID
    buyer_id: UUID
    seller_id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class Gig:
    """A gig, as GigService describes it. Everyone may see it while it `is_active`."""

    id: UUID
    seller_id: UUID
    is_active: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """The seller's reply to a review."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Review:
    """A buyer's review of one order. `stars` is 1 to 5; `buyer_name` is the name in the token of that call."""

    id: UUID
    order_id: UUID
    gig_id: UUID
    buyer_id: UUID
    buyer_name: str
    stars: int
    comment: str
    created_at: datetime
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class NewReview:
    """A review that is not stored yet; the store adds the time."""

    id: UUID
    order_id: UUID
    gig_id: UUID
    buyer_id: UUID
    buyer_name: str
    stars: int
    comment: str


@dataclass(frozen=True, slots=True)
class SubmittedReview:
    """A review that has been stored, and the counts of the gig's reviews with it."""

    review: NewReview
    counts: StarCounts


@dataclass(frozen=True, slots=True)
class Author:
    """The author of a review: the id and the name in the token."""

    id: UUID
    name: str


def draft_review(review_id: UUID, order: Order, author: Author, *, stars: int, comment: str) -> NewReview:
    """Return a new review of the order.

    Raises Forbidden when the author is not the order's buyer, and Conflict (ORDER_NOT_DELIVERED) unless the order is
    DELIVERED or COMPLETED. The store makes sure that an order has only one review.
    """
    if author.id != order.buyer_id:
        raise Forbidden("You don't have permission to review this order")
    if order.status not in REVIEWABLE:
        raise Conflict(f"Only a delivered order can be reviewed, this one is {order.status}", "ORDER_NOT_DELIVERED")
    return NewReview(review_id, order.id, order.gig_id, author.id, author.name, stars, comment)


def check_replier(order: Order, caller_id: UUID) -> None:
    """Refuse everyone but the seller of the reviewed order, who is the gig's. Raises Forbidden.

    The store makes sure that a review has only one reply.
    """
    if caller_id != order.seller_id:
        raise Forbidden("You don't have permission to reply to this review")


def check_readable(gig: Gig, reader_id: UUID | None, *, is_admin: bool) -> None:
    """Refuse a reader who may not see the gig: everyone may while it is active, otherwise its owner and admins.

    Raises NotFound("Gig").
    """
    if not (gig.is_active or is_admin or reader_id == gig.seller_id):
        raise NotFound("Gig")
