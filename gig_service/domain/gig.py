"""What a gig is, who may see it and who may change it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from gig_service.domain.etag import etag, matches
from gig_service.domain.image import Image
from gig_service.domain.rating import Tally, badges
from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, NotFound, PreconditionFailed

MAX_PACKAGES = 10


class Status(StrEnum):
    """Who can see a gig and buy from it."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    SUSPENDED = "SUSPENDED"


# What an empty request for another status makes of each.
TOGGLED = {Status.ACTIVE: Status.PAUSED, Status.PAUSED: Status.ACTIVE, Status.SUSPENDED: Status.ACTIVE}


@dataclass(frozen=True, slots=True)
class Texts:
    """What a seller says of a gig: the part that a PUT replaces. `tags` are in lower case, each once."""

    title: str
    description: str
    category_id: UUID
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a seller says of a package. `price` is in major units, `delivery_days` counts from the order."""

    title: str
    description: str
    price: Decimal
    delivery_days: int
    features: tuple[str, ...]
    revisions: int


@dataclass(frozen=True, slots=True)
class Package:
    """One way to buy a gig."""

    id: UUID
    terms: Terms


@dataclass(frozen=True, slots=True)
class Seller:
    """Who offers a gig. `tally` counts the reviews of all their gigs; `version` grows when what others see changes."""

    id: UUID
    username: str
    tally: Tally
    version: int

    @property
    def badges(self) -> list[str]:
        """What the reviews have earned."""
        return badges(self.tally)


@dataclass(frozen=True, slots=True)
class Gig:
    """What the rules ask of a gig. `version` grows by one whenever its owner or an admin changes it."""

    id: UUID
    seller_id: UUID
    status: Status
    version: int
    package_ids: tuple[UUID, ...] = ()
    image_ids: tuple[UUID, ...] = ()

    @property
    def image_count(self) -> int:
        """How many images it has."""
        return len(self.image_ids)


@dataclass(frozen=True, slots=True)
class GigPage:
    """Everything that a gig's page shows. Times are aware, in UTC; packages and images stand as they were added."""

    gig: Gig
    texts: Texts
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
        """Changes with whatever the page shows."""
        return etag(self.gig.version, self.rating_version, self.seller.version)


@dataclass(frozen=True, slots=True)
class Offer:
    """A package that can be ordered now, with what an order copies of its gig."""

    package_id: UUID
    package_title: str
    gig_id: UUID
    gig_title: str
    seller_id: UUID
    price: Decimal
    delivery_days: int
    revisions: int


def is_owner(gig: Gig, caller: Caller) -> bool:
    """Whether it is the caller's own gig."""
    return caller.id is not None and caller.id == gig.seller_id


def check_visible(gig: Gig, caller: Caller) -> None:
    """Raises NotFound for a gig that is not ACTIVE, unless it is the caller's own or the caller is an admin."""
    if not (gig.status is Status.ACTIVE or is_owner(gig, caller) or caller.is_admin):
        raise NotFound("Gig")


def check_editable(
    gig: Gig,
    caller: Caller,
    if_match: str | None,
    package_id: UUID | None = None,
    image_id: UUID | None = None,
) -> None:
    """Lets the owner through, when they have seen the gig as it is.

    Raises NotFound when the caller may not even see it, or when the package or the image that is given is none of its
    own; Forbidden when it is another's; PreconditionFailed when `if_match`, the `If-Match` header, names another
    version.
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


def next_status(gig: Gig, caller: Caller, if_match: str | None, wanted: Status | None) -> Status:
    """The status that the gig gets. Without a wanted one, ACTIVE becomes PAUSED and everything else ACTIVE.

    The owner and admins may ask; what begins or ends a suspension is for admins alone. Raises as `check_editable` does.
    """
    check_visible(gig, caller)
    if not (is_owner(gig, caller) or caller.is_admin):
        raise Forbidden("You don't have permission to modify this gig")
    status = wanted or TOGGLED[gig.status]
    if Status.SUSPENDED in (gig.status, status) and not caller.is_admin:
        raise Forbidden("Only an admin may suspend a gig or end its suspension")
    if not matches(if_match, gig.version):
        raise PreconditionFailed
    return status


def check_room(gig: Gig) -> None:
    """Raises Conflict (LIMIT_REACHED) when the gig can take no other package."""
    if len(gig.package_ids) >= MAX_PACKAGES:
        raise Conflict(f"A gig has at most {MAX_PACKAGES} packages", code="LIMIT_REACHED")


def check_not_last(gig: Gig) -> None:
    """Raises Conflict when the gig has a single package: it cannot go."""
    if len(gig.package_ids) == 1:
        raise Conflict("The last package of a gig cannot be removed")
