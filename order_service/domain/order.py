"""What an order is, and how one comes to be."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from servicekit.errors import Forbidden, NotFound


class Status(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    DELIVERED = "DELIVERED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class Party(StrEnum):
    """Who someone is to an order. The history knows them by these names."""

    BUYER = "buyer"
    SELLER = "seller"
    ADMIN = "admin"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Offer:
    """A package as GigService offers it now: all that an order copies.

    `price` is in major units, `delivery_days` counts from the placing, `revisions` is how often a buyer may ask for
    changes.
    """

    package_id: UUID
    package_title: str
    gig_id: UUID
    gig_title: str
    seller_id: UUID
    price: Decimal
    delivery_days: int
    revisions: int


@dataclass(frozen=True, slots=True)
class Order:
    """A promise to deliver one package for a fixed price, at the terms that stood when it was placed.

    `price` is in major units of `currency` (ISO 4217). Times are aware, in UTC. `version` is 1 when placed and grows by
    one with every change, so it is also the number of the change's row in the history. `first_delivered_at` is None
    until the work is first handed over, and keeps its value when a revision sends the order back;
    `last_delivered_at` is when it was handed over most recently.
    """

    id: UUID
    version: int
    status: Status
    buyer_id: UUID
    seller_id: UUID
    gig_id: UUID
    gig_title: str
    package_id: UUID
    package_title: str
    price: Decimal
    currency: str
    delivery_days: int
    revisions_left: int
    requirements: str
    payment_method: str
    due_at: datetime
    first_delivered_at: datetime | None
    last_delivered_at: datetime | None
    created_at: datetime
    updated_at: datetime

    def is_overdue(self, now: datetime) -> bool:
        """Whether the work should have been there by `now`."""
        return now > self.due_at

    def parties(self, user_id: UUID, *, is_admin: bool) -> frozenset[Party]:
        """Who the user is to this order. Raises NotFound for a stranger, who must not learn that there is one."""
        holds = {
            Party.BUYER: user_id == self.buyer_id,
            Party.SELLER: user_id == self.seller_id,
            Party.ADMIN: is_admin,
        }
        parties = frozenset(party for party in holds if holds[party])
        if not parties:
            raise NotFound("Order")
        return parties


@dataclass(frozen=True, slots=True)
class Event:
    """One row of an order's history: what was done, by whom, and where it led. `came_from` is None for the placing."""

    at: datetime
    by: Party
    action: str
    came_from: Status | None
    to: Status
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """An order as a change leaves it, and the row of its history that says so. The two are stored together."""

    order: Order
    event: Event


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer brings to an order beside the package: who they are, what they want and how they pay."""

    buyer_id: UUID
    requirements: str
    payment_method: str


def place(order_id: UUID, offer: Offer, wish: Wish, *, currency: str, now: datetime) -> Change:
    """A new PENDING order at the offer's terms, due the package's delivery days after `now`.

    Raises Forbidden when the buyer is the seller.
    """
    if wish.buyer_id == offer.seller_id:
        raise Forbidden("You can't order your own gig")
    order = Order(
        id=order_id,
        version=1,
        status=Status.PENDING,
        buyer_id=wish.buyer_id,
        seller_id=offer.seller_id,
        gig_id=offer.gig_id,
        gig_title=offer.gig_title,
        package_id=offer.package_id,
        package_title=offer.package_title,
        price=offer.price,
        currency=currency,
        delivery_days=offer.delivery_days,
        revisions_left=offer.revisions,
        requirements=wish.requirements,
        payment_method=wish.payment_method,
        due_at=now + timedelta(days=offer.delivery_days),
        first_delivered_at=None,
        last_delivered_at=None,
        created_at=now,
        updated_at=now,
    )
    return Change(order, Event(now, Party.BUYER, "place", None, Status.PENDING, ""))
