"""What a review is, who may write one, and who may read those of a gig."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from servicekit.errors import Conflict, Forbidden, NotFound

# The states of an order, by OrderService's names, in which its buyer has seen the work.
REVIEWABLE = frozenset(("DELIVERED", "COMPLETED"))


@dataclass(frozen=True, slots=True)
class Order:
    """What OrderService says of an order: whose it is and where it stands (`status`, by its names)."""

    id: UUID
    gig_id: UUID
    buyer_id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class Gig:
    """What GigService says of a gig: whose it is, and whether everyone may see it."""

    id: UUID
    seller_id: UUID
    is_active: bool


@dataclass(frozen=True, slots=True)
class Review:
    """What a buyer says of one order. `stars` is 1 to 5; `buyer_name` is the buyer's name when they wrote it."""

    id: UUID
    order_id: UUID
    gig_id: UUID
    buyer_id: UUID
    buyer_name: str
    stars: int
    comment: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A review that is not stored yet: it has no time."""

    id: UUID
    order_id: UUID
    gig_id: UUID
    buyer_id: UUID
    buyer_name: str
    stars: int
    comment: str


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes: the id and the name in the token."""

    id: UUID
    name: str


def write(review_id: UUID, order: Order, author: Author, *, stars: int, comment: str) -> Draft:
    """A review of an order by its buyer.

    Raises Forbidden when the author is not the order's buyer, and Conflict (ORDER_NOT_DELIVERED) unless the order is
    DELIVERED or COMPLETED. That there is only one review of an order is the store's to see to.
    """
    if author.id != order.buyer_id:
        raise Forbidden("You don't have permission to review this order")
    if order.status not in REVIEWABLE:
        raise Conflict(f"Only a delivered order can be reviewed, this one is {order.status}", "ORDER_NOT_DELIVERED")
    return Draft(review_id, order.id, order.gig_id, author.id, author.name, stars, comment)


def check_readable(gig: Gig, reader_id: UUID | None, *, is_admin: bool) -> None:
    """Reviews are seen by whoever sees their gig: everyone while it is active, else its owner and admins.

    Raises NotFound("Gig").
    """
    if not (gig.is_active or is_admin or reader_id == gig.seller_id):
        raise NotFound("Gig")
