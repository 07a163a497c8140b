"""Gigs and their packages: the values, who may see a gig, and who may change it."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from gig_service.domain.etag import etag, matches
from gig_service.domain.image import Image
from gig_service.domain.rating import RatingTotals, badges
from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, InvalidArgument, NotFound, PreconditionFailed, Violation

MAX_PACKAGES = 10


class Status(StrEnum):
    """The status of a gig: it decides who can see the gig and buy from it."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    SUSPENDED = "SUSPENDED"


# The next status when a request names none.
TOGGLED = {Status.ACTIVE: Status.PAUSED, Status.PAUSED: Status.ACTIVE, Status.SUSPENDED: Status.ACTIVE}


@dataclass(frozen=True, slots=True)
class GigDetails:
    """The part of a gig that a PUT replaces. `tags` are in lower case, without duplicates."""

    title: str
    description: str
    category_id: UUID
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of a package: what a buyer can order on top of it. `id` is None for one that is not stored yet.

    `price` is in major units. `extra_days` are added to the package's delivery days; they may be negative.
    """

    id: UUID | None
    title: str
    price: Decimal
    extra_days: int
    extra_revisions: int


@dataclass(frozen=True, slots=True)
class PackageDetails:
    """The seller's description of a package. `price` is in major units, `delivery_days` counts from the order."""

    title: str
    description: str
    price: Decimal
    delivery_days: int
    features: tuple[str, ...]
    revisions: int
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """One way to buy a gig."""

    id: UUID
    details: PackageDetails


@dataclass(frozen=True, slots=True)
class Seller:
    """The seller of a gig.

    `totals` are those of each buyer's newest review of their gigs. `version` grows when their name or badges change.
    """

    id: UUID
    username: str
    totals: RatingTotals
    version: int

    @property
    def badges(self) -> list[str]:
        """The badges that the seller's reviews have earned."""
        return badges(self.totals)


@dataclass(frozen=True, slots=True)
class Gig:
    """The part of a gig that the rules need. `version` grows by one with every change by the owner or an admin."""

    id: UUID
    seller_id: UUID
    status: Status
    version: int
    package_ids: tuple[UUID, ...] = ()
    image_ids: tuple[UUID, ...] = ()


class PageState(NamedTuple):
    """The transactions that last wrote the gig and its seller: after a change of the page, one of them is another."""

    gig: str
    seller: str


