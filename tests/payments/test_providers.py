"""The behaviour that every payment gateway has in common."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from order_service.domain.chargeback import Chargeback, ChargebackState
from order_service.domain.refund import Refund, RefundState
from order_service.payments.gateway import (
    AlreadyCapturedError,
    ConfirmationNeededError,
    Declined,
    Gateway,
    PaymentReport,
    ProviderPayment,
    Purchase,
    RefundNotMadeError,
    RefundRequest,
    Transfer,
    TransferReport,
)
from order_service.payments.instrumented import InstrumentedGateway
from order_service.payments.sandbox import scenarios
from order_service.payments.sandbox.gateway import Sandbox
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.database import Database
from servicekit.errors import InvalidArgument, Unavailable
from servicekit.ids import new_id
from tests.payments.hands import DoubleHand, Hand, LocalstripeHand, SandboxHand
from tests.support.stripe_double import StripeDouble

PRICE = Decimal("19.99")
EPOCH, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class Provider:
    """A provider and its test cards: one that works, and those that are declined, need confirmation or are unknown."""

    gateway: Gateway
    good: str
    declined: str
    confirm: str
    unknown: str
    hand: Hand
    # localstripe captures a canceled payment, refunds more than was captured, and has no idempotency keys.
    is_strict: bool = True

    def purchase(self, card: str | None = None, **changes: Any) -> Purchase:
        purchase = Purchase(new_id(), new_id(), PRICE, "USD", self.good if card is None else card)
        return replace(purchase, **changes)

    def payment(self, order_id: UUID) -> ProviderPayment:
        payments = self.gateway.list_payments(EPOCH, FUTURE)
        (payment,) = [payment for payment in payments if payment.order_id == order_id]
        return payment

    def waiting(self) -> tuple[Purchase, ConfirmationNeededError]:
        """Return a purchase whose card waits for the buyer's confirmation."""
        purchase = self.purchase(self.confirm)
        with pytest.raises(ConfirmationNeededError) as needed:
            self.gateway.authorize(purchase)
        return purchase, needed.value

    def reserved(self, order_id: UUID) -> Decimal:
        """Return the amount that the provider has reserved for an order."""
        payments = self.gateway.list_payments(EPOCH, FUTURE)
        return sum((each.authorized for each in payments if each.order_id == order_id), Decimal(0))

    def captured(self) -> tuple[UUID, str]:
        """Capture a payment. Return its order and the provider's reference."""
        purchase = self.purchase()
        reference = self.gateway.authorize(purchase).reference
        self.gateway.capture(purchase.order_id, reference, purchase.amount)
        return purchase.order_id, reference

    def refund(self, payment: tuple[UUID, str], amount: Decimal = PRICE) -> tuple[RefundRequest, str]:
        """Refund an amount. Return the request, and the provider's id of the refund."""
        request = RefundRequest(new_id(), *payment, amount)
        return request, self.gateway.refund(request).id


def localstripe_provider(url: str) -> Provider:
    """Return a provider whose cards are created by number, through localstripe's API."""

    def card(number: str) -> str:
        fields = {
            "type": "card",
            "card[number]": number,
            "card[exp_month]": 12,
            "card[exp_year]": 2040,
            "card[cvc]": 123,
        }
        response = httpx.post(f"{url}/v1/payment_methods", data=fields, auth=("sk_test_1", ""))
        return str(response.json()["id"])

    gateway = StripeGateway("sk_test_1", "USD", url)
    cards = card("4242424242424242"), card("4000000000000341"), card("4000002500003155"), "pm_nobody"
    return Provider(gateway, *cards, LocalstripeHand(url), is_strict=False)


def double_provider(double: StripeDouble) -> Provider:
    gateway = StripeGateway("sk_test_1", "USD", double.url)
    confirm = "pm_card_authenticationRequired"
    return Provider(gateway, "pm_card_visa", "pm_card_chargeDeclined", confirm, "pm_nobody", DoubleHand(double))


