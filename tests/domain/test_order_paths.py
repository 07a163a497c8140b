"""An order follows the table of transitions for every sequence of actions."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from order_service.domain.extension import days_left
from order_service.domain.lifecycle import TRANSITIONS, Action, Command, move, open_actions, record_chargeback
from order_service.domain.order import Change, Event, Order, PaidBy, Party, Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.settlement import refundable
from servicekit.errors import Conflict, Forbidden
from tests.support.orders import NOON, TIMEOUTS, a_placing

PARTIES = st.sampled_from(Party)
# Mostly short, so that not every order ends by a timeout.
HOURS = st.integers(0, 20) | st.integers(0, 24 * 400)
FINAL_STATUSES = [Status.COMPLETED, Status.CANCELLED]


class OrderPaths(RuleBasedStateMachine):
    """One order, on which every party tries every action at any time."""

    order: Order
    history: list[Event]
    due_dates: list[datetime]
    """When the work was due, after each event of the history."""

    @initialize(days=st.integers(1, 365), revisions=st.integers(0, 3))
    def place(self, days: int, revisions: int) -> None:
        self.now = NOON
        change = a_placing(self.now, delivery_days=days, revisions=revisions)
        self.placed = self.order = change.order
        self.history, self.due_dates, self.asked = [], [], 0
        self.follow(change)

    @rule(hours=HOURS)
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(
        action=st.sampled_from(Action),
        party=PARTIES,
        outcome=st.sampled_from(FINAL_STATUSES),
        days=st.integers(1, 90),
    )
    def a_party_tries_an_action(self, action: Action, party: Party, outcome: Status, days: int) -> None:
        command = Command(action)
        if action is Action.RESOLVE:
            outcome = Status.CANCELLED if self.order.status is Status.PENDING else outcome
            command = Command(action, "Enough", outcome)
        if action is Action.REFUND:
            command = Command(action, "Late", refund=refundable(self.order) or Decimal(1), paid_by=PaidBy.SELLER)
        if action is Action.EXTEND:
            command = Command(action, days=min(days, days_left(self.order) or 1))
        was_open = action in open_actions(self.order, frozenset({party}), self.now, TIMEOUTS)
        try:
            change = move(self.order, command, frozenset({party}), now=self.now, timeouts=TIMEOUTS)
        except (Conflict, Forbidden):
            assert not was_open
            return
        assert was_open
        self.follow(change)
        self.asked = command.days or self.asked

    @rule()
    def the_bank_charges_back(self) -> None:
        if self.order.payment_status is PaymentStatus.CAPTURED:
            self.follow(record_chargeback(self.order, self.now))

    def follow(self, change: Change) -> None:
        self.order = change.order
        if change.event is not None:
            self.history.append(change.event)
            self.due_dates.append(self.due_after(change.event))

    def due_after(self, event: Event) -> datetime:
        """Return when the work is due after this event, the newest one."""
        match event.action:
            case "place" | "accept" | "revise":
                return event.at + timedelta(days=self.placed.delivery_days)
            case "accept_extension":
                return self.due_dates[-1] + timedelta(days=self.asked)
            case _:
                return self.due_dates[-1]

    @invariant()
    def the_history_is_one_path_through_the_table(self) -> None:
        rows = {(row.from_status, row.action, row.by, row.to_status) for row in TRANSITIONS}
        assert self.history[0].action == "place"
        for before, event in zip(self.history, self.history[1:], strict=False):
            assert event.from_status == before.to_status
            assert event.at >= before.at
            step = (event.from_status, event.action, event.by, event.to_status)
            # A chargeback stands in the history of every order, and does not move one that is disputed or over.
            assert step in rows or (event.action, event.from_status) == (Action.CHARGEBACK, event.to_status)
        assert self.history[-1].to_status == self.order.status
        assert len(self.history) == self.order.version

    @invariant()
    def the_order_agrees_with_its_history(self) -> None:
        actions = [event.action for event in self.history]
        assert self.order.revisions_left == self.placed.revisions_left - actions.count("revise") >= 0
        deliveries = [event.at for event in self.history if event.action == "deliver"]
        assert self.order.first_delivered_at == next(iter(deliveries), None)
        assert self.order.last_delivered_at == next(reversed(deliveries), None)
        assert self.order.updated_at == self.history[-1].at
        assert self.order.due_at == self.due_dates[-1]

    @invariant()
    def a_request_for_more_time_is_open_until_its_answer_or_a_new_status(self) -> None:
        last = self.history[-1]
        assert (self.order.extension is not None) == (last.action == "extend")
        assert (self.order.extension_days is None) == (self.order.extension is None)
        assert 0 <= self.order.extended_days <= 365

    @invariant()
    def the_terms_never_change(self) -> None:
        for term in ("price", "currency", "delivery_days", "buyer_id", "seller_id", "gig_title", "package_title"):
            assert getattr(self.order, term) == getattr(self.placed, term)

    @invariant()
    def an_order_that_is_over_has_no_open_action_but_a_refund(self) -> None:
        all_open = open_actions(self.order, frozenset(Party), self.now, TIMEOUTS)
        if self.order.status in FINAL_STATUSES:
            assert all_open == ([Action.REFUND] if refundable(self.order) else [])
        else:
            assert all_open

    @invariant()
    def actions_are_open_to_people_or_to_the_system_but_never_to_both(self) -> None:
        people = open_actions(self.order, frozenset({Party.BUYER, Party.SELLER}), self.now, TIMEOUTS)
        assert not (people and open_actions(self.order, frozenset({Party.SYSTEM}), self.now, TIMEOUTS))

    @invariant()
    def no_person_acted_after_the_timeout(self) -> None:
        for before, due_at, event in zip(self.history, self.due_dates, self.history[1:], strict=False):
            waited = event.at - before.at
            if before.to_status is Status.IN_PROGRESS:
                assert (event.action == Action.ABANDON) == (event.at >= due_at + TIMEOUTS.overdue) or (
                    event.action == Action.CHARGEBACK
                )
            if before.to_status in (Status.PENDING, Status.DELIVERED):
                timeout = TIMEOUTS.answer if before.to_status is Status.PENDING else TIMEOUTS.approval
                if event.action != Action.CHARGEBACK:
                    assert (event.by is Party.SYSTEM) == (waited >= timeout)


TestOrderPaths = OrderPaths.TestCase
TestOrderPaths.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
