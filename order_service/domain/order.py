"""What an order is, and how one comes to be."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from order_service.domain.ledger import Posting
from order_service.domain.payment import Hold, PaymentStatus
from servicekit.errors import Forbidden, InvalidArgument, NotFound, Violation


class Status(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    DELIVERED = "DELIVERED"
    DISPUTED = "DISPUTED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"


class Party(StrEnum):
    """Who someone is to an order. The history knows them by these names."""

    BUYER = "buyer"
    SELLER = "seller"
    ADMIN = "admin"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class PackageTerms:
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
class OrderPolicy:
    """What a deployment has decided for all orders that are placed now.

    `minimum` is the smallest price that the payment provider takes, in major units of `currency`.
    """

    currency: str
    commission_percent: Decimal
    minimum: Decimal


@dataclass(frozen=True, slots=True)
class Order:
    """A promise to deliver one package for a fixed price, at the terms that stood when it was placed.

    `price` is in major units of `currency` (ISO 4217). Times are aware, in UTC. `version` is 1 when placed and grows by
    one with every change, so it is also the number of the change's row in the history. `first_delivered_at` is None
    until the work is first handed over, and keeps its value when a revision sends the order back;
    `last_delivered_at` is when it was handed over most recently.

    Of the money, all in major units: `payment_status` is None for an order from before there were payments, and then no
    money is moved for it; `payment_reference` is the provider's name for the payment, whose hold on the card ends at
    `capture_before`; `refund_due` is what the buyer is to get back and `refunded` what they have got; `charged_back` is
    what their bank has taken back; `commission_percent` is the marketplace's share, frozen at the placing.
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
    payment_status: PaymentStatus | None
    payment_reference: str
    capture_before: datetime | None
    refund_due: Decimal
    refunded: Decimal
    charged_back: Decimal
    commission_percent: Decimal

    @property
    def is_being_captured(self) -> bool:
        """Whether the seller has accepted, and nobody knows yet what the payment provider says to that."""
        return self.payment_status is PaymentStatus.CAPTURING

    @property
    def is_final(self) -> bool:
        """Whether it stands where nothing leads out of."""
        return self.status in (Status.COMPLETED, Status.CANCELLED)

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


class Task(StrEnum):
    """What a change has the payment provider do, afterwards and until it is done."""

    VOID = "void"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Change:
    """An order as a change leaves it, and all that goes with it. It is stored together, or not at all.

    `event` is the row of the history; None when only the money moved. `postings` go to the ledger, and `task` to the
    payment provider.
    """

    order: Order
    event: Event | None = None
    postings: tuple[Posting, ...] = ()
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a buyer brings to an order beside the package: who they are, what they want and how they pay."""

    buyer_id: UUID
    requirements: str
    payment_method: str
    payment_token: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that has everything but its payment. `commission_percent` is what counts for it from here on."""

    order_id: UUID
    terms: PackageTerms
    request: OrderRequest
    currency: str
    commission_percent: Decimal


def draft(order_id: UUID, terms: PackageTerms, request: OrderRequest, policy: OrderPolicy) -> Draft:
    """An order at the package's terms, to be paid for.

    Raises Forbidden when the buyer is the seller, and InvalidArgument when the payment provider takes no such price.
    """
    if request.buyer_id == terms.seller_id:
        raise Forbidden("You can't order your own gig")
    if terms.price < policy.minimum:
        told = f"costs less than the {policy.minimum} {policy.currency} that a payment must have"
        raise InvalidArgument([Violation("packageId", told)])
    return Draft(order_id, terms, request, policy.currency, policy.commission_percent)


def place(draft: Draft, hold: Hold, now: datetime) -> Change:
    """The new PENDING order, due the package's delivery days after `now`."""
    terms, request = draft.terms, draft.request
    order = Order(
        id=draft.order_id,
        version=1,
        status=Status.PENDING,
        buyer_id=request.buyer_id,
        seller_id=terms.seller_id,
        gig_id=terms.gig_id,
        gig_title=terms.gig_title,
        package_id=terms.package_id,
        package_title=terms.package_title,
        price=terms.price,
        currency=draft.currency,
        delivery_days=terms.delivery_days,
        revisions_left=terms.revisions,
        requirements=request.requirements,
        payment_method=request.payment_method,
        due_at=now + timedelta(days=terms.delivery_days),
        first_delivered_at=None,
        last_delivered_at=None,
        created_at=now,
        updated_at=now,
        payment_status=PaymentStatus.AUTHORIZED,
        payment_reference=hold.reference,
        capture_before=hold.capture_before,
        refund_due=Decimal(0),
        refunded=Decimal(0),
        charged_back=Decimal(0),
        commission_percent=draft.commission_percent,
    )
    return Change(order, Event(now, Party.BUYER, "place", None, Status.PENDING, ""))
