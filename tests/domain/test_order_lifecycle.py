"""The transition table, held against the public contract as it is written there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
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
from order_service.domain.order import Change, Event, Order, Party, PaymentTask, Status
from order_service.domain.payment import PaymentStatus
from order_service.domain.settlement import begin_capture
from servicekit.call import Caller
from servicekit.errors import Conflict, Forbidden, InvalidArgument, MarketplaceError, NotFound
from tests.support.orders import BUYER, NOON, SELLER, STRANGER, TIMEOUTS, an_order

# The rows of the contract but for what the payment provider does: (from, action, by): (to, only when).
CONTRACT = {
    ("PENDING", "accept", "seller"): ("IN_PROGRESS", "always"),
    ("PENDING", "decline", "seller"): ("CANCELLED", "always"),
    ("PENDING", "cancel", "buyer"): ("CANCELLED", "always"),
    ("PENDING", "expire", "system"): ("CANCELLED", "once its time has passed"),
    ("IN_PROGRESS", "deliver", "seller"): ("DELIVERED", "always"),
    ("IN_PROGRESS", "cancel", "seller"): ("CANCELLED", "always"),
    ("IN_PROGRESS", "cancel", "buyer"): ("CANCELLED", "once overdue and before the first delivery"),
    ("IN_PROGRESS", "dispute", "buyer"): ("DISPUTED", "once overdue after a revision"),
    ("DELIVERED", "revise", "buyer"): ("IN_PROGRESS", "while revisions are left"),
    ("DELIVERED", "complete", "buyer"): ("COMPLETED", "always"),
    ("DELIVERED", "auto_complete", "system"): ("COMPLETED", "once its time has passed"),
    ("DELIVERED", "dispute", "buyer"): ("DISPUTED", "always"),
    ("DISPUTED", "resolve", "admin"): ("as said", "always"),
}
# What the payment provider does: (from, action): to.
REPORTED = {
    ("PENDING", "capture_failed"): "CANCELLED",
    ("IN_PROGRESS", "chargeback"): "DISPUTED",
    ("DELIVERED", "chargeback"): "DISPUTED",
}
# How long an order has been there, or its work, when its time has passed.
HOURS = {"PENDING": 48, "DELIVERED": 72}
ACTIONS = (
    "accept",
    "decline",
    "cancel",
    "deliver",
    "revise",
    "complete",
    "dispute",
    "resolve",
    "expire",
    "auto_complete",
)
OF_THE_SYSTEM = ("expire", "auto_complete")
CALLERS = ({"buyer"}, {"seller"}, {"admin"}, {"buyer", "admin"}, {"seller", "admin"}, {"system"})
DELIVERED_TO_BUYER = [Action.REVISE, Action.COMPLETE, Action.DISPUTE]
SYSTEM = frozenset({Party.SYSTEM})
MOMENT = timedelta(microseconds=1)


def _named(parties: set[str]) -> str:
    return "+".join(sorted(parties))


class Situation(NamedTuple):
    """All that the contract's conditions look at, at noon."""

    status: Status
    overdue: bool
    revisions: int
    delivered_before: bool
    time_has_passed: bool

    def order(self) -> Order:
        """An order in this situation."""
        hours = timedelta(hours=HOURS.get(self.status, 1000))
        since = NOON - hours if self.time_has_passed else NOON - hours + MOMENT
        delivered = self.status is Status.DELIVERED or self.delivered_before
        return an_order(
            status=self.status,
            due_at=NOON - MOMENT if self.overdue else NOON,
            revisions_left=self.revisions,
            created_at=since,
            first_delivered_at=since - timedelta(days=30) if self.delivered_before else None,
            last_delivered_at=since if delivered else None,
        )


SITUATIONS = [Situation(*facts) for facts in product(Status, (False, True), (0, 1, 2), (False, True), (False, True))]


