"""More time for an order: the request, its answer, and what closes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from order_service.domain.lifecycle import Action, Command, move, open_actions, record_chargeback
from order_service.domain.order import Event, Extension, Order, Party, Status
from servicekit.errors import Conflict, Forbidden
from tests.support.orders import NOON, TIMEOUTS, an_order, event_of

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
BUYER, SELLER = frozenset({Party.BUYER}), frozenset({Party.SELLER})
ADMIN, SYSTEM = frozenset({Party.ADMIN}), frozenset({Party.SYSTEM})
DUE = NOON + 3 * DAY


def in_progress(**changes: object) -> Order:
    return an_order(**{"status": Status.IN_PROGRESS, "due_at": DUE, **changes})


def ask(order: Order, days: int, now: datetime = NOON, message: str = "") -> Order:
    command = Command(Action.EXTEND, message, days=days)
    return move(order, command, SELLER, now=now, timeouts=TIMEOUTS).order


def answer(order: Order, action: Action, now: datetime = NOON) -> Order:
    return move(order, Command(action), BUYER, now=now, timeouts=TIMEOUTS).order


def refusal(order: Order, command: Command, parties: frozenset[Party]) -> str:
    with pytest.raises(Conflict) as refused:
        move(order, command, parties, now=NOON, timeouts=TIMEOUTS)
    assert refused.value.code == "INVALID_TRANSITION"
    return refused.value.message


def test_a_request_for_more_time_changes_nothing_else_of_the_order() -> None:
    order = in_progress()

    change = move(order, Command(Action.EXTEND, "The host is down", days=5), SELLER, now=NOON, timeouts=TIMEOUTS)

    asked = change.order
    assert asked.extension == Extension(5, "The host is down", NOON)
    assert change.event == Event(
        NOON, Party.SELLER, "extend", Status.IN_PROGRESS, Status.IN_PROGRESS, "The host is down"
    )
    closed = replace(asked, extension_days=None, extension_message="", extension_at=None)
    assert closed == replace(order, version=order.version + 1, updated_at=NOON)


def test_an_accepted_request_moves_the_due_date_from_the_old_one() -> None:
    # Two days overdue: the request adds to the old due date, not to the present.
    asked = ask(in_progress(), 5, DUE + 2 * DAY)

    change = move(asked, Command(Action.ACCEPT_EXTENSION, "Fine"), BUYER, now=DUE + 2 * DAY, timeouts=TIMEOUTS)

    assert (change.order.due_at, change.order.extended_days, change.order.extension) == (DUE + 5 * DAY, 5, None)
    event = event_of(change)
    assert (event.by, event.action, event.message) == (Party.BUYER, "accept_extension", "Fine")
    assert (event.from_status, event.to_status) == (Status.IN_PROGRESS, Status.IN_PROGRESS)


def test_a_declined_request_leaves_the_due_date_and_another_may_follow() -> None:
    declined = answer(ask(in_progress(), 5, message="Please"), Action.DECLINE_EXTENSION)

    assert (declined.due_at, declined.extended_days, declined.extension) == (DUE, 0, None)
    assert declined.extension_message == ""
    assert ask(declined, 3).extension == Extension(3, "", NOON)


def test_an_open_request_takes_no_right_from_the_buyer() -> None:
    before_due, overdue = DUE, DUE + MOMENT
    asked = ask(in_progress(), 5)
    answers = [Action.ACCEPT_EXTENSION, Action.DECLINE_EXTENSION]

    assert open_actions(asked, BUYER, before_due, TIMEOUTS) == answers
    assert open_actions(asked, BUYER, overdue, TIMEOUTS) == [Action.CANCEL, *answers]
    sent_back = ask(in_progress(first_delivered_at=NOON), 5)
    assert open_actions(sent_back, BUYER, overdue, TIMEOUTS) == [Action.DISPUTE, *answers]


def test_the_buyers_rights_follow_the_new_due_date() -> None:
    extended = answer(ask(in_progress(), 5), Action.ACCEPT_EXTENSION)

    assert open_actions(extended, BUYER, DUE + 5 * DAY, TIMEOUTS) == []
    assert open_actions(extended, BUYER, DUE + 5 * DAY + MOMENT, TIMEOUTS) == [Action.CANCEL]


def test_an_order_is_abandoned_by_its_new_due_date() -> None:
    extended = answer(ask(in_progress(), 5), Action.ACCEPT_EXTENSION)

    assert open_actions(extended, SYSTEM, DUE + 35 * DAY - MOMENT, TIMEOUTS) == []
    assert open_actions(extended, SYSTEM, DUE + 35 * DAY, TIMEOUTS) == [Action.ABANDON]


def test_an_open_request_does_not_keep_an_order_from_being_abandoned() -> None:
    asked = ask(in_progress(), 90, DUE + 29 * DAY)
    late = DUE + 30 * DAY

    assert open_actions(asked, BUYER | SELLER, late, TIMEOUTS) == []
    assert move(asked, Command(Action.ABANDON), SYSTEM, now=late, timeouts=TIMEOUTS).order.extension_days is None


def test_a_second_request_is_refused_while_one_is_open() -> None:
    asked = ask(in_progress(), 5)

    assert refusal(asked, Command(Action.EXTEND, days=2), SELLER) == (
        "You can't extend this order now, it is IN_PROGRESS, the buyer has not answered the last request for more time;"
        " what you can do now: deliver, cancel"
    )


@pytest.mark.parametrize(
    ("action", "verb"), [(Action.ACCEPT_EXTENSION, "accept"), (Action.DECLINE_EXTENSION, "decline")]
)
def test_an_answer_to_no_request_is_refused(action: Action, verb: str) -> None:
    assert refusal(in_progress(), Command(action), BUYER) == (
        f"You can't {verb} more time for this order now, it is IN_PROGRESS, no request for more time is open;"
        " there is nothing you can do now"
    )


def test_a_request_is_the_sellers_and_its_answer_the_buyers() -> None:
    asked = ask(in_progress(), 5)

    for order, command, parties in (
        (in_progress(), Command(Action.EXTEND, days=1), BUYER),
        (in_progress(), Command(Action.EXTEND, days=1), ADMIN),
        (asked, Command(Action.ACCEPT_EXTENSION), SELLER),
        (asked, Command(Action.DECLINE_EXTENSION), ADMIN),
    ):
        with pytest.raises(Forbidden, match=f"You don't have permission to {command.action.phrase} this order"):
            move(order, command, parties, now=NOON, timeouts=TIMEOUTS)


def test_an_order_gets_365_more_days_at_most_in_all_its_requests_together() -> None:
    order = in_progress()
    for days in (90, 90, 90, 90):
        order = answer(ask(order, days), Action.ACCEPT_EXTENSION)

    assert refusal(order, Command(Action.EXTEND, days=6), SELLER) == (
        "You can't extend this order now, it can be extended by 5 more days at most;"
        " what you can do now: deliver, cancel, extend"
    )
    full = answer(ask(order, 5), Action.ACCEPT_EXTENSION)
    assert (full.due_at, full.extended_days) == (DUE + 365 * DAY, 365)
    assert refusal(full, Command(Action.EXTEND, days=1), SELLER) == (
        "You can't extend this order now, it is IN_PROGRESS, its extensions together have 365 days, the most;"
        " what you can do now: deliver, cancel"
    )


def test_declined_days_do_not_count_toward_the_most() -> None:
    order = in_progress(extended_days=300)

    declined = answer(ask(order, 65), Action.DECLINE_EXTENSION)

    assert answer(ask(declined, 65), Action.ACCEPT_EXTENSION).extended_days == 365


def test_a_seller_and_a_buyer_cannot_ask_and_decline_for_ever() -> None:
    order = in_progress()
    while Action.EXTEND in open_actions(order, SELLER, NOON, TIMEOUTS):
        order = answer(ask(order, 1), Action.DECLINE_EXTENSION)
        assert order.version <= 501

    assert order.version >= 500
    assert refusal(order, Command(Action.EXTEND, days=1), SELLER) == (
        "You can't extend this order now, it is IN_PROGRESS, it has had 500 changes, the most before a request"
        " for more time; what you can do now: deliver, cancel"
    )


def test_the_last_request_for_more_time_can_be_answered_and_the_order_goes_on() -> None:
    asked = ask(in_progress(version=499), 5)

    assert open_actions(asked, BUYER, NOON, TIMEOUTS) == [Action.ACCEPT_EXTENSION, Action.DECLINE_EXTENSION]
    accepted = answer(asked, Action.ACCEPT_EXTENSION)
    assert (accepted.due_at, accepted.extended_days) == (DUE + 5 * DAY, 5)
    delivered = move(accepted, Command(Action.DELIVER), SELLER, now=NOON, timeouts=TIMEOUTS).order
    assert answer(delivered, Action.REVISE).status is Status.IN_PROGRESS


def test_days_count_toward_the_most_also_after_a_revision() -> None:
    order = answer(ask(in_progress(), 90), Action.ACCEPT_EXTENSION)
    delivered = move(order, Command(Action.DELIVER), SELLER, now=NOON, timeouts=TIMEOUTS).order

    revised = answer(delivered, Action.REVISE)

    assert revised.extended_days == 90
    assert revised.due_at == NOON + revised.delivery_days * DAY


def moved(command: Command, parties: frozenset[Party], now: datetime = NOON) -> Callable[[Order], Order]:
    return lambda order: move(order, command, parties, now=now, timeouts=TIMEOUTS).order


CHANGES: dict[str, Callable[[Order], Order]] = {
    "deliver": moved(Command(Action.DELIVER), SELLER),
    "the seller's cancel": moved(Command(Action.CANCEL), SELLER),
    "the buyer's cancel": moved(Command(Action.CANCEL), BUYER, DUE + MOMENT),
    "dispute": lambda order: moved(Command(Action.DISPUTE), BUYER, DUE + MOMENT)(
        replace(order, first_delivered_at=NOON)
    ),
    "resolve to COMPLETED": moved(Command(Action.RESOLVE, "Enough", Status.COMPLETED, Decimal(0)), ADMIN),
    "resolve to CANCELLED": moved(Command(Action.RESOLVE, "Enough", Status.CANCELLED), ADMIN),
    "abandon": moved(Command(Action.ABANDON), SYSTEM, DUE + 30 * DAY),
    "chargeback": lambda order: record_chargeback(order, NOON).order,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_of_the_status_closes_the_request(change: Callable[[Order], Order]) -> None:
    asked = ask(in_progress(), 5, message="Please")

    closed = change(asked)

    assert closed.status is not Status.IN_PROGRESS
    assert (closed.extension_days, closed.extension_message, closed.extension_at) == (None, "", None)
    assert closed.due_at == DUE


def test_a_request_that_an_older_version_has_left_behind_is_not_open() -> None:
    delivered = an_order(
        status=Status.DELIVERED, last_delivered_at=NOON, extension_days=5, extension_message="x", extension_at=NOON
    )

    assert delivered.extension is None
    assert answer(delivered, Action.REVISE).extension is None
