"""Builders for orders, with realistic defaults for all that a test does not set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from order_service.domain.lifecycle import Timeouts
from order_service.domain.order import Change, Event, Order, Status
from order_service.domain.payment import Authorization, PaymentStatus
from order_service.domain.placing import (
    Draft,
    OrderPolicy,
    OrderRequest,
    OrderTerms,
    PackageTerms,
    draft,
    order_terms,
    place,
)
from order_service.domain.reminders import Leads
from order_service.store.store import Store
from servicekit.ids import new_id

BUYER = UUID("018f0000-0000-7000-8000-00000000000b")
SELLER = UUID("018f0000-0000-7000-8000-00000000000c")
STRANGER = UUID("018f0000-0000-7000-8000-00000000000d")
NOON = datetime(2023, 8, 20, 12, tzinfo=UTC)
# The timeouts of the public contract.
TIMEOUTS = Timeouts(answer=timedelta(hours=48), approval=timedelta(hours=72), overdue=timedelta(days=30))
# The times of the public contract at which reminders come before their moments.
LEADS = Leads(expiring=timedelta(hours=12), due_soon=timedelta(hours=24), auto_completing=timedelta(hours=24))


# The contract's commission, and the sandbox's smallest price.
POLICY = OrderPolicy(currency="USD", commission_percent=Decimal(10), minimum=Decimal("0.50"))


def package_terms(**changes: Any) -> PackageTerms:
    """Return the terms of the seed's basic website: fourteen days, two revisions."""
    terms = PackageTerms(
        package_id=new_id(),
        package_title="Basic Website",
        gig_id=new_id(),
        gig_title="Professional Website Development",
        seller_id=SELLER,
        price=Decimal("500.00"),
        delivery_days=14,
        revisions=2,
    )
    return replace(terms, **changes)


def terms_of_order(**changes: Any) -> OrderTerms:
    """Return the terms of an order of such a package, once and without extras."""
    return order_terms(package_terms(**changes), (), 1)


def an_order_request(**changes: Any) -> OrderRequest:
    """Return an order request of the seed's buyer."""
    return replace(OrderRequest(BUYER, "Need dark theme", "stripe"), **changes)


def a_draft(request: OrderRequest | None = None, **terms: Any) -> Draft:
    """Return an order whose payment is not authorized yet; keyword arguments change the package's terms."""
    request = request or an_order_request()
    package = package_terms(**terms)
    return draft(new_id(), order_terms(package, request.extra_ids, request.quantity), request, POLICY)


def a_placing(now: datetime, request: OrderRequest | None = None, **terms: Any) -> Change:
    """Return the placing of an order whose payment is authorized now, for a week."""
    new_draft = a_draft(request, **terms)
    return place(new_draft, Authorization(f"payment-{new_draft.order_id}", now + timedelta(days=7)), now)


def an_order(**changes: Any) -> Order:
    """Return an order placed at noon, with these changes.

    Unless the changes say otherwise, its payment is captured, or AUTHORIZED where it is PENDING or CANCELLED.
    """
    if changes.get("status", Status.PENDING) not in (Status.PENDING, Status.CANCELLED):
        changes.setdefault("payment_status", PaymentStatus.CAPTURED)
    return replace(a_placing(NOON).order, **changes)


def store_placing(store: Store, make: Callable[[datetime], Change] = a_placing) -> Order:
    """Store the new order that `make` returns for the present time, as PlaceOrder does."""
    change = make(store.now())
    store_new(store, change)
    return change.order


def store_new(store: Store, change: Change) -> None:
    """Store a new order, with an attempt that ends with it."""
    order_id = change.order.id
    assert store.attempts.begin_authorization(replace(a_draft(), order_id=order_id))
    with store.new_attempt_lock(order_id):
        assert store.orders.place(change, b"")


def store_change(store: Store, order_id: UUID, decide: Callable[[Order, datetime], Change]) -> Order:
    """Store what `decide` returns for the locked order, as commands do."""
    with store.transaction("order"):
        order, now = store.orders.lock(order_id)
        change = decide(order, now)
        store.orders.save(change, now)
    return change.order


def event_of(change: Change) -> Event:
    """Return the change's event. Fails when it has none."""
    assert change.event is not None
    return change.event