def expected(situation: Situation, action: str, parties: set[str]) -> str:
    """What the contract says becomes of it: the new state, `FORBIDDEN` or `INVALID_TRANSITION`."""
    if (parties == {"admin"} and action != "resolve") or (parties == {"system"} and action not in OF_THE_SYSTEM):
        return "FORBIDDEN"
    allowed = {by: row for (state, does, by), row in CONTRACT.items() if (state, does) == (situation.status, action)}
    if allowed and not parties & set(allowed):
        return "FORBIDDEN"
    its_the_systems_turn = situation.status in HOURS and situation.time_has_passed
    for by in parties & set(allowed):
        to, when = allowed[by]
        holds = {
            "always": True,
            "while revisions are left": situation.revisions > 0,
            "once overdue and before the first delivery": situation.overdue and not situation.delivered_before,
            "once overdue after a revision": situation.overdue and situation.delivered_before,
            "once its time has passed": its_the_systems_turn,
        }
        if holds[when] and (by == "system" or not its_the_systems_turn):
            return "COMPLETED" if to == "as said" else to
    return "INVALID_TRANSITION"


def caller(user_id: UUID, *, is_admin: bool) -> Caller:
    return Caller(user_id, roles=frozenset({"admin"}) if is_admin else frozenset())


def told(change: Change) -> Event:
    """The row of the history."""
    assert change.event is not None
    return change.event


def outcome(order: Order, action: Action, parties: frozenset[Party]) -> str:
    try:
        end = Status.COMPLETED if action is Action.RESOLVE else None
        return str(move(order, Command(action, outcome=end), parties, now=NOON, timeouts=TIMEOUTS).order.status)
    except MarketplaceError as refused:
        return refused.code


@pytest.mark.parametrize("parties", CALLERS, ids=_named)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_by_every_party_in_every_situation_does_what_the_contract_says(
    action: str, parties: set[str]
) -> None:
    who = frozenset(Party(party) for party in parties)
    for situation in SITUATIONS:
        became = outcome(situation.order(), Action(action), who)

        assert became == expected(situation, action, parties), situation


@pytest.mark.parametrize("parties", CALLERS, ids=_named)
def test_the_actions_that_are_open_are_exactly_those_that_succeed(parties: set[str]) -> None:
    who = frozenset(Party(party) for party in parties)
    for situation in SITUATIONS:
        order = situation.order()

        succeed = {action for action in Action if outcome(order, action, who) in set(Status)}

        assert set(open_actions(order, who, NOON, TIMEOUTS)) == succeed


def test_the_table_names_each_case_once_and_never_leads_back_from_an_end() -> None:
    cases = {(row.from_status, row.action, row.by) for row in TRANSITIONS}
    reported = {(state, action, "system") for state, action in REPORTED}

    assert cases == set(CONTRACT) | reported
    # A resolve alone leads where the admin says.
    assert len(TRANSITIONS) == len(cases) + 1
    assert not {Status.COMPLETED, Status.CANCELLED} & {row.from_status for row in TRANSITIONS}
    assert {row.action for row in TRANSITIONS} == set(Action)
    assert {row.condition for row in TRANSITIONS} == set(Condition)


def test_what_time_does_are_exactly_the_systems_rows() -> None:
    of_the_system = [row for row in TRANSITIONS if row.by is Party.SYSTEM]

    assert [row for row in of_the_system if row.condition is not Condition.REPORTED_BY_PROVIDER] == list(TIMED)
    assert {str(row.action) for row in TIMED} == set(OF_THE_SYSTEM)


def test_an_order_waits_for_the_seller_from_its_placing_on() -> None:
    order = an_order()
    end = order.created_at + timedelta(hours=48)

    assert open_actions(order, frozenset({Party.SELLER}), end - MOMENT, TIMEOUTS) == [Action.ACCEPT, Action.DECLINE]
    assert open_actions(order, SYSTEM, end - MOMENT, TIMEOUTS) == []
    assert open_actions(order, frozenset({Party.SELLER, Party.BUYER}), end, TIMEOUTS) == []
    assert open_actions(order, SYSTEM, end, TIMEOUTS) == [Action.EXPIRE]


