"""The table of transitions, compared with the public contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from order_service.domain.lifecycle import (
    TIMED,
    TRANSITIONS,
    Action,
    Command,
    Condition,
    end_capture,
    move,
    open_actions,
    record_chargeback,
)
from order_service.domain.order import Event, Order, PaidBy, Party, PaymentTask, Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.settlement import begin_capture
from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, MarketplaceError, NotFound
from tests.support.orders import BUYER, NOON, SELLER, STRANGER, TIMEOUTS, an_order, event_of

# The rows of the contract without those of the payment provider: (from, action, by): (to, condition).
CONTRACT = {
    ("PENDING", "accept", "seller"): ("IN_PROGRESS", "always"),
    ("PENDING", "decline", "seller"): ("CANCELLED", "always"),
    ("PENDING", "cancel", "buyer"): ("CANCELLED", "always"),
    ("PENDING", "expire", "system"): ("CANCELLED", "once its time has passed"),
    ("IN_PROGRESS", "deliver", "seller"): ("DELIVERED", "always"),
    ("IN_PROGRESS", "cancel", "seller"): ("CANCELLED", "always"),
    ("IN_PROGRESS", "cancel", "buyer"): ("CANCELLED", "once overdue and before the first delivery"),
    ("IN_PROGRESS", "dispute", "buyer"): ("DISPUTED", "once overdue after a revision"),
    ("IN_PROGRESS", "extend", "seller"): ("IN_PROGRESS", "while no request is open, up to 365 days together"),
    ("IN_PROGRESS", "accept_extension", "buyer"): ("IN_PROGRESS", "while a request is open"),
    ("IN_PROGRESS", "decline_extension", "buyer"): ("IN_PROGRESS", "while a request is open"),
    ("IN_PROGRESS", "abandon", "system"): ("CANCELLED", "once its time has passed"),
    ("DELIVERED", "revise", "buyer"): ("IN_PROGRESS", "while revisions are left"),
    ("DELIVERED", "complete", "buyer"): ("COMPLETED", "always"),
    ("DELIVERED", "auto_complete", "system"): ("COMPLETED", "once its time has passed"),
    ("DELIVERED", "dispute", "buyer"): ("DISPUTED", "always"),
    ("PENDING", "resolve", "admin"): ("CANCELLED", "always"),
    ("IN_PROGRESS", "resolve", "admin"): ("outcome", "always"),
    ("DELIVERED", "resolve", "admin"): ("outcome", "always"),
    ("DISPUTED", "resolve", "admin"): ("outcome", "always"),
    ("COMPLETED", "refund", "admin"): ("COMPLETED", "always"),
}
# The rows of the payment provider: (from, action): to.
REPORTED = {
    ("PENDING", "capture_failed"): "CANCELLED",
    ("IN_PROGRESS", "chargeback"): "DISPUTED",
    ("DELIVERED", "chargeback"): "DISPUTED",
    ("COMPLETED", "refund_failed"): "COMPLETED",
}
# The hours after which an order times out: from its placing, its last delivery or its due date on.
TIMEOUT_HOURS = {"PENDING": 48, "DELIVERED": 72, "IN_PROGRESS": 24 * 30}
ACTIONS = (
    "accept",
    "decline",
    "cancel",
    "deliver",
    "extend",
    "accept_extension",
    "decline_extension",
    "revise",
    "complete",
    "dispute",
    "resolve",
    "refund",
    "expire",
    "auto_complete",
    "abandon",
)
SYSTEM_ACTIONS = ("expire", "auto_complete", "abandon")
CALLERS = ({"buyer"}, {"seller"}, {"admin"}, {"system"})
ADMIN_ACTIONS = ("resolve", "refund")
SELLERS_IN_PROGRESS = [Action.DELIVER, Action.CANCEL, Action.EXTEND]
DELIVERED_TO_BUYER = [Action.REVISE, Action.COMPLETE, Action.DISPUTE]
SYSTEM = frozenset({Party.SYSTEM})
MOMENT = timedelta(microseconds=1)


def _party_names(parties: set[str]) -> str:
    return "+".join(sorted(parties))


class Situation(NamedTuple):
    """The facts that the contract's conditions depend on, at noon."""

    status: Status
    overdue: bool
    revisions: int
    delivered_before: bool
    time_has_passed: bool
    asked_for_time: bool
    extended_days: int

    def order(self) -> Order:
        """Return an order in this situation."""
        hours = timedelta(hours=TIMEOUT_HOURS.get(self.status, 1000))
        since = NOON - hours if self.time_has_passed else NOON - hours + MOMENT
        overdue_since = since if self.status is Status.IN_PROGRESS else NOON - MOMENT
        delivered = self.status is Status.DELIVERED or self.delivered_before
        return an_order(
            status=self.status,
            due_at=overdue_since if self.overdue else NOON,
            revisions_left=self.revisions,
            created_at=since,
            first_delivered_at=since - timedelta(days=30) if self.delivered_before else None,
            last_delivered_at=since if delivered else None,
            extension_days=5 if self.asked_for_time else None,
            extension_at=since if self.asked_for_time else None,
            extended_days=self.extended_days,
        )


