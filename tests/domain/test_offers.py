"""The rules of offers, and of the orders that are placed from them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from order_service.domain import offer as rules
from order_service.domain.ledger import Account
from order_service.domain.offer import BeingOrdered, Offer, OfferClosed, OfferedGig, OfferStatus, OfferTerms
from order_service.domain.offer_listing import AdminOfferFilters, OfferFilter, offer_filter
from order_service.domain.order import Status
from order_service.domain.payment import Authorization, PaymentStatus
from order_service.domain.placing import draft, offer_terms, place
from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, InvalidArgument, NotFound
from servicekit.ids import new_id
from tests.support.orders import BUYER, NOON, POLICY, SELLER, STRANGER, an_order_request

ADMIN = Caller(new_id(), roles=frozenset({"admin"}))
END = NOON + timedelta(hours=168)
GIG = new_id()


def an_offer(**changes: Any) -> Offer:
    terms = {"title": "A shop", "description": "", "price": Decimal(700), "delivery_days": 10, "revisions": 1}
    return rules.make(
        new_id(),
        OfferTerms(**{**terms, **changes}),
        conversation_id=new_id(),
        gig_id=GIG,
        seller_id=SELLER,
        buyer_id=BUYER,
        now=NOON,
    )


def test_an_offer_is_open_until_its_end_and_expired_from_then_on() -> None:
    offer = an_offer()

    assert offer.expires_at == END
    assert offer.at(END - timedelta(microseconds=1)).status is OfferStatus.OPEN
    assert offer.at(END).status is OfferStatus.EXPIRED
    assert rules.accept(offer, new_id()).at(END).status is OfferStatus.ACCEPTED


@pytest.mark.parametrize(
    ("close", "side", "other", "status"),
    [
        (rules.withdraw, SELLER, BUYER, OfferStatus.WITHDRAWN),
        (rules.decline, BUYER, SELLER, OfferStatus.DECLINED),
    ],
)
def test_each_side_closes_in_its_way(close: Any, side: UUID, other: UUID, status: OfferStatus) -> None:
    offer = an_offer()

    assert close(offer, Caller(side), NOON, is_reserved=False).status is status
    for caller, error in ((Caller(other), Forbidden), (ADMIN, Forbidden), (Caller(STRANGER), NotFound)):
        with pytest.raises(error):
            close(offer, caller, NOON, is_reserved=False)


@pytest.mark.parametrize("close", [rules.withdraw, rules.decline])
def test_nobody_closes_an_offer_that_is_closed_over_or_reserved(close: Any) -> None:
    offer = an_offer()
    side = Caller(SELLER if close is rules.withdraw else BUYER)
    closed = close(offer, side, NOON, is_reserved=False)

    for refused, now in ((closed, NOON), (offer, END)):
        with pytest.raises(OfferClosed) as conflict:
            close(refused, side, now, is_reserved=False)
        assert conflict.value.code == "OFFER_CLOSED"
    for now in (NOON, END):
        with pytest.raises(BeingOrdered) as reserved:
            close(offer, side, now, is_reserved=True)
        assert reserved.value.code == "CONFLICT"


def test_a_price_below_the_providers_minimum_is_refused() -> None:
    terms = OfferTerms("A shop", "", Decimal("0.49"), 1, 0)

    with pytest.raises(InvalidArgument, match=r"at least 0\.50 USD"):
        terms.check_price(Decimal("0.50"), "USD")


def test_a_gig_is_offered_by_its_owner_unless_it_is_suspended() -> None:
    OfferedGig(SELLER, "Shops", is_suspended=False).check_offer(Caller(SELLER))
    with pytest.raises(Forbidden):
        OfferedGig(SELLER, "Shops", is_suspended=True).check_offer(Caller(BUYER))
    with pytest.raises(NotFound):
        OfferedGig(SELLER, "Shops", is_suspended=True).check_offer(Caller(SELLER))


def test_the_eleventh_open_offer_is_one_too_many() -> None:
    rules.check_number(9)
    with pytest.raises(Conflict) as conflict:
        rules.check_number(10)

    assert conflict.value.code == "LIMIT_REACHED"


def test_an_order_of_an_offer_begins_in_progress_with_its_money_in_escrow() -> None:
    offer = an_offer(price=Decimal("19.99"), delivery_days=3, revisions=5)
    new_draft = draft(new_id(), offer_terms(offer, "Shops"), an_order_request(), POLICY)

    change = place(new_draft, Authorization("payment-1", NOON + timedelta(days=7)), NOON)

    order, event = change.order, change.event
    assert (order.offer_id, order.package_id, order.package_title, order.gig_title) == (
        offer.id, None, "A shop", "Shops"
    )  # fmt: skip
    assert (order.status, order.payment_status) == (Status.IN_PROGRESS, PaymentStatus.CAPTURED)
    assert (order.due_at, order.revisions_left) == (NOON + timedelta(days=3), 5)
    assert [(line.title, line.amount) for line in order.all_lines] == [("A shop", Decimal("19.99"))]
    assert event is not None
    assert (event.action, event.from_status, event.to_status) == ("place", None, Status.IN_PROGRESS)
    [posting] = change.postings
    assert posting.reference == f"capture:{order.id}"
    assert {line.account: line.amount for line in posting.lines} == {
        Account.ESCROW: Decimal("17.99"),
        Account.ESCROW_COMMISSION: Decimal("2.00"),
        Account.BUYERS: Decimal("-19.99"),
    }


def test_only_admins_list_all_offers() -> None:
    filters = AdminOfferFilters(buyer_id=str(BUYER))

    assert offer_filter("admin", None, None, filters, ADMIN) == OfferFilter(buyer_id=BUYER)
    assert offer_filter("", None, None, AdminOfferFilters(), Caller(BUYER)) == OfferFilter(participant_id=BUYER)
    with pytest.raises(Forbidden):
        offer_filter("admin", None, None, filters, Caller(BUYER))
    with pytest.raises(InvalidArgument) as refusal:
        offer_filter("", None, None, filters, ADMIN)
    assert [violation.field for violation in refusal.value.violations] == ["buyerId"]