def test_an_order_waits_for_the_buyer_from_its_last_delivery_on() -> None:
    order = an_order(status=Status.IN_PROGRESS)
    steps = ((Action.DELIVER, Party.SELLER), (Action.REVISE, Party.BUYER), (Action.DELIVER, Party.SELLER))
    for hours, (action, party) in enumerate(steps):
        now = NOON + timedelta(hours=50 * hours)
        order = move(order, Command(action), frozenset({party}), now=now, timeouts=TIMEOUTS).order
    end = NOON + timedelta(hours=100 + 72)

    assert open_actions(order, SYSTEM, end - MOMENT, TIMEOUTS) == []
    assert open_actions(order, frozenset({Party.BUYER}), end - MOMENT, TIMEOUTS) == DELIVERED_TO_BUYER
    completed = move(order, Command(Action.AUTO_COMPLETE), SYSTEM, now=end, timeouts=TIMEOUTS)
    assert (completed.order.status, told(completed).by) == (Status.COMPLETED, Party.SYSTEM)
    assert open_actions(order, frozenset({Party.BUYER}), end, TIMEOUTS) == []


def test_who_comes_too_late_is_told_so_and_the_wrong_person_that_it_is_not_theirs() -> None:
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


def test_a_stranger_is_told_that_there_is_no_such_order() -> None:
    with pytest.raises(NotFound, match="Order not found"):
        an_order().parties(caller(STRANGER, is_admin=False))


def test_buyer_seller_and_admin_are_known_for_what_they_are() -> None:
    order = an_order()

    assert order.parties(caller(BUYER, is_admin=False)) == {Party.BUYER}
    assert order.parties(caller(SELLER, is_admin=True)) == {Party.SELLER, Party.ADMIN}
    assert order.parties(caller(STRANGER, is_admin=True)) == {Party.ADMIN}


def test_a_refusal_names_the_state_and_what_is_open_now() -> None:
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


def test_a_refusal_says_when_nothing_is_open() -> None:
    with pytest.raises(Conflict, match="it is COMPLETED; there is nothing you can do now"):
        move(
            an_order(status=Status.COMPLETED),
            Command(Action.COMPLETE),
            frozenset({Party.BUYER}),
            now=NOON,
            timeouts=TIMEOUTS,
        )


def test_the_wrong_person_is_told_so() -> None:
    with pytest.raises(Forbidden, match="You don't have permission to accept this order"):
        move(an_order(), Command(Action.ACCEPT), frozenset({Party.BUYER}), now=NOON, timeouts=TIMEOUTS)


def test_a_move_changes_state_version_and_time_and_nothing_else() -> None:
    order = an_order(status=Status.DELIVERED, last_delivered_at=NOON)
    later = NOON + timedelta(hours=1)

    moved = move(order, Command(Action.DISPUTE, "Not it"), frozenset({Party.BUYER}), now=later, timeouts=TIMEOUTS).order

    assert moved == replace(order, status=Status.DISPUTED, version=2, updated_at=later)


def test_the_history_says_who_did_what_when_and_where_it_led() -> None:
    later = NOON + timedelta(hours=1)

    command = Command(Action.DECLINE, "Too busy")
    event = told(move(an_order(), command, frozenset({Party.SELLER}), now=later, timeouts=TIMEOUTS))

    assert (event.at, event.by, event.action) == (later, "seller", "decline")
    assert (event.from_status, event.to_status, event.message) == ("PENDING", "CANCELLED", "Too busy")


def test_an_admin_who_is_the_buyer_acts_as_the_buyer() -> None:
    who = frozenset({Party.BUYER, Party.ADMIN})

    assert told(move(an_order(), Command(Action.CANCEL), who, now=NOON, timeouts=TIMEOUTS)).by is Party.BUYER


def test_a_revision_is_used_up_and_the_work_is_due_again_in_the_packages_delivery_days() -> None:
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


def test_a_buyer_disputes_what_was_delivered_once_and_whose_revision_is_overdue_and_cannot_cancel_it() -> None:
    now = NOON
    order = an_order(status=Status.IN_PROGRESS, revisions_left=1)
    for action, party in ((Action.DELIVER, Party.SELLER), (Action.REVISE, Party.BUYER)):
        order = move(order, Command(action), frozenset({party}), now=now, timeouts=TIMEOUTS).order
    much_later = order.due_at + timedelta(days=100)

    assert open_actions(order, frozenset({Party.BUYER}), order.due_at, TIMEOUTS) == []
    assert open_actions(order, frozenset({Party.BUYER}), much_later, TIMEOUTS) == [Action.DISPUTE]