@pytest.fixture(params=["sandbox", "localstripe", "double"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    match request.param:
        case "sandbox":
            database: Database = request.getfixturevalue("sandbox_database")
            sandbox = Sandbox(database)
            cards = "", scenarios.DECLINED, scenarios.CONFIRM_NEVER, "sandbox_nobody"
            bare = Provider(sandbox, *cards, SandboxHand(sandbox))
        case "localstripe":
            bare = localstripe_provider(request.getfixturevalue("localstripe"))
        case _:
            bare = double_provider(request.getfixturevalue("double"))
    # Instrumented, as OrderService uses it.
    yield replace(bare, gateway=InstrumentedGateway(bare.gateway))


def test_an_authorization_captures_nothing(provider: Provider) -> None:
    purchase = provider.purchase()

    authorization = provider.gateway.authorize(purchase)

    payment = provider.payment(purchase.order_id)
    assert (payment.authorized, payment.captured) == (PRICE, Decimal(0))
    assert payment.report == PaymentReport(authorization.reference)
    assert timedelta(days=6) < authorization.valid_for <= timedelta(days=7)


def test_a_repeated_capture_takes_the_amount_once(provider: Provider) -> None:
    purchase = provider.purchase()
    authorization = provider.gateway.authorize(purchase)

    provider.gateway.capture(purchase.order_id, authorization.reference, purchase.amount)
    provider.gateway.capture(purchase.order_id, authorization.reference, purchase.amount)

    payment = provider.payment(purchase.order_id)
    assert (payment.authorized, payment.captured, payment.report.refunds) == (Decimal(0), PRICE, ())


def test_a_voided_authorization_is_released_and_cannot_be_captured(provider: Provider) -> None:
    purchase = provider.purchase()
    authorization = provider.gateway.authorize(purchase)

    provider.gateway.void(purchase.order_id, authorization.reference)
    provider.gateway.void(purchase.order_id, authorization.reference)

    assert provider.payment(purchase.order_id).authorized == 0
    if not provider.is_strict:
        return
    with pytest.raises(Declined):
        provider.gateway.capture(purchase.order_id, authorization.reference, purchase.amount)


def test_a_repeated_capture_reports_the_same_fee(provider: Provider) -> None:
    purchase = provider.purchase()
    reference = provider.gateway.authorize(purchase).reference

    first, second = (provider.gateway.capture(purchase.order_id, reference, PRICE) for _ in range(2))

    assert first == second == PaymentReport(reference, fees=provider.gateway.look_up(purchase.order_id, reference).fees)
    # 2.9 % and 0.30. localstripe takes no fees.
    assert [fee.amount for fee in first.fees] == ([Decimal("0.88")] if provider.is_strict else [])


@pytest.mark.parametrize("amount", ["19.99", "0.01", "7.30"])
def test_a_repeated_refund_is_made_once(provider: Provider, amount: str) -> None:
    payment = provider.captured()
    request = RefundRequest(new_id(), *payment, Decimal(amount))

    first, second, third = (provider.gateway.refund(request) for _ in range(3))

    assert first == second == third
    assert (first.refund_id, first.amount, first.state) == (request.id, Decimal(amount), RefundState.SUCCEEDED)
    assert provider.payment(payment[0]).report.refunds == (first,)


def test_two_refunds_of_a_payment_are_two_records(provider: Provider) -> None:
    payment = provider.captured()

    first, second = provider.refund(payment, Decimal("5.00")), provider.refund(payment, Decimal("5.00"))

    refunds = provider.gateway.look_up(*payment).refunds
    assert {(each.refund_id, each.id) for each in refunds} == {(first[0].id, first[1]), (second[0].id, second[1])}


def test_a_refund_made_by_hand_is_found_and_has_none_of_our_ids(provider: Provider) -> None:
    payment = provider.captured()

    provider_id = provider.hand.refund(payment, Decimal("5.00"))

    (refund,) = provider.gateway.look_up(*payment).refunds
    assert (refund.id, refund.refund_id, refund.amount) == (provider_id, None, Decimal("5.00"))


def test_a_refund_above_what_is_left_is_not_made_and_the_rest_can_be(provider: Provider) -> None:
    if not provider.is_strict:
        pytest.skip("localstripe refunds more than was captured")
    payment = provider.captured()
    provider.hand.refund(payment, Decimal("5.00"))

    with pytest.raises(RefundNotMadeError) as not_made:
        provider.refund(payment, Decimal("15.00"))

    assert not_made.value.delay > timedelta(0)
    provider.refund(payment, Decimal("14.99"))
    with pytest.raises(RefundNotMadeError):
        provider.refund(payment, Decimal("0.01"))


def test_a_refund_that_failed_is_reported_and_its_money_can_be_refunded_again(provider: Provider) -> None:
    payment = provider.captured()
    request, provider_id = provider.refund(payment)

    if not provider.hand.fail(provider_id):
        pytest.skip("localstripe has no refunds that fail")

    assert provider.gateway.refund(request).state is RefundState.FAILED
    again, _ = provider.refund(payment)
    refunds = provider.gateway.look_up(*payment).refunds
    assert {(each.refund_id, each.state) for each in refunds} == {
        (request.id, RefundState.FAILED),
        (again.id, RefundState.SUCCEEDED),
    }


def test_a_chargeback_holds_its_part_of_the_payment_until_it_is_won(provider: Provider) -> None:
    payment = provider.captured()
    chargeback_id = provider.hand.charge_back(payment, Decimal("5.00"))
    if chargeback_id is None:
        pytest.skip("localstripe has no disputes")

    report = provider.gateway.look_up(*payment)
    assert [(each.id, each.amount, each.state) for each in report.chargebacks] == [
        (chargeback_id, Decimal("5.00"), ChargebackState.NEEDS_RESPONSE)
    ]
    assert report.chargebacks[0].evidence_due_by is not None
    assert [fee.amount for fee in report.fees] == [Decimal("0.88"), Decimal("15.00")]
    with pytest.raises(RefundNotMadeError):
        provider.refund(payment, Decimal("15.00"))
    provider.refund(payment, Decimal("14.99"))

    provider.hand.decide(chargeback_id, ChargebackState.WON)

    assert [each.state for each in provider.gateway.look_up(*payment).chargebacks] == [ChargebackState.WON]
    provider.refund(payment, Decimal("5.00"))


@pytest.mark.parametrize(
    "states",
    [
        [ChargebackState.UNDER_REVIEW, ChargebackState.LOST],
        [ChargebackState.WON],
        [ChargebackState.UNDER_REVIEW, ChargebackState.LOST, ChargebackState.WON],
    ],
    ids=["lost", "won", "lost and reinstated"],
)
def test_every_order_of_the_reports_has_the_end_that_a_look_up_shows(
    provider: Provider, states: list[ChargebackState]
) -> None:
    payment = provider.captured()
    chargeback_id = provider.hand.charge_back(payment, Decimal("5.00"))
    if chargeback_id is None:
        pytest.skip("localstripe has no disputes")
    for state in states:
        provider.hand.decide(chargeback_id, state)
    provider.hand.fail(provider.hand.refund(payment, Decimal("3.00")))

    shown = provider.gateway.look_up(*payment)
    assert [each.state for each in shown.chargebacks] == [states[-1]]
    assert [each.state for each in shown.refunds] == [RefundState.FAILED]
    reports = [report for report in provider.hand.reports() if isinstance(report, PaymentReport)]
    assert {report.reference for report in reports} == {payment[1]}
    chargebacks = [each for report in reports for each in report.chargebacks]
    refunds = [each for report in reports for each in report.refunds]

    for order in itertools.islice(itertools.permutations(chargebacks), 200):
        known = Chargeback(chargeback_id, payment[0], order[0].amount, order[0].state, order[0].evidence_due_by, EPOCH)
        for each in (*order, *order[::-1]):
            known = known.after(each.amount, each.state, each.evidence_due_by)
        assert [(each.amount, each.state) for each in shown.chargebacks] == [(known.amount, known.state)]
    for order_of_refunds in itertools.permutations(refunds):
        refund = Refund(new_id(), payment[0], Decimal("3.00"), RefundState.REQUESTED)
        for report in order_of_refunds:
            refund = refund.after(report.state, report.id)
        assert [(each.id, each.state) for each in shown.refunds] == [(refund.provider_id, refund.state)]


def test_a_window_lists_the_payments_that_were_created_in_it(provider: Provider) -> None:
    purchase = provider.purchase()
    provider.gateway.authorize(purchase)
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)

    def listed(since: datetime, until: datetime) -> bool:
        return purchase.order_id in {each.order_id for each in provider.gateway.list_payments(since, until)}

    assert listed(now - minute, now + minute)
    assert not listed(now - 2 * minute, now - minute)
    assert not listed(now + minute, now + 2 * minute)


def test_a_window_lists_the_payouts_that_were_created_in_it_with_what_came_back(provider: Provider) -> None:
    payout, destination = new_id(), provider.hand.destination
    if destination is None:
        pytest.skip("localstripe has no transfers")
    reference = provider.gateway.pay_out(Transfer(payout, PRICE, "USD", destination))
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)

    assert list(provider.gateway.list_transfers(now - minute, now + minute)) == [
        TransferReport(payout, PRICE, Decimal(0), reference)
    ]
    assert list(provider.gateway.list_transfers(now - 2 * minute, now - minute)) == []

    provider.hand.reverse_transfer(payout, Decimal("4.00"))

    reversed_one = TransferReport(payout, PRICE, Decimal("4.00"), reference)
    assert list(provider.gateway.list_transfers(now - minute, now + minute)) == [reversed_one]
    assert reversed_one in provider.hand.reports()


