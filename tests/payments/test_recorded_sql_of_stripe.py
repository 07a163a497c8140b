"""The SQL of Stripe's events, as tests/servicer/test_recorded_sql.py has it of the other RPCs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from order_service.payments.providers import stripe_payments
from servicekit.database import Database
from tests.payments.test_service_on_stripe import CARD, SECRET, an_event, open_dispute, report
from tests.support.orderservice import SELLER, SERVICE, OrderBackend
from tests.support.recorded_sql import Recorder, compare, recording
from tests.support.standins import GigStandIn, serving
from tests.support.stripe_double import StripeDouble


@pytest.fixture
def sql(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with recording(monkeypatch) as recorder:
        yield recorder


@pytest.fixture
def stripe_backend(
    sql: Recorder, order_database: Database, sandbox_database: Database, double: StripeDouble
) -> Iterator[OrderBackend]:
    gigs = GigStandIn()
    with serving(gigs) as address:
        payments = stripe_payments("sk_test_1", SECRET, "USD", double.url)
        yield OrderBackend(order_database, sandbox_database, gigs, address, payments)


def test_the_sql_of_stripes_events(sql: Recorder, stripe_backend: OrderBackend, double: StripeDouble) -> None:
    order = stripe_backend.placed(card=CARD)
    stripe_backend.act("accept", order, SELLER)
    dispute = open_dispute(stripe_backend, double, order)
    opened = an_event("evt_1", "charge.dispute.created", dispute)

    sql.call("ReceiveStripeEvent: a chargeback", partial(report, stripe_backend, opened))
    sql.call("ReceiveStripeEvent: a known event", partial(report, stripe_backend, opened))
    closed = an_event("evt_2", "charge.dispute.closed", dispute, "won")
    sql.call("ReceiveStripeEvent: its end", partial(report, stripe_backend, closed))
    other = an_event("evt_3", "customer.created", {})
    sql.call("ReceiveStripeEvent: of no interest", partial(report, stripe_backend, other))

    others = frozenset(method.name for method in SERVICE.methods) - {"ReceiveStripeEvent"}
    compare("StripeEvents", sql, SERVICE, elsewhere=others)