def test_only_the_first_delivery_is_remembered_as_the_first() -> None:
    order = an_order(status=Status.IN_PROGRESS, first_delivered_at=NOON)

    again = move(
        order, Command(Action.DELIVER), frozenset({Party.SELLER}), now=NOON + timedelta(days=2), timeouts=TIMEOUTS
    ).order

    assert again.first_delivered_at == NOON


def test_an_admin_says_where_a_dispute_leads_and_what_of_the_price_goes_back() -> None:
    order = an_order(status=Status.DISPUTED, price=Decimal("500.00"))
    admin = frozenset({Party.ADMIN})

    def resolved(outcome: Status, refund: str = "0") -> Order:
        command = Command(Action.RESOLVE, "", outcome, Decimal(refund))
        return move(order, command, admin, now=NOON, timeouts=TIMEOUTS).order

    assert (resolved(Status.COMPLETED).status, resolved(Status.COMPLETED).refund_due) == (Status.COMPLETED, Decimal(0))
    assert resolved(Status.COMPLETED, "120.50").refund_due == Decimal("120.50")
    assert resolved(Status.COMPLETED, "500").refund_due == Decimal("500.00")
    assert (resolved(Status.CANCELLED).status, resolved(Status.CANCELLED).refund_due) == (
        Status.CANCELLED,
        Decimal(500),
    )
    assert resolved(Status.CANCELLED, "500").refund_due == 500


@pytest.mark.parametrize(
    ("outcome", "refund"), [(Status.COMPLETED, "500.01"), (Status.CANCELLED, "500.01"), (Status.CANCELLED, "499.99")]
)
def test_a_refund_that_does_not_go_with_the_price_or_the_outcome_is_named(outcome: Status, refund: str) -> None:
    order = an_order(status=Status.DISPUTED, price=Decimal("500.00"))
    command = Command(Action.RESOLVE, "", outcome, Decimal(refund))

    with pytest.raises(InvalidArgument) as refusal:
        move(order, command, frozenset({Party.ADMIN}), now=NOON, timeouts=TIMEOUTS)

    assert [violation.field for violation in refusal.value.violations] == ["refundAmount"]


@pytest.mark.parametrize("parties", CALLERS, ids=_named)
def test_while_the_payment_is_being_captured_nothing_is_open_to_anybody(parties: set[str]) -> None:
    order = begin_capture(an_order())
    who = frozenset(Party(party) for party in parties)
    long_after = NOON + timedelta(days=9)

    assert open_actions(order, who, NOON, TIMEOUTS) == open_actions(order, who, long_after, TIMEOUTS) == []
    assert {outcome(order, action, who) for action in Action} <= {"INVALID_TRANSITION", "FORBIDDEN"}


def test_what_the_provider_says_to_a_capture_counts_whatever_time_has_passed() -> None:
    order, later = begin_capture(an_order()), NOON + timedelta(days=9)

    taken = end_capture(order, Command(Action.ACCEPT, "On it"), later)
    refused = end_capture(order, Command(Action.CAPTURE_FAILED), later)

    assert (taken.order.status, taken.order.payment_status) == (Status.IN_PROGRESS, PaymentStatus.CAPTURED)
    assert taken.event == Event(later, Party.SELLER, "accept", Status.PENDING, Status.IN_PROGRESS, "On it")
    assert (refused.order.status, refused.payment_task) == (Status.CANCELLED, PaymentTask.VOID)
    assert refused.event == Event(later, Party.SYSTEM, "capture_failed", Status.PENDING, Status.CANCELLED, "")


@pytest.mark.parametrize("status", Status)
def test_a_chargeback_disputes_what_is_not_over_and_is_kept_in_any_case(status: Status) -> None:
    order = an_order(status=status)

    change = record_chargeback(order, "dispute", Decimal(100), NOON)

    leads_to = REPORTED.get((status, "chargeback"), status)
    assert (str(change.order.status), change.order.charged_back) == (str(leads_to), Decimal(100))
    assert (change.event is not None) == ((status, "chargeback") in REPORTED)
    assert len(change.postings) == 1