@dataclass(frozen=True, slots=True)
class GigPage:
    """Everything on a gig's page. Times are aware, in UTC. Packages and images stand in the order of their adding."""

    gig: Gig
    details: GigDetails
    seller: Seller
    rating: Decimal
    review_count: int
    rating_version: int
    packages: tuple[Package, ...]
    images: tuple[Image, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """The `ETag` of the page: another one after every change of its content."""
        return etag(self.gig.version, self.rating_version, self.seller.version)

    def package(self, package_id: UUID) -> Package:
        """Return the package with this id, which must be one of the gig's."""
        return next(package for package in self.packages if package.id == package_id)

    def image(self, image_id: UUID) -> Image:
        """Return the image with this id, which must be one of the gig's."""
        return next(image for image in self.images if image.id == image_id)


class GigView(NamedTuple):
    """A gig's page as it is sent: ids are texts, times are seconds, amounts are doubles.

    Readers get it by the thousand, so it has no more objects than the response needs. `GigPage` is the same page for
    the rules. Each package is `[id, title, description, price, delivery_days, features, revisions, extras]`, each extra
    has the fields of Extra by their names, and each image is `[id, key, thumbnail_key, is_primary]`.
    """

    id: str
    title: str
    description: str
    category_id: str
    tags: list[str]
    status: str
    version: int
    rating_version: int
    rating: float
    review_count: int
    created_at: int
    updated_at: int
    seller_id: str
    username: str
    seller_version: int
    buyer_count: int
    buyer_rating_sum: int
    packages: list[list[Any]]
    images: list[list[Any]]
    gig_state: str
    seller_state: str

    @property
    def etag(self) -> str:
        """The page's `ETag`, as that of GigPage."""
        return etag(self.version, self.rating_version, self.seller_version)

    @property
    def state(self) -> PageState:
        """The state of the page's rows when it was read."""
        return PageState(self.gig_state, self.seller_state)

    @property
    def is_public(self) -> bool:
        """Whether everybody may see the gig, in this state."""
        return self.status == Status.ACTIVE

    @property
    def badges(self) -> list[str]:
        """The seller's badges."""
        return badges(RatingTotals(self.buyer_count, self.buyer_rating_sum)) if self.buyer_count else []

    def check_visible(self, caller: Caller) -> None:
        """Raise NotFound unless the caller may see the gig."""
        if not self.is_public:
            check_visible(Gig(UUID(self.id), UUID(self.seller_id), Status(self.status), self.version), caller)


class GigDescription(NamedTuple):
    """What other services may know of a gig. `username` is the seller's, as their latest access token had it."""

    id: UUID
    seller_id: UUID
    status: Status
    username: str
    title: str


class PackageTerms(NamedTuple):
    """A package that can be ordered now, with all that an order copies of it and of its gig.

    Only OrderService reads it, so its values are already those of the response: ids as text, prices as doubles, extras
    by the names of their fields.
    """

    package_id: str
    package_title: str
    gig_id: str
    gig_title: str
    seller_id: str
    price: float
    delivery_days: int
    revisions: int
    extras: list[dict[str, Any]]


def is_owner(gig: Gig, caller: Caller) -> bool:
    """Return whether the gig is the caller's own."""
    return caller.id is not None and caller.id == gig.seller_id


def check_visible(gig: Gig, caller: Caller) -> None:
    """Raise NotFound unless the gig is ACTIVE or the caller is its owner or an admin."""
    if not (gig.status is Status.ACTIVE or is_owner(gig, caller) or caller.is_admin):
        raise NotFound("Gig")


def check_editable(
    gig: Gig,
    caller: Caller,
    if_match: str | None,
    package_id: UUID | None = None,
    image_id: UUID | None = None,
) -> None:
    """Refuse a change of the gig unless the caller owns it and names its current version.

    Raises NotFound when the caller may not see the gig, or when the package or the image is not the gig's; Forbidden
    when the gig is another seller's; PreconditionFailed when `if_match`, the `If-Match` header, names another version.
    """
    check_visible(gig, caller)
    if package_id is not None and package_id not in gig.package_ids:
        raise NotFound("Package")
    if image_id is not None and image_id not in gig.image_ids:
        raise NotFound("Image")
    if not is_owner(gig, caller):
        raise Forbidden("You don't have permission to modify this gig")
    if not matches(if_match, gig.version):
        raise PreconditionFailed


def next_status(gig: Gig, caller: Caller, if_match: str | None, requested: Status | None) -> Status:
    """Return the gig's next status. When none is requested, ACTIVE becomes PAUSED and everything else ACTIVE.

    The owner and admins may change it; only admins may begin or end a suspension. Raises as `check_editable` does.
    """
    check_visible(gig, caller)
    if not (is_owner(gig, caller) or caller.is_admin):
        raise Forbidden("You don't have permission to modify this gig")
    status = requested or TOGGLED[gig.status]
    if Status.SUSPENDED in (gig.status, status) and not caller.is_admin:
        raise Forbidden("Only an admin may suspend a gig or end its suspension")
    if not matches(if_match, gig.version):
        raise PreconditionFailed
    return status


def check_package_room(gig: Gig) -> None:
    """Raise Conflict (LIMIT_REACHED) when the gig has MAX_PACKAGES packages already."""
    if len(gig.package_ids) >= MAX_PACKAGES:
        raise Conflict(f"A gig has at most {MAX_PACKAGES} packages", code="LIMIT_REACHED")


def check_extras(packages: Sequence[PackageDetails], kept: Container[UUID] = (), *, path: str = "") -> None:
    """Raise InvalidArgument for each extra whose id is not in `kept`, or that has the id of one before it.

    `kept` has the ids of the stored extras of the package that is replaced. `path` is the path of a package in the
    request, with the package's number between braces.
    """
    violations = []
    for number, package in enumerate(packages):
        ids = [extra.id for extra in package.extras]
        for place, extra_id in enumerate(ids):
            field = f"{path.format(number)}extras[{place}].id"
            if extra_id is not None and extra_id not in kept:
                violations.append(Violation(field, "is not an extra of the package"))
            elif extra_id is not None and extra_id in ids[:place]:
                violations.append(Violation(field, "is repeated"))
    if violations:
        raise InvalidArgument(violations)


def check_not_last_package(gig: Gig) -> None:
    """Raise Conflict when the gig has a single package, which must stay."""
    if len(gig.package_ids) == 1:
        raise Conflict("The last package of a gig cannot be removed")
