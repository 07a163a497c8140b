"""How an order comes to be: from the terms of a package or an offer, and a buyer's request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from order_service.domain import settlement
from order_service.domain.offer import Offer
from order_service.domain.order import Change, Event, Line, Order, Party, Status
from order_service.domain.payment import Authorization, PaymentStatus
from servicekit.errors import Forbidden, InvalidArgument, MarketplaceError, Violation

# The largest price of an order, in major units.
MAX_PRICE = Decimal(1_000_000)


class Source(StrEnum):
    """What is ordered."""

    PACKAGE = "package"
    OFFER = "offer"

    @property
    def field(self) -> str:
        """The field of its id, as clients write it."""
        return f"{self}Id"


@dataclass(frozen=True, slots=True)
class Start:
    """How an order begins: its first status, and whether its payment is captured, or only authorized."""

    status: Status
    is_captured: bool


# The seller of an offer has agreed to the order already.
STARTS = {
    Source.PACKAGE: Start(Status.PENDING, is_captured=False),
    Source.OFFER: Start(Status.IN_PROGRESS, is_captured=True),
}


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of a package, as GigService has it. `price` is in major units, `extra_days` may be negative."""

    id: UUID
    title: str
    price: Decimal
    extra_days: int
    extra_revisions: int


@dataclass(frozen=True, slots=True)
class PackageTerms:
    """A package that can be ordered now, as GigService has it.

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
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """Everything that an order copies. `price`, `delivery_days` and `revisions` are those of the whole order.

    Either `package_id` or `offer_id` is set; `package_title` is the title of that. `price` is the sum of the lines. A
    draft from before there were lines has none.
    """

    package_id: UUID | None
    package_title: str
    gig_id: UUID
    gig_title: str
    seller_id: UUID
    price: Decimal
    delivery_days: int
    revisions: int
    lines: tuple[Line, ...] = ()
    offer_id: UUID | None = None

    @property
    def source(self) -> Source:
        """What is ordered."""
        return Source.PACKAGE if self.offer_id is None else Source.OFFER


@dataclass(frozen=True, slots=True)
class OrderPolicy:
    """The deployment's rules for orders that are placed now.

    `minimum` is the smallest price that the payment provider takes, in major units of `currency`.
    """

    currency: str
    commission_percent: Decimal
    minimum: Decimal


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A buyer's part of an order: their id, their requirements and their payment.

    `extra_ids` are the extras, in the order of their lines; `quantity` is how often the package is ordered.
    """

    buyer_id: UUID
    requirements: str
    payment_method: str
    payment_token: str = ""
    extra_ids: tuple[UUID, ...] = ()
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that lacks only its payment. `commission_percent` is fixed for it from here on."""

    order_id: UUID
    terms: OrderTerms
    request: OrderRequest
    currency: str
    commission_percent: Decimal


class PriceChanged(MarketplaceError):
    """The price is not the one that the buyer expects. `price` is the current one, in major units."""

    def __init__(self, price: Decimal) -> None:
        is_whole = price == price.to_integral_value()
        super().__init__("PRICE_CHANGED", extra={"price": int(price) if is_whole else float(price)})


def order_terms(package: PackageTerms, extra_ids: Sequence[UUID], quantity: int) -> OrderTerms:
    """Return the terms of an order of so many of a package, with these extras.

    The quantity multiplies the package's line alone, neither extras nor days nor revisions. Each extra is named once.
    Raises InvalidArgument for extras that are not the package's, and for a price above MAX_PRICE.
    """
    extras = _chosen(package, extra_ids)
    lines = (
        Line(package.package_title, package.price, quantity),
        *(Line(extra.title, extra.price) for extra in extras),
    )
    price = sum((line.amount for line in lines), Decimal(0))
    if price > MAX_PRICE:
        raise InvalidArgument([Violation("quantity", f"makes a price above {MAX_PRICE}")])
    return OrderTerms(
        package_id=package.package_id,
        package_title=package.package_title,
        gig_id=package.gig_id,
        gig_title=package.gig_title,
        seller_id=package.seller_id,
        price=price,
        delivery_days=max(1, package.delivery_days + sum(extra.extra_days for extra in extras)),
        revisions=package.revisions + sum(extra.extra_revisions for extra in extras),
        lines=lines,
    )


def offer_terms(offer: Offer, gig_title: str) -> OrderTerms:
    """Return the terms of an order of an offer, whose gig has this title now."""
    return OrderTerms(
        package_id=None,
        package_title=offer.title,
        gig_id=offer.gig_id,
        gig_title=gig_title,
        seller_id=offer.seller_id,
        price=offer.price,
        delivery_days=offer.delivery_days,
        revisions=offer.revisions,
        lines=(Line(offer.title, offer.price),),
        offer_id=offer.id,
    )


def _chosen(package: PackageTerms, extra_ids: Sequence[UUID]) -> list[Extra]:
    """Return the extras with these ids, in their order. Raises InvalidArgument for those that are not the package's."""
    extras = {extra.id: extra for extra in package.extras}
    violations = [
        Violation(f"extraIds[{index}]", "is not an extra of the package")
        for index, extra_id in enumerate(extra_ids)
        if extra_id not in extras
    ]
    if violations:
        raise InvalidArgument(violations)
    return [extras[extra_id] for extra_id in extra_ids]


def draft(
    order_id: UUID, terms: OrderTerms, request: OrderRequest, policy: OrderPolicy, expected: Decimal | None = None
) -> Draft:
    """Return an order at these terms, to be paid for. `expected` is the price that the buyer was shown.

    Raises Forbidden when the buyer is the seller, PriceChanged when the price is not the expected one, and
    InvalidArgument when the payment provider takes no such price.
    """
    if request.buyer_id == terms.seller_id:
        raise Forbidden("You can't order your own gig")
    if expected is not None and terms.price != expected:
        raise PriceChanged(terms.price)
    if terms.price < policy.minimum:
        message = f"costs less than the {policy.minimum} {policy.currency} that a payment must have"
        raise InvalidArgument([Violation(terms.source.field, message)])
    return Draft(order_id, terms, request, policy.currency, policy.commission_percent)


def place(draft: Draft, authorization: Authorization, now: datetime) -> Change:
    """Return the new order, due its delivery days after `now`.

    Its payment is authorized; that of an order of an offer is captured as well.
    """
    terms, request = draft.terms, draft.request
    start = STARTS[terms.source]
    # What its package alone says needs no lines.
    is_plain = terms.source is Source.PACKAGE and terms.lines == (Line(terms.package_title, terms.price),)
    order = Order(
        id=draft.order_id,
        version=1,
        status=start.status,
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
        payment_reference=authorization.reference,
        capture_before=authorization.capture_before,
        refund_due=Decimal(0),
        refunded=Decimal(0),
        charged_back=Decimal(0),
        commission_percent=draft.commission_percent,
        lines=() if is_plain else terms.lines,
        offer_id=terms.offer_id,
    )
    change = settlement.capture(order) if start.is_captured else Change(order)
    return replace(change, event=Event(now, Party.BUYER, "place", None, start.status, ""))