def test_a_declined_card_is_refused_and_nothing_is_authorized(provider: Provider) -> None:
    purchase = provider.purchase(provider.declined)

    with pytest.raises(Declined):
        provider.gateway.authorize(purchase)

    assert provider.reserved(purchase.order_id) == 0


def test_a_card_that_wants_confirmation_reserves_nothing_and_keeps_its_secret(provider: Provider) -> None:
    purchase, needed = provider.waiting()

    with pytest.raises(ConfirmationNeededError) as again:
        provider.gateway.authorize(replace(purchase, reference=needed.reference))

    assert needed.client_secret
    assert needed.client_secret not in str(needed)
    assert (again.value.reference, again.value.client_secret) == (needed.reference, needed.client_secret)
    assert provider.reserved(purchase.order_id) == 0


@pytest.mark.parametrize("is_reference_known", [True, False], ids=["reference", "no reference"])
def test_a_confirmed_payment_is_authorized(provider: Provider, is_reference_known: bool) -> None:
    if not (is_reference_known or provider.is_strict):
        pytest.skip("localstripe has no idempotency keys")
    purchase, needed = provider.waiting()

    provider.hand.confirm(purchase.order_id, needed)
    known = replace(purchase, reference=needed.reference) if is_reference_known else purchase
    authorization = provider.gateway.authorize(known)

    assert authorization.reference == needed.reference
    assert provider.reserved(purchase.order_id) == purchase.amount


