"""How an order comes to be: from a package's terms and a buyer's request."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from order_service.domain.order import Change, Event, Order, Party, Status
from order_service.domain.payment import Authorization, PaymentStatus
from servicekit.errors import Forbidden, InvalidArgument, MarketplaceError, Violation


@dataclass(frozen=True, slots=True)
class PackageTerms:
    """A package that can be ordered now, as GigService has it: everything that an order copies.

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
    """The deployment's rules for orders that are placed now.

    `minimum` is the smallest price that the payment provider takes, in major units of `currency`.
    """

    currency: str
    commission_percent: Decimal
    minimum: Decimal


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A buyer's part of an order: their id, their requirements and their payment."""

    buyer_id: UUID
    requirements: str
    payment_method: str
    payment_token: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that lacks only its payment. `commission_percent` is fixed for it from here on."""

    order_id: UUID
    terms: PackageTerms
    request: OrderRequest
    currency: str
    commission_percent: Decimal


class PriceChanged(MarketplaceError):
    """The price is not the one that the buyer expects. `price` is the current one, in major units."""

    def __init__(self, price: Decimal) -> None:
        is_whole = price == price.to_integral_value()
        super().__init__("PRICE_CHANGED", extra={"price": int(price) if is_whole else float(price)})


def draft(
    order_id: UUID, terms: PackageTerms, request: OrderRequest, policy: OrderPolicy, expected: Decimal | None = None
) -> Draft:
    """Return an order at the package's terms, to be paid for. `expected` is the price that the buyer was shown.

    Raises Forbidden when the buyer is the seller, PriceChanged when the price is not the expected one, and
    InvalidArgument when the payment provider takes no such price.
    """
    if request.buyer_id == terms.seller_id:
        raise Forbidden("You can't order your own gig")
    if expected is not None and terms.price != expected:
        raise PriceChanged(terms.price)
    if terms.price < policy.minimum:
        message = f"costs less than the {policy.minimum} {policy.currency} that a payment must have"
        raise InvalidArgument([Violation("packageId", message)])
    return Draft(order_id, terms, request, policy.currency, policy.commission_percent)


def place(draft: Draft, authorization: Authorization, now: datetime) -> Change:
    """Return the new PENDING order, due the package's delivery days after `now`."""
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
        payment_reference=authorization.reference,
        capture_before=authorization.capture_before,
        refund_due=Decimal(0),
        refunded=Decimal(0),
        charged_back=Decimal(0),
        commission_percent=draft.commission_percent,
    )
    return Change(order, Event(now, Party.BUYER, "place", None, Status.PENDING, ""))
