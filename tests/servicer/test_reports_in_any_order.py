"""The provider's reports of a payment, in every order and repeated, lead to the same order and the same ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from order_service.domain.chargeback import ChargebackState
from order_service.domain.lifecycle import Action, Command, end_capture, move
from order_service.domain.order import Change, Order, Party, Status
from order_service.domain.refund import Refund, RefundState
from order_service.domain.settlement import begin_capture, position
from order_service.payments.gateway import PaymentReport, ProviderChargeback, ProviderEvent, ProviderFee, ProviderRefund
from servicekit.database import Statement
from servicekit.ids import new_id
from tests.support.orders import TIMEOUTS, store_change, store_placing
from tests.support.orderservice import OrderBackend

LINES = Statement("""
    SELECT account.name, account.owner, entry.kind, sum(entry.amount) AS amount
    FROM ledger_transactions AS transaction
    JOIN ledger_entries AS entry ON entry.transaction_id = transaction.id
    JOIN ledger_accounts AS account ON account.id = entry.account_id
    WHERE transaction.order_id = $1 GROUP BY account.name, account.owner, entry.kind HAVING sum(entry.amount) <> 0
""")

AMOUNTS = st.integers(1, 25_000).map(lambda cents: Decimal(cents) / 100)
# Those of reports: REQUESTED is ours.
REFUND_STATES = [state for state in RefundState if state is not RefundState.REQUESTED]


@st.composite
def histories(draw: st.DrawFn) -> list[PaymentReport]:
    """Return the reports of some refunds, ours and by hand, chargebacks and fees: each in some of its states."""
    refunds = [
        PaymentReport("", refunds=(ProviderRefund(f"re_{number}", refund_id, amount, state),))
        for number, amount in enumerate(draw(st.lists(AMOUNTS, max_size=2)))
        for refund_id in [draw(st.sampled_from([UUID(int=number), None]))]
        for state in draw(st.lists(st.sampled_from(REFUND_STATES), min_size=1, unique=True))
    ]
    chargebacks = [
        PaymentReport(
            "",
            chargebacks=(ProviderChargeback(f"dp_{number}", amount, state),),
            fees=(ProviderFee(f"fee_{number}", Decimal(15)),),
        )
        for number, amount in enumerate(draw(st.lists(AMOUNTS, max_size=2)))
        for state in draw(st.lists(st.sampled_from(ChargebackState), min_size=1, unique=True))
    ]
    return refunds + chargebacks


def captured(world: OrderBackend) -> Order:
    """Store an order in progress, whose payment was captured."""
    order = store_placing(world.store)

    def capture(order: Order, now: datetime) -> Change:
        return end_capture(begin_capture(order), Command(Action.ACCEPT), now)

    return store_change(world.store, order.id, capture)


def own_id(order: Order, refund_id: UUID | None) -> UUID | None:
    """Return the id of a refund of this order; None for one that was made by hand."""
    return refund_id and uuid5(order.id, str(refund_id))


def request(world: OrderBackend, order: Order, reports: list[PaymentReport]) -> None:
    """Store our refunds of these reports as REQUESTED: the provider's response is not known yet."""
    for refund in (refund for report in reports for refund in report.refunds):
        refund_id = own_id(order, refund.refund_id)
        if refund_id is not None:
            requested = Refund(refund_id, order.id, refund.amount, RefundState.REQUESTED)
            world.store.provider_records.save_refund(requested)


def record(world: OrderBackend, order: Order, events: list[tuple[str, PaymentReport]]) -> None:
    """Record the events, each with the ids of this order."""
    for event_id, report in events:
        own = PaymentReport(
            order.payment_reference,
            tuple(_of_order(order, each) for each in report.refunds),
            tuple(replace(each, id=f"{each.id}_{order.id}") for each in report.chargebacks),
            tuple(replace(each, id=f"{each.id}_{order.id}") for each in report.fees),
        )
        world.worker.record_event.execute(ProviderEvent(event_id, own))


def _of_order(order: Order, refund: ProviderRefund) -> ProviderRefund:
    return replace(refund, id=f"{refund.id}_{order.id}", refund_id=own_id(order, refund.refund_id))


def resolve(outcome: Status, refund: Decimal | None) -> Callable[[Order, datetime], Change]:
    def decide(order: Order, now: datetime) -> Change:
        command = Command(Action.RESOLVE, "Enough", outcome, refund)
        return move(order, command, frozenset({Party.ADMIN}), now=now, timeouts=TIMEOUTS)

    return decide


def end(world: OrderBackend, order_id: UUID) -> dict[str, Any]:
    """Return everything that must be the same at the end: the money of the order, its history, and its ledger."""
    order = world.store.orders.get(order_id).order
    fields = ("status", "payment_status", "refund_due", "refunded", "charged_back", "fees", "version")
    lines = {
        (row["name"], row["kind"]): row["amount"] for row in world.database.fetch_all(LINES, order_id) if row["amount"]
    }
    expected: Counter[tuple[str, str | None]] = Counter()
    for line in position(order):
        expected[line.account, line.kind] += line.amount  # type: ignore[assignment]
    assert lines == {slot: amount for slot, amount in expected.items() if amount}
    actions = Counter(event.action for event in world.store.orders.history(order_id))
    return {"actions": actions, "ledger": lines, **{name: getattr(order, name) for name in fields}}


@pytest.mark.parametrize(("outcome", "refund"), [(Status.CANCELLED, None), (Status.COMPLETED, Decimal("120.50"))])
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reports_lead_to_the_same_end_in_any_order_before_and_after_the_end_of_the_order(
    world: OrderBackend, outcome: Status, refund: Decimal | None, data: st.DataObject
) -> None:
    reports = [(f"event_{new_id()}", report) for report in data.draw(histories())]
    ends = []
    for _ in range(2):
        shuffled = data.draw(st.permutations(reports))
        if reports:
            shuffled = shuffled + data.draw(st.lists(st.sampled_from(reports), max_size=3))
        # The provider names each event anew for each order, and repeats it with the same name.
        order = captured(world)
        request(world, order, [report for _, report in reports])
        events = [(f"{event_id}_{order.id}", report) for event_id, report in shuffled]
        cut = data.draw(st.integers(0, len(events)))
        record(world, order, events[:cut])
        store_change(world.store, order.id, resolve(outcome, refund))
        record(world, order, events[cut:])
        ends.append(end(world, order.id))

    assert ends[0] == ends[1]