def test_a_payment_whose_confirmation_was_refused_is_declined_and_closed(provider: Provider) -> None:
    purchase, needed = provider.waiting()

    provider.hand.refuse_confirmation(purchase.order_id, needed)
    for _ in range(2):
        with pytest.raises(Declined):
            provider.gateway.authorize(replace(purchase, reference=needed.reference))

    assert provider.reserved(purchase.order_id) == 0


@pytest.mark.parametrize("is_confirmed", [True, False], ids=["confirmed", "not confirmed"])
def test_an_abandoned_confirmation_reserves_nothing_any_more(provider: Provider, is_confirmed: bool) -> None:
    purchase, needed = provider.waiting()
    purchase = replace(purchase, reference=needed.reference)
    if is_confirmed:
        provider.hand.confirm(purchase.order_id, needed)

    provider.gateway.abandon(purchase)
    provider.gateway.abandon(purchase)

    assert provider.reserved(purchase.order_id) == 0
    with pytest.raises(Declined):
        provider.gateway.authorize(purchase)


@pytest.mark.parametrize("is_first", [True, False], ids=["before authorize", "after authorize"])
def test_an_abandoned_purchase_reserves_nothing_whenever_its_authorization_arrives(
    provider: Provider, is_first: bool
) -> None:
    if not provider.is_strict:
        pytest.skip("localstripe has no idempotency keys")
    purchase = provider.purchase()
    if not is_first:
        provider.gateway.authorize(purchase)

    provider.gateway.abandon(purchase)
    with contextlib.suppress(Declined, Unavailable):
        provider.gateway.authorize(purchase)
    provider.gateway.abandon(purchase)

    assert provider.reserved(purchase.order_id) == 0


def test_a_captured_payment_can_be_neither_voided_nor_abandoned(provider: Provider) -> None:
    if not provider.is_strict:
        pytest.skip("localstripe cancels a captured payment")
    purchase = provider.purchase()
    reference = provider.gateway.authorize(purchase).reference
    provider.gateway.capture(purchase.order_id, reference, purchase.amount)

    with pytest.raises(AlreadyCapturedError):
        provider.gateway.void(purchase.order_id, reference)
    with pytest.raises(AlreadyCapturedError):
        provider.gateway.abandon(replace(purchase, reference=reference))

    assert provider.payment(purchase.order_id).captured == purchase.amount


def test_an_unknown_card_is_named(provider: Provider) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        provider.gateway.authorize(provider.purchase(provider.unknown))

    assert [violation.field for violation in refusal.value.violations] == ["paymentToken"]


def test_the_list_of_payments_is_complete_over_its_pages(provider: Provider) -> None:
    purchases = [provider.purchase() for _ in range(120)]
    for purchase in purchases:
        provider.gateway.authorize(purchase)

    listed = [payment.order_id for payment in provider.gateway.list_payments(EPOCH, FUTURE)]

    assert {purchase.order_id for purchase in purchases} <= set(listed)
    assert len(listed) == len(set(listed))
