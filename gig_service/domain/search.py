"""What can be asked of a search, and in which order it answers."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from gig_service.domain.gig import Seller, Status
from servicekit.call import Caller
from servicekit.errors import Forbidden, InvalidArgument, Violation

# `total` is counted up to here; beyond, it is estimated.
EXACT_TOTAL = 1000


class Sort(StrEnum):
    """The orders, by the names that clients use."""

    RELEVANCE = "relevance"
    NEWEST = "newest"
    PRICE = "price"
    PRICE_DESCENDING = "-price"
    RATING = "rating"


@dataclass(frozen=True, slots=True)
class Category:
    """One node of the tree of categories; `parent_id` is None at the top."""

    id: UUID
    slug: str
    name: str
    parent_id: UUID | None


@dataclass(frozen=True, slots=True)
class Filters:
    """What the gigs found must all be. None, and the empty tuple, ask for nothing.

    Prices are in major units. One and the same package must meet price and delivery. `min_rating` is held against the
    rating shown. `category` includes its children.
    """

    status: Status = Status.ACTIVE
    category: Category | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    max_delivery_days: int | None = None
    tags: tuple[str, ...] = ()
    min_rating: float | None = None
    seller_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One gig among the results. `starting_price` is that of its cheapest package that meets the filters.

    `thumbnail_key` is that of its primary image, and empty without images.
    """

    id: UUID
    title: str
    starting_price: Decimal
    rating: Decimal
    review_count: int
    seller: Seller
    thumbnail_key: str


@dataclass(frozen=True, slots=True)
class Total:
    """How many gigs meet the filters; exact up to EXACT_TOTAL."""

    count: int
    is_estimate: bool


def wanted_status(status: Status | None, seller_id: UUID | None, caller: Caller) -> Status:
    """The status of the gigs to find: ACTIVE, unless sellers ask for another among their own gigs.

    Raises InvalidArgument for a status without a seller, Forbidden for one together with someone else's id.
    """
    if status is None:
        return Status.ACTIVE
    if seller_id is None:
        raise InvalidArgument([Violation("status", "is taken only together with your own sellerId")])
    if caller.id != seller_id:
        raise Forbidden("You don't have permission to search another seller's gigs by status")
    return status


def sort_order(asked: str, *, has_words: bool) -> Sort:
    """The order asked for; by default relevance with words, rating without. Without words nothing is more relevant."""
    sort = Sort(asked) if asked else Sort.RELEVANCE
    return Sort.RATING if sort is Sort.RELEVANCE and not has_words else sort
