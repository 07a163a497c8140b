"""The list of Stripe's events, polled for those whose webhooks were lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from order_service.payments.gateway import (
    ConfirmationNeededError,
    ConfirmationReport,
    PaymentReport,
    ProviderEvent,
)
from order_service.payments.stripe.gateway import StripeGateway
from servicekit.errors import Unavailable
from servicekit.ids import new_id
from tests.payments.stripe_calls import captured, purchase
from tests.support.stripe_double import StripeDouble


class Cursor:
    """The time until which Stripe was polled, in memory."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at

    def polled_until(self) -> datetime | None:
        return self.at

    def set_polled_until(self, at: datetime) -> None:
        self.at = at


def polled(double: StripeDouble, cursor: Cursor, *, is_recorded: bool = True) -> list[ProviderEvent]:
    """Poll as a worker that has just started. It acknowledges the events, unless it cannot record them yet."""
    source = StripeGateway("sk_test_1", "USD", double.url).events
    events = []
    for event in source.poll(cursor):
        events.append(event)
        if is_recorded:
            source.acknowledge(event.event_id)
    return events


def test_events_whose_webhooks_were_lost_are_polled(stripe: StripeGateway, double: StripeDouble) -> None:
    order, reference = captured(stripe)
    dispute = double.dispute(reference, amount=500)
    double.refund_by_hand(reference, 100)
    cursor = Cursor()

    events = polled(double, cursor)

    ids = {event["id"] for event in double.events if event["type"] != "charge.refunded"}
    assert {event.event_id for event in events} == ids
    reports = [event.report for event in events]
    assert {report.reference for report in reports if isinstance(report, PaymentReport)} == {reference}
    assert {each.id for report in reports if isinstance(report, PaymentReport) for each in report.chargebacks} == {
        dispute["id"]
    }
    assert ConfirmationReport(order) in reports
    assert cursor.at is not None
    assert datetime.now(UTC) - cursor.at < timedelta(minutes=1)


def test_stripe_is_polled_once_a_minute_and_for_the_time_since_the_last_poll(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    refund_alone(stripe, double)
    cursor = Cursor(datetime.now(UTC) - timedelta(seconds=50))
    assert polled(double, cursor) == []

    cursor.at = datetime.now(UTC) - timedelta(minutes=2)
    assert len(polled(double, cursor)) == 1
    # Another worker has polled a moment ago; this one has not, and the cursor is shared.
    assert polled(double, cursor) == []

    cursor.at = datetime.now(UTC) - timedelta(hours=2)
    double.events[0]["created"] -= 5 * 3600
    assert polled(double, cursor) == []


def test_an_event_that_has_to_wait_is_polled_until_it_is_recorded_for_two_hours_at_most(
    stripe: StripeGateway, double: StripeDouble
) -> None:
    refund_alone(stripe, double)
    cursor = Cursor(datetime.now(UTC) - timedelta(minutes=30))

    def grow_older(by: timedelta) -> None:
        """Let time pass, for the event and for the cursor."""
        assert cursor.at is not None
        cursor.at -= by
        for event in double.events:
            event["created"] -= int(by.total_seconds())

    waiting = polled(double, cursor, is_recorded=False)
    grow_older(timedelta(minutes=11))
    assert polled(double, cursor, is_recorded=False) == waiting
    grow_older(timedelta(minutes=79))
    assert polled(double, cursor) == waiting
    # It was recorded, and is no longer waited for.
    grow_older(timedelta(minutes=2))
    assert polled(double, cursor) == []

    refund_alone(stripe, double)
    grow_older(timedelta(minutes=125))
    assert len(polled(double, cursor, is_recorded=False)) == 1
    grow_older(timedelta(minutes=10))
    assert len(polled(double, cursor, is_recorded=False)) == 1
    grow_older(timedelta(minutes=10))
    assert polled(double, cursor) == []


def test_a_poll_that_fails_goes_on_where_it_was(stripe: StripeGateway, double: StripeDouble) -> None:
    start = datetime.now(UTC) - timedelta(hours=13)
    cursor = Cursor(start)
    poll = iter(StripeGateway("sk_test_1", "USD", double.url).events.poll(cursor))
    refund_alone(stripe, double)
    double.events[0]["created"] -= 2 * 3600
    assert next(poll).report == stripe_report(stripe, double)
    double.fail("/events", 500)

    with pytest.raises(Unavailable):
        next(poll)

    assert cursor.at is not None
    assert start < cursor.at < datetime.now(UTC) - timedelta(hours=1)


def stripe_report(stripe: StripeGateway, double: StripeDouble) -> PaymentReport:
    """Return the report of the only refund, without the rest of its payment."""
    (refund,) = double.refunds
    return PaymentReport(refund["payment_intent"], stripe.look_up(new_id(), refund["payment_intent"]).refunds)


def refund_alone(stripe: StripeGateway, double: StripeDouble) -> None:
    """Refund a part of a payment by hand, and forget the events before that."""
    _, reference = captured(stripe)
    double.events.clear()
    double.refund_by_hand(reference, 100)


@pytest.mark.parametrize("end", ["confirmed", "refused", "abandoned"])
def test_the_end_of_a_confirmation_is_polled(stripe: StripeGateway, double: StripeDouble, end: str) -> None:
    waiting = purchase("pm_card_authenticationRequired")
    with pytest.raises(ConfirmationNeededError) as needed:
        stripe.authorize(waiting)
    assert polled(double, Cursor()) == []

    match end:
        case "confirmed":
            double.confirm(needed.value.reference)
        case "refused":
            double.refuse_confirmation(needed.value.reference)
        case _:
            stripe.abandon(waiting)

    assert [event.report for event in polled(double, Cursor())] == [ConfirmationReport(waiting.order_id)]
