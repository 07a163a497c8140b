"""The rules of placing an order, of payment methods, of currencies and of lists."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from order_service.domain.currency import check_currency
from order_service.domain.order import Status
from order_service.domain.payment import Authorization, PaymentPolicy, PaymentStatus, Provider
from order_service.domain.placing import OrderPolicy, draft, place
from servicekit.errors import Forbidden, InvalidArgument
from servicekit.ids import new_id
from tests.support.orders import BUYER, NOON, POLICY, SELLER, a_placing, an_order_request, terms_of_order


def test_a_new_order_copies_the_package_terms_and_the_order_policy() -> None:
    terms = terms_of_order(price=Decimal("19.99"), delivery_days=3, revisions=5)
    order_id = new_id()
    policy = OrderPolicy(currency="EUR", commission_percent=Decimal("7.5"), minimum=Decimal("0.50"))
    authorization = Authorization("payment-1", NOON + timedelta(days=7))

    new_draft = draft(order_id, terms, an_order_request(requirements="Dark", payment_method="stripe"), policy)
    order = place(new_draft, authorization, NOON).order

    assert (order.id, order.version, order.status) == (order_id, 1, Status.PENDING)
    assert (order.buyer_id, order.seller_id) == (BUYER, SELLER)
    assert (order.gig_id, order.gig_title) == (terms.gig_id, terms.gig_title)
    assert (order.package_id, order.package_title) == (terms.package_id, terms.package_title)
    assert (order.price, order.currency, order.commission_percent) == (Decimal("19.99"), "EUR", Decimal("7.5"))
    assert (order.delivery_days, order.revisions_left) == (3, 5)
    assert (order.requirements, order.payment_method) == ("Dark", "stripe")
    assert (order.payment_status, order.payment_reference) == (PaymentStatus.AUTHORIZED, "payment-1")
    assert order.capture_before == NOON + timedelta(days=7)
    assert order.created_at == order.updated_at == NOON
    assert order.first_delivered_at is None


def test_an_order_is_due_its_delivery_days_after_the_placing() -> None:
    assert a_placing(NOON, delivery_days=14).order.due_at == NOON + timedelta(days=14)


def test_the_placing_is_the_first_event_of_the_history() -> None:
    event = a_placing(NOON).event

    assert event is not None
    assert (event.at, event.by, event.action, event.from_status, event.to_status) == (
        NOON,
        "buyer",
        "place",
        None,
        "PENDING",
    )


def test_nobody_orders_their_own_gig() -> None:
    with pytest.raises(Forbidden, match="You can't order your own gig"):
        draft(new_id(), terms_of_order(), an_order_request(buyer_id=SELLER), POLICY)


def test_a_price_below_the_providers_minimum_is_refused_and_the_minimum_is_not() -> None:
    draft(new_id(), terms_of_order(price=POLICY.minimum), an_order_request(), POLICY)
    with pytest.raises(InvalidArgument, match=r"less than the 0\.50 USD") as refusal:
        draft(new_id(), terms_of_order(price=POLICY.minimum - Decimal("0.01")), an_order_request(), POLICY)

    assert [violation.field for violation in refusal.value.violations] == ["packageId"]


def test_a_payment_token_is_required_where_the_provider_needs_one() -> None:
    stripe_policy = PaymentPolicy(Provider.STRIPE, needs_token=True)

    PaymentPolicy(Provider.SANDBOX, needs_token=False).check("stripe", "")
    stripe_policy.check("stripe", "pm_card_visa")
    with pytest.raises(InvalidArgument) as refusal:
        stripe_policy.check("stripe", "")

    assert [violation.field for violation in refusal.value.violations] == ["paymentToken"]


def test_the_sandbox_is_a_payment_method_only_where_it_is_the_provider() -> None:
    PaymentPolicy(Provider.SANDBOX, needs_token=False).check("sandbox", "")
    with pytest.raises(InvalidArgument) as refusal:
        PaymentPolicy(Provider.STRIPE, needs_token=False).check("sandbox", "")

    assert [violation.field for violation in refusal.value.violations] == ["paymentMethod"]


@pytest.mark.parametrize("provider", Provider)
def test_stripe_is_a_payment_method_of_every_provider(provider: Provider) -> None:
    PaymentPolicy(provider, needs_token=False).check("stripe", "")


@pytest.mark.parametrize("code", ["USD", "EUR", "CHF", "INR"])
def test_currencies_with_two_decimals_are_known(code: str) -> None:
    assert check_currency(code) == code


@pytest.mark.parametrize("code", ["JPY", "KWD", "KRW", "CLF", "XAU", "XXX", "usd", "", "BITCOIN"])
def test_a_currency_that_is_unknown_or_has_other_decimals_is_named(code: str) -> None:
    with pytest.raises(ValueError, match=repr(code)):
        check_currency(code)