BOTH = (False, True)
SITUATIONS = [
    situation
    for facts in product(Status, BOTH, (0, 1, 2), BOTH, BOTH, BOTH, (0, 365))
    # An order that nobody delivers times out only long after it is overdue.
    if (
        (situation := Situation(*facts)).overdue
        or not (situation.status is Status.IN_PROGRESS and situation.time_has_passed)
    )
    # Any change of the status closes a request.
    and not (situation.asked_for_time and situation.status is not Status.IN_PROGRESS)
]


def expected(situation: Situation, action: str, parties: set[str]) -> str:
    """Return the contract's outcome: the new status, `FORBIDDEN` or `INVALID_TRANSITION`."""
    if (parties == {"admin"}) != (action in ADMIN_ACTIONS) and parties != {"system"}:
        return "FORBIDDEN"
    if parties == {"system"} and action not in SYSTEM_ACTIONS:
        return "FORBIDDEN"
    allowed = {by: row for (status, name, by), row in CONTRACT.items() if (status, name) == (situation.status, action)}
    if allowed and not parties & set(allowed):
        return "FORBIDDEN"
    is_timed_out = situation.status in TIMEOUT_HOURS and situation.time_has_passed
    for by in parties & set(allowed):
        to, condition = allowed[by]
        is_met = {
            "always": True,
            "while revisions are left": situation.revisions > 0,
            "once overdue and before the first delivery": situation.overdue and not situation.delivered_before,
            "once overdue after a revision": situation.overdue and situation.delivered_before,
            "once its time has passed": is_timed_out,
            "while no request is open, up to 365 days together": (
                not situation.asked_for_time and situation.extended_days < 365
            ),
            "while a request is open": situation.asked_for_time,
        }
        if is_met[condition] and (by == "system" or not is_timed_out):
            return "COMPLETED" if to == "outcome" else to
    return "INVALID_TRANSITION"


def caller(user_id: UUID, *, is_admin: bool) -> Caller:
    return Caller(user_id, roles=frozenset({"admin"}) if is_admin else frozenset())


def a_command(action: Action, order: Order) -> Command:
    """Return a command with everything that the action needs."""
    if action is Action.REFUND:
        return Command(action, "Too late", refund=Decimal("0.01"), paid_by=PaidBy.PLATFORM)
    if action is Action.RESOLVE:
        return Command(action, "Enough", Status.CANCELLED if order.status is Status.PENDING else Status.COMPLETED)
    return Command(action, days=1 if action is Action.EXTEND else 0)


def outcome(order: Order, action: Action, parties: frozenset[Party]) -> str:
    try:
        return str(move(order, a_command(action, order), parties, now=NOON, timeouts=TIMEOUTS).order.status)
    except MarketplaceError as error:
        return error.code


@pytest.mark.parametrize("parties", CALLERS, ids=_party_names)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_by_every_party_in_every_situation_does_what_the_contract_says(
    action: str, parties: set[str]
) -> None:
    who = frozenset(Party(party) for party in parties)
    for situation in SITUATIONS:
        actual = outcome(situation.order(), Action(action), who)

        assert actual == expected(situation, action, parties), situation


@pytest.mark.parametrize("parties", CALLERS, ids=_party_names)
def test_the_open_actions_are_exactly_those_that_succeed(parties: set[str]) -> None:
    who = frozenset(Party(party) for party in parties)
    for situation in SITUATIONS:
        order = situation.order()

        succeed = {action for action in Action if outcome(order, action, who) in set(Status)}

        assert set(open_actions(order, who, NOON, TIMEOUTS)) == succeed


