"""Searches: the filters, the orders of the results, and the values of a result. See `docs/search.md`."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from gig_service.domain.gig import Status
from gig_service.domain.rating import RatingTotals, badges
from servicekit.call import Caller
from servicekit.errors import Forbidden, InvalidArgument, Violation

# `total` is counted up to this number; a larger one is estimated.
EXACT_TOTAL = 1000


class Sort(StrEnum):
    """The orders of results, by the names that clients use."""

    RELEVANCE = "relevance"
    NEWEST = "newest"
    PRICE = "price"
    PRICE_DESCENDING = "-price"
    RATING = "rating"


@dataclass(frozen=True, slots=True)
class SortOrder:
    """The columns that a page is sorted by, all in one direction. The last column, the gig's id, breaks every tie."""

    columns: tuple[str, ...]
    descending: bool = True


SORT_ORDERS = {
    Sort.RELEVANCE: SortOrder(("rank", "rating", "review_count", "gig_id")),
    Sort.RATING: SortOrder(("rating", "review_count", "gig_id")),
    Sort.NEWEST: SortOrder(("created_at", "gig_id")),
    Sort.PRICE: SortOrder(("price", "gig_id"), descending=False),
    Sort.PRICE_DESCENDING: SortOrder(("price", "gig_id")),
}

# A result's values of the columns of its SortOrder: the next page begins behind the last result's.
SortKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """One node of the tree of categories; `parent_id` is None at the top."""

    id: UUID
    slug: str
    name: str
    parent_id: UUID | None


@dataclass(frozen=True, slots=True)
class Filters:
    """The conditions that every result meets. None, and the empty tuple, are no condition.

    Prices are in major units. One and the same package must meet price and delivery. `min_rating` is compared with the
    rating on the page. `category` includes its children.
    """

    status: Status = Status.ACTIVE
    category: Category | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    max_delivery_days: int | None = None
    tags: tuple[str, ...] = ()
    min_rating: float | None = None
    seller_id: UUID | None = None


class SearchResult(NamedTuple):
    """One gig among the results, as it is sent: ids are texts, amounts are doubles.

    `starting_price` is the price of its cheapest package that meets the filters. `thumbnail_key` names the thumbnail of
    its primary image; it is empty when the gig has no images.
    """

    id: str
    title: str
    starting_price: float
    rating: float
    review_count: int
    seller_id: str
    username: str
    buyer_count: int
    buyer_rating_sum: int
    thumbnail_key: str

    @property
    def badges(self) -> list[str]:
        """The seller's badges."""
        return badges(RatingTotals(self.buyer_count, self.buyer_rating_sum)) if self.buyer_count else []


class Hit(NamedTuple):
    """A result and its place in the order of the search."""

    result: SearchResult
    sort_key: SortKey


@dataclass(frozen=True, slots=True)
class Total:
    """The number of gigs that meet the filters; exact up to EXACT_TOTAL."""

    count: int
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of results, and the number of all.

    In the order of relevance only the best rated gigs are ranked when very many match. `boundary` is then the sort key
    by rating of the last one of these; the others follow by rating.
    """

    hits: list[Hit]
    total: Total
    boundary: SortKey | None = None


def choose_status(requested: Status | None, seller_id: UUID | None, caller: Caller) -> Status:
    """Return the status that all results have: ACTIVE, unless sellers request another one among their own gigs.

    Raises InvalidArgument for a status without a seller, Forbidden for one together with someone else's id.
    """
    if requested is None:
        return Status.ACTIVE
    if seller_id is None:
        raise InvalidArgument([Violation("status", "is taken only together with your own sellerId")])
    if caller.id != seller_id:
        raise Forbidden("You don't have permission to search another seller's gigs by status")
    return requested


def choose_sort(requested: str, *, has_words: bool) -> Sort:
    """Return the requested order; by default relevance with words and rating without.

    Without words all gigs are equally relevant, so relevance means rating then.
    """
    sort = Sort(requested) if requested else Sort.RELEVANCE
    return Sort.RATING if sort is Sort.RELEVANCE and not has_words else sort
