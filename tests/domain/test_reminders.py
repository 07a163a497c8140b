"""Reminders: when each is due, and that each comes once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_service.domain.feed import TYPES, EventType
from order_service.domain.lifecycle import Action, Command, Timeouts, move
from order_service.domain.order import Change, Event, Order, Party, Status
from order_service.domain.reminders import STATUSES, Leads, Reminder, remind
from order_service.domain.settlement import begin_capture
from tests.support.orders import LEADS, NOON, TIMEOUTS, an_order, event_of

HOUR, MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)
NEVER = Leads(timedelta(0), timedelta(0), timedelta(0))


def a_reminder(order: Order, now: datetime, timeouts: Timeouts = TIMEOUTS, leads: Leads = LEADS) -> Change | None:
    return remind(order, now=now, timeouts=timeouts, leads=leads)


def reminded(order: Order, now: datetime) -> Order:
    change = a_reminder(order, now)
    assert change is not None
    return change.order


def act(order: Order, action: Action, party: Party, now: datetime) -> Order:
    return move(order, Command(action), frozenset({party}), now=now, timeouts=TIMEOUTS).order


# An order of each status, the reminder that it gets, and the hours after NOON of its reminder and of its moment.
WAITS = {
    Reminder.EXPIRING: (an_order(), 36, 48),
    Reminder.DUE_SOON: (an_order(status=Status.IN_PROGRESS, due_at=NOON + timedelta(days=5)), 96, 120),
    Reminder.AUTO_COMPLETING: (
        an_order(status=Status.DELIVERED, first_delivered_at=NOON, last_delivered_at=NOON + 2 * HOUR), 50, 74
    ),
}  # fmt: skip


@pytest.mark.parametrize("reminder", Reminder)
def test_a_reminder_comes_from_its_lead_on_and_never_at_the_moment_itself(reminder: Reminder) -> None:
    order, first, moment = WAITS[reminder]
    begin, end = NOON + first * HOUR, NOON + moment * HOUR

    for now in (begin, begin + MICROSECOND, end - MICROSECOND):
        change = a_reminder(order, now)
        assert change is not None
        status = STATUSES[reminder]
        assert change.event == Event(now, Party.SYSTEM, reminder, status, status, "", is_reminder=True)
    for now in (NOON, begin - MICROSECOND, end, end + MICROSECOND, end + timedelta(days=20)):
        assert a_reminder(order, now) is None


@pytest.mark.parametrize("reminder", Reminder)
def test_a_reminder_changes_nothing_of_an_order_but_its_version(reminder: Reminder) -> None:
    order, first, _ = WAITS[reminder]

    change = a_reminder(order, NOON + first * HOUR)

    assert change is not None
    assert change.order.version == order.version + 1
    assert replace(change.order, version=order.version, reminded_of=None) == order
    assert (change.postings, change.payment_task) == ((), None)


@pytest.mark.parametrize("reminder", Reminder)
def test_a_reminder_comes_once(reminder: Reminder) -> None:
    order, first, moment = WAITS[reminder]
    again = reminded(order, NOON + first * HOUR)

    assert all(a_reminder(again, NOON + hour * HOUR) is None for hour in range(first, moment + 1))


@pytest.mark.parametrize("reminder", Reminder)
def test_without_a_lead_there_is_no_reminder(reminder: Reminder) -> None:
    order, _, moment = WAITS[reminder]

    assert all(a_reminder(order, NOON + hour * HOUR, leads=NEVER) is None for hour in range(moment + 1))


@pytest.mark.parametrize("reminder", Reminder)
@pytest.mark.parametrize("lead", [timedelta(days=5), timedelta(days=365)])
def test_a_lead_as_long_as_the_wait_or_longer_reminds_at_once(reminder: Reminder, lead: timedelta) -> None:
    order, _, _ = WAITS[reminder]

    assert a_reminder(order, NOON + 2 * HOUR, leads=Leads(lead, lead, lead)) is not None


def test_an_order_that_is_over_or_disputed_gets_no_reminder() -> None:
    for status in (Status.DISPUTED, Status.COMPLETED, Status.CANCELLED):
        order = an_order(status=status, due_at=NOON + HOUR, last_delivered_at=NOON - 71 * HOUR)
        assert a_reminder(order, NOON) is None


def test_an_order_that_is_being_captured_gets_no_reminder() -> None:
    order = begin_capture(an_order())

    assert a_reminder(order, NOON + 40 * HOUR) is None


def test_a_card_authorization_that_ends_sooner_is_what_the_reminder_is_about() -> None:
    # It expires an hour before its authorization does.
    order = an_order(capture_before=NOON + 25 * HOUR)

    assert a_reminder(order, NOON + 12 * HOUR - MICROSECOND) is None
    assert a_reminder(order, NOON + 12 * HOUR) is not None
    assert a_reminder(order, NOON + 24 * HOUR) is None
    assert a_reminder(reminded(order, NOON + 12 * HOUR), NOON + 20 * HOUR) is None


def test_an_order_without_an_authorization_is_reminded_of_its_timeout() -> None:
    assert a_reminder(an_order(capture_before=None, payment_status=None), NOON + 36 * HOUR) is not None


def test_each_due_date_has_a_reminder_of_its_own() -> None:
    order = reminded(an_order(status=Status.IN_PROGRESS, due_at=NOON + 20 * HOUR), NOON)
    delivered = reminded(act(order, Action.DELIVER, Party.SELLER, NOON + 2 * HOUR), NOON + 60 * HOUR)
    revised = act(delivered, Action.REVISE, Party.BUYER, NOON + 61 * HOUR)

    assert a_reminder(revised, revised.due_at - 25 * HOUR) is None
    again = reminded(revised, revised.due_at - 24 * HOUR)

    assert a_reminder(again, again.due_at - HOUR) is None
    # A due date that is moved without a change of the status.
    later = replace(again, due_at=again.due_at + timedelta(days=3))
    assert a_reminder(later, again.due_at) is None
    assert a_reminder(later, later.due_at - HOUR) is not None


def test_each_delivery_has_a_reminder_of_its_own() -> None:
    delivered = an_order(status=Status.DELIVERED, first_delivered_at=NOON, last_delivered_at=NOON)
    revised = act(reminded(delivered, NOON + 48 * HOUR), Action.REVISE, Party.BUYER, NOON + 49 * HOUR)

    again = act(revised, Action.DELIVER, Party.SELLER, NOON + 50 * HOUR)

    assert a_reminder(again, NOON + (50 + 47) * HOUR) is None
    assert a_reminder(again, NOON + (50 + 48) * HOUR) is not None


def test_a_delivery_at_the_very_moment_of_the_due_date_has_its_reminder() -> None:
    due_at = NOON + 20 * HOUR
    order = reminded(an_order(status=Status.IN_PROGRESS, due_at=due_at), NOON)

    delivered = act(order, Action.DELIVER, Party.SELLER, due_at)

    assert a_reminder(delivered, due_at + 48 * HOUR) is not None


def test_what_a_worker_of_an_older_version_leaves_behind_keeps_no_reminder_back() -> None:
    # It moved the order on, and kept the column with the placing's time.
    order = an_order(status=Status.IN_PROGRESS, due_at=NOON + 20 * HOUR, reminded_of=NOON)

    assert a_reminder(order, NOON) is not None


def test_every_reminder_has_an_event_of_the_feed() -> None:
    assert {reminder: TYPES[reminder] for reminder in Reminder} == {
        Reminder.EXPIRING: EventType.ORDER_EXPIRING,
        Reminder.DUE_SOON: EventType.ORDER_DUE_SOON,
        Reminder.AUTO_COMPLETING: EventType.ORDER_AUTO_COMPLETING,
    }
    assert set(TYPES) == {"place", *Action, *Reminder}
    assert set(TYPES.values()) == {each for each in EventType if each.startswith("order.")}


LEAD_HOURS = st.integers(0, 100)
# The hours for which an order is left alone before each action. It is still open then.
PAUSES = st.lists(st.integers(1, 47), max_size=7)
ACTIONS = {
    Status.PENDING: (Action.ACCEPT, Party.SELLER),
    Status.IN_PROGRESS: (Action.DELIVER, Party.SELLER),
    Status.DELIVERED: (Action.REVISE, Party.BUYER),
}


@given(PAUSES, st.integers(1, 4), st.tuples(LEAD_HOURS, LEAD_HOURS, LEAD_HOURS))
def test_a_worker_that_looks_every_hour_reminds_once_of_each_wait_and_when_it_is_due(
    pauses: list[int], days: int, lead_hours: tuple[int, int, int]
) -> None:
    leads = Leads(*(hours * HOUR for hours in lead_hours))
    lead_of = dict(zip(ACTIONS, lead_hours, strict=True))
    wait_of = {Status.PENDING: 48, Status.IN_PROGRESS: 24 * days, Status.DELIVERED: 72}
    reminder_of = {status: reminder for reminder, status in STATUSES.items()}
    order, hour = an_order(delivery_days=days, revisions_left=9), 0
    came: list[tuple[str, int]] = []
    expected: list[tuple[str, int]] = []

    # After the last pause the order is left alone until its time is over.
    for pause in [*pauses, 200]:
        moment = hour + wait_of[order.status]
        at = max(hour, moment - lead_of[order.status])
        if at < min(moment, hour + pause):
            expected.append((reminder_of[order.status], at))
        for _ in range(pause):
            if change := a_reminder(order, NOON + hour * HOUR, leads=leads):
                came.append((event_of(change).action, hour))
                order = change.order
            hour += 1
        if pause < 200:
            order = act(order, *ACTIONS[order.status], NOON + hour * HOUR)

    assert came == expected