def test_the_table_has_each_case_once_and_no_row_leaves_a_final_status() -> None:
    cases = {(row.from_status, row.action, row.by) for row in TRANSITIONS}
    reported = {(state, action, "system") for state, action in REPORTED}

    assert cases == set(CONTRACT) | reported
    # Only resolve has two outcomes for one case, in three statuses.
    assert len(TRANSITIONS) == len(cases) + 3
    final = {Status.COMPLETED, Status.CANCELLED}
    assert {row.to_status for row in TRANSITIONS if row.from_status in final} == {Status.COMPLETED}
    assert {row.action for row in TRANSITIONS} == set(Action)
    assert {row.condition for row in TRANSITIONS} == set(Condition)


def test_the_timed_transitions_are_exactly_the_systems_rows() -> None:
    system_rows = [row for row in TRANSITIONS if row.by is Party.SYSTEM]

    assert [row for row in system_rows if row.condition is not Condition.REPORTED_BY_PROVIDER] == list(TIMED)
    assert {str(row.action) for row in TIMED} == set(SYSTEM_ACTIONS)


def test_the_sellers_timeout_counts_from_the_placing() -> None:
    order = an_order()
    end = order.created_at + timedelta(hours=48)

    assert open_actions(order, frozenset({Party.SELLER}), end - MOMENT, TIMEOUTS) == [Action.ACCEPT, Action.DECLINE]
    assert open_actions(order, SYSTEM, end - MOMENT, TIMEOUTS) == []
    assert open_actions(order, frozenset({Party.SELLER, Party.BUYER}), end, TIMEOUTS) == []
    assert open_actions(order, SYSTEM, end, TIMEOUTS) == [Action.EXPIRE]


def test_the_buyers_timeout_counts_from_the_last_delivery() -> None:
    order = an_order(status=Status.IN_PROGRESS)
    steps = ((Action.DELIVER, Party.SELLER), (Action.REVISE, Party.BUYER), (Action.DELIVER, Party.SELLER))
    for hours, (action, party) in enumerate(steps):
        now = NOON + timedelta(hours=50 * hours)
        order = move(order, Command(action), frozenset({party}), now=now, timeouts=TIMEOUTS).order
    end = NOON + timedelta(hours=100 + 72)

    assert open_actions(order, SYSTEM, end - MOMENT, TIMEOUTS) == []
    assert open_actions(order, frozenset({Party.BUYER}), end - MOMENT, TIMEOUTS) == DELIVERED_TO_BUYER
    completed = move(order, Command(Action.AUTO_COMPLETE), SYSTEM, now=end, timeouts=TIMEOUTS)
    assert (completed.order.status, event_of(completed).by) == (Status.COMPLETED, Party.SYSTEM)
    assert open_actions(order, frozenset({Party.BUYER}), end, TIMEOUTS) == []


@pytest.mark.parametrize("delivered_at", [None, NOON])
def test_the_sellers_time_for_a_delivery_counts_from_the_due_date(delivered_at: datetime | None) -> None:
    order = an_order(status=Status.IN_PROGRESS, first_delivered_at=delivered_at, last_delivered_at=delivered_at)
    end = order.due_at + timedelta(days=30)

    assert open_actions(order, SYSTEM, end - MOMENT, TIMEOUTS) == []
    assert open_actions(order, frozenset({Party.SELLER}), end - MOMENT, TIMEOUTS) == SELLERS_IN_PROGRESS
    assert open_actions(order, frozenset({Party.SELLER, Party.BUYER}), end, TIMEOUTS) == []
    abandoned = move(order, Command(Action.ABANDON), SYSTEM, now=end, timeouts=TIMEOUTS)
    assert (abandoned.order.status, abandoned.order.refund_due) == (Status.CANCELLED, order.price)
    assert event_of(abandoned).by is Party.SYSTEM


def test_a_late_action_is_a_conflict_and_another_partys_action_is_forbidden() -> None:
    order = an_order()
    late = NOON + timedelta(days=3)

    with pytest.raises(Conflict) as refusal:
        move(order, Command(Action.ACCEPT), frozenset({Party.SELLER}), now=late, timeouts=TIMEOUTS)
    with pytest.raises(Forbidden):
        move(order, Command(Action.ACCEPT), frozenset({Party.BUYER}), now=late, timeouts=TIMEOUTS)

    assert refusal.value.code == "INVALID_TRANSITION"
    assert refusal.value.message == (
        "You can't accept this order now, it is PENDING and its time is over; there is nothing you can do now"
    )


def test_an_order_does_not_exist_for_a_stranger() -> None:
    with pytest.raises(NotFound, match="Order not found"):
        an_order().parties(caller(STRANGER, is_admin=False))


def test_a_caller_is_buyer_seller_or_admin_of_an_order_and_an_admin_who_is_a_side_is_that_side_alone() -> None:
    order = an_order()

    assert order.parties(caller(BUYER, is_admin=False)) == {Party.BUYER}
    assert order.parties(caller(SELLER, is_admin=True)) == {Party.SELLER}
    assert order.parties(caller(BUYER, is_admin=True)) == {Party.BUYER}
    assert order.parties(caller(STRANGER, is_admin=True)) == {Party.ADMIN}


def test_a_refusal_names_the_status_and_the_open_actions() -> None:
    order = an_order(status=Status.DELIVERED)

    with pytest.raises(Conflict) as refusal:
        move(order, Command(Action.CANCEL), frozenset({Party.BUYER}), now=NOON, timeouts=TIMEOUTS)

    assert refusal.value.code == "INVALID_TRANSITION"
    assert refusal.value.message == (
        "You can't cancel this order now, it is DELIVERED; what you can do now: revise, complete, dispute"
    )


@pytest.mark.parametrize(
    ("action", "changes", "reason"),
    [
        (Action.CANCEL, {}, "you can once it is overdue, after 2023-08-21T12:00:00Z"),
        (Action.CANCEL, {"first_delivered_at": NOON}, "its work was delivered before"),
        (Action.DISPUTE, {"first_delivered_at": NOON}, "you can once it is overdue, after 2023-08-21T12:00:00Z"),
        (Action.DISPUTE, {}, "its work was never delivered"),
        (Action.REVISE, {"status": Status.DELIVERED, "revisions_left": 0}, "no revisions are left"),
    ],
)
def test_a_refusal_says_why_and_until_when(action: Action, changes: dict[str, Any], reason: str) -> None:
    order = an_order(**{"status": Status.IN_PROGRESS, "due_at": NOON + timedelta(days=1), **changes})

    with pytest.raises(Conflict) as refusal:
        move(order, Command(action), frozenset({Party.BUYER}), now=NOON, timeouts=TIMEOUTS)

    assert refusal.value.message.startswith(f"You can't {action} this order now, it is {order.status}, {reason}; ")


def test_a_refusal_says_that_no_action_is_open() -> None:
    with pytest.raises(Conflict, match="it is COMPLETED; there is nothing you can do now"):
        move(
            an_order(status=Status.COMPLETED),
            Command(Action.COMPLETE),
            frozenset({Party.BUYER}),
            now=NOON,
            timeouts=TIMEOUTS,
        )


def test_an_action_of_another_party_is_forbidden() -> None:
    with pytest.raises(Forbidden, match="You don't have permission to accept this order"):
        move(an_order(), Command(Action.ACCEPT), frozenset({Party.BUYER}), now=NOON, timeouts=TIMEOUTS)


def test_a_move_changes_only_status_version_and_update_time() -> None:
    order = an_order(status=Status.DELIVERED, last_delivered_at=NOON)
    later = NOON + timedelta(hours=1)

    moved = move(order, Command(Action.DISPUTE, "Not it"), frozenset({Party.BUYER}), now=later, timeouts=TIMEOUTS).order

    assert moved == replace(order, status=Status.DISPUTED, version=2, updated_at=later)


def test_an_event_has_time_party_action_statuses_and_message() -> None:
    later = NOON + timedelta(hours=1)

    command = Command(Action.DECLINE, "Too busy")
    event = event_of(move(an_order(), command, frozenset({Party.SELLER}), now=later, timeouts=TIMEOUTS))

    assert (event.at, event.by, event.action) == (later, "seller", "decline")
    assert (event.from_status, event.to_status, event.message) == ("PENDING", "CANCELLED", "Too busy")


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("side", [BUYER, SELLER])
def test_an_admin_who_is_a_side_of_an_order_has_no_admins_actions_on_it(status: Status, side: UUID) -> None:
    order = an_order(status=status)
    parties = order.parties(caller(side, is_admin=True))

    assert not {Action.RESOLVE, Action.REFUND} & set(open_actions(order, parties, NOON, TIMEOUTS))
    assert {outcome(order, action, parties) for action in (Action.RESOLVE, Action.REFUND)} == {"FORBIDDEN"}


def test_the_work_is_due_the_packages_delivery_days_after_the_accept() -> None:
    order, later = begin_capture(an_order(delivery_days=3)), NOON + timedelta(hours=30)

    assert end_capture(order, Command(Action.ACCEPT), later).order.due_at == later + timedelta(days=3)


def test_a_revision_is_counted_and_the_work_is_due_after_the_packages_delivery_days() -> None:
    order = an_order(status=Status.DELIVERED, revisions_left=2, delivery_days=3, first_delivered_at=NOON)
    later = NOON + timedelta(days=30)

    revised = move(order, Command(Action.REVISE, "Bluer"), frozenset({Party.BUYER}), now=later, timeouts=TIMEOUTS).order

    assert revised.revisions_left == 1
    assert revised.due_at == later + timedelta(days=3)
    assert revised.first_delivered_at == NOON


def test_a_buyer_may_cancel_an_order_in_progress_only_when_it_is_overdue() -> None:
    order = an_order(status=Status.IN_PROGRESS)
    buyer = frozenset({Party.BUYER})

    assert open_actions(order, buyer, order.due_at, TIMEOUTS) == []
    assert open_actions(order, buyer, order.due_at + timedelta(microseconds=1), TIMEOUTS) == [Action.CANCEL]


def test_a_buyer_may_dispute_but_not_cancel_an_order_whose_revision_is_overdue() -> None:
    now = NOON
    order = an_order(status=Status.IN_PROGRESS, revisions_left=1)
    for action, party in ((Action.DELIVER, Party.SELLER), (Action.REVISE, Party.BUYER)):
        order = move(order, Command(action), frozenset({party}), now=now, timeouts=TIMEOUTS).order
    later = order.due_at + timedelta(days=29)

    assert open_actions(order, frozenset({Party.BUYER}), order.due_at, TIMEOUTS) == []
    assert open_actions(order, frozenset({Party.BUYER}), later, TIMEOUTS) == [Action.DISPUTE]


def test_a_later_delivery_does_not_change_the_first_deliverys_time() -> None:
    order = an_order(status=Status.IN_PROGRESS, first_delivered_at=NOON)

    again = move(
        order, Command(Action.DELIVER), frozenset({Party.SELLER}), now=NOON + timedelta(days=2), timeouts=TIMEOUTS
    ).order

    assert again.first_delivered_at == NOON


@pytest.mark.parametrize("parties", CALLERS, ids=_party_names)
def test_during_the_capture_no_action_is_open_to_any_party(parties: set[str]) -> None:
    order = begin_capture(an_order())
    who = frozenset(Party(party) for party in parties)
    long_after = NOON + timedelta(days=9)

    assert open_actions(order, who, NOON, TIMEOUTS) == open_actions(order, who, long_after, TIMEOUTS) == []
    assert {outcome(order, action, who) for action in Action} <= {"INVALID_TRANSITION", "FORBIDDEN"}


def test_the_outcome_of_a_capture_counts_however_late_it_arrives() -> None:
    order, later = begin_capture(an_order()), NOON + timedelta(days=9)

    captured = end_capture(order, Command(Action.ACCEPT, "On it"), later)
    refused = end_capture(order, Command(Action.CAPTURE_FAILED), later)

    assert (captured.order.status, captured.order.payment_status) == (Status.IN_PROGRESS, PaymentStatus.CAPTURED)
    assert captured.event == Event(later, Party.SELLER, "accept", Status.PENDING, Status.IN_PROGRESS, "On it")
    assert (refused.order.status, refused.payment_task) == (Status.CANCELLED, PaymentTask.VOID)
    assert refused.event == Event(later, Party.SYSTEM, "capture_failed", Status.PENDING, Status.CANCELLED, "")


@pytest.mark.parametrize("status", Status)
def test_a_chargeback_disputes_an_order_that_is_not_over_and_stands_in_the_history_of_any(status: Status) -> None:
    change = record_chargeback(an_order(status=status), NOON)

    to_status = REPORTED.get((status, "chargeback"), status)
    assert str(change.order.status) == to_status
    assert change.event == Event(NOON, Party.SYSTEM, "chargeback", status, change.order.status, "")
