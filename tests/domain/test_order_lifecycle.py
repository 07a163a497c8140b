"""The transition table, held against the public contract as it is written there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pytest

from order_service.domain.lifecycle import TRANSITIONS, Action, When, move, open_actions
from order_service.domain.order import Order, Party, Status
from servicekit.errors import Conflict, Forbidden, MarketplaceError, NotFound
from tests.support.orders import BUYER, NOON, SELLER, STRANGER, an_order

# The rows of the contract, without those about payments, disputes and passing time: (from, action, by, to, only when).
CONTRACT = {
    ("PENDING", "accept", "seller"): ("IN_PROGRESS", "always"),
    ("PENDING", "decline", "seller"): ("CANCELLED", "always"),
    ("PENDING", "cancel", "buyer"): ("CANCELLED", "always"),
    ("IN_PROGRESS", "deliver", "seller"): ("DELIVERED", "always"),
    ("IN_PROGRESS", "cancel", "seller"): ("CANCELLED", "always"),
    ("IN_PROGRESS", "cancel", "buyer"): ("CANCELLED", "once overdue and before the first delivery"),
    ("DELIVERED", "revise", "buyer"): ("IN_PROGRESS", "while revisions are left"),
    ("DELIVERED", "complete", "buyer"): ("COMPLETED", "always"),
}
ACTIONS = ("accept", "decline", "cancel", "deliver", "revise", "complete")
CALLERS = ({"buyer"}, {"seller"}, {"admin"}, {"buyer", "admin"}, {"seller", "admin"})


def _named(parties: set[str]) -> str:
    return "+".join(sorted(parties))


SITUATIONS = list(product(Status, (False, True), (0, 1, 2), (False, True)))


def expected(order: Order, action: str, parties: set[str], *, overdue: bool) -> str:
    """What the contract says becomes of it: the new state, `FORBIDDEN` or `INVALID_TRANSITION`."""
    if parties == {"admin"}:
        return "FORBIDDEN"
    allowed = {by: row for (state, does, by), row in CONTRACT.items() if (state, does) == (order.status, action)}
    if allowed and not parties & set(allowed):
        return "FORBIDDEN"
    for by in parties & set(allowed):
        to, when = allowed[by]
        if when == "always":
            return to
        if when == "while revisions are left" and order.revisions_left:
            return to
        if when == "once overdue and before the first delivery" and overdue and not order.first_delivered_at:
            return to
    return "INVALID_TRANSITION"


def outcome(order: Order, action: Action, parties: frozenset[Party], *, overdue: bool) -> str:
    try:
        return str(move(order, action, parties, now=_moment(order, overdue=overdue)).order.status)
    except MarketplaceError as refused:
        return refused.code


def _moment(order: Order, *, overdue: bool) -> datetime:
    return order.due_at + timedelta(microseconds=1) if overdue else order.due_at


def _order(status: Status, *, revisions: int, delivered: bool) -> Order:
    return an_order(status=status, revisions_left=revisions, first_delivered_at=NOON if delivered else None)


@pytest.mark.parametrize("parties", CALLERS, ids=_named)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_by_every_party_in_every_situation_does_what_the_contract_says(
    action: str, parties: set[str]
) -> None:
    who = frozenset(Party(party) for party in parties)
    for status, overdue, revisions, delivered in SITUATIONS:
        order = _order(status, revisions=revisions, delivered=delivered)

        became = outcome(order, Action(action), who, overdue=overdue)

        situation = (status, overdue, revisions, delivered)
        assert became == expected(order, action, parties, overdue=overdue), situation


@pytest.mark.parametrize("parties", CALLERS, ids=_named)
def test_the_actions_that_are_open_are_exactly_those_that_succeed(parties: set[str]) -> None:
    who = frozenset(Party(party) for party in parties)
    for status, overdue, revisions, delivered in SITUATIONS:
        order = _order(status, revisions=revisions, delivered=delivered)

        succeed = {action for action in Action if outcome(order, action, who, overdue=overdue) in set(Status)}

        assert set(open_actions(order, who, _moment(order, overdue=overdue))) == succeed


def test_the_table_names_each_case_once_and_never_leads_back_from_an_end() -> None:
    cases = [(row.came_from, row.action, row.by) for row in TRANSITIONS]

    assert len(cases) == len(set(cases)) == len(CONTRACT)
    assert not {Status.COMPLETED, Status.CANCELLED} & {row.came_from for row in TRANSITIONS}
    assert {row.action for row in TRANSITIONS} == set(Action)
    assert {row.when for row in TRANSITIONS} == set(When)


def test_a_stranger_is_told_that_there_is_no_such_order() -> None:
    with pytest.raises(NotFound, match="Order not found"):
        an_order().parties(STRANGER, is_admin=False)


def test_buyer_seller_and_admin_are_known_for_what_they_are() -> None:
    order = an_order()

    assert order.parties(BUYER, is_admin=False) == {Party.BUYER}
    assert order.parties(SELLER, is_admin=True) == {Party.SELLER, Party.ADMIN}
    assert order.parties(STRANGER, is_admin=True) == {Party.ADMIN}


def test_a_refusal_names_the_state_and_what_is_open_now() -> None:
    order = an_order(status=Status.DELIVERED)

    with pytest.raises(Conflict) as refusal:
        move(order, Action.CANCEL, frozenset({Party.BUYER}), now=NOON)

    assert refusal.value.code == "INVALID_TRANSITION"
    assert refusal.value.message == (
        "You can't cancel this order now, it is DELIVERED; what you can do now: revise, complete"
    )


def test_a_refusal_says_when_nothing_is_open() -> None:
    with pytest.raises(Conflict, match="it is COMPLETED; there is nothing you can do now"):
        move(an_order(status=Status.COMPLETED), Action.COMPLETE, frozenset({Party.BUYER}), now=NOON)


def test_the_wrong_person_is_told_so() -> None:
    with pytest.raises(Forbidden, match="You don't have permission to accept this order"):
        move(an_order(), Action.ACCEPT, frozenset({Party.BUYER}), now=NOON)


def test_a_move_changes_state_version_and_time_and_nothing_else() -> None:
    order = an_order()
    later = NOON + timedelta(hours=1)

    moved = move(order, Action.ACCEPT, frozenset({Party.SELLER}), now=later).order

    assert moved == replace(order, status=Status.IN_PROGRESS, version=2, updated_at=later)


def test_the_history_says_who_did_what_when_and_where_it_led() -> None:
    later = NOON + timedelta(hours=1)

    event = move(an_order(), Action.DECLINE, frozenset({Party.SELLER}), now=later, message="Too busy").event

    assert (event.at, event.by, event.action) == (later, "seller", "decline")
    assert (event.came_from, event.to, event.message) == ("PENDING", "CANCELLED", "Too busy")


def test_an_admin_who_is_the_buyer_acts_as_the_buyer() -> None:
    event = move(an_order(), Action.CANCEL, frozenset({Party.BUYER, Party.ADMIN}), now=NOON).event

    assert event.by is Party.BUYER


def test_a_revision_is_used_up_and_the_work_is_due_again_in_the_packages_delivery_days() -> None:
    order = an_order(status=Status.DELIVERED, revisions_left=2, delivery_days=3, first_delivered_at=NOON)
    later = NOON + timedelta(days=30)

    revised = move(order, Action.REVISE, frozenset({Party.BUYER}), now=later, message="Bluer").order

    assert revised.revisions_left == 1
    assert revised.due_at == later + timedelta(days=3)
    assert revised.first_delivered_at == NOON


def test_a_buyer_may_cancel_an_order_in_progress_only_when_it_is_overdue() -> None:
    order = an_order(status=Status.IN_PROGRESS)
    buyer = frozenset({Party.BUYER})

    assert open_actions(order, buyer, order.due_at) == []
    assert open_actions(order, buyer, order.due_at + timedelta(microseconds=1)) == [Action.CANCEL]


def test_a_buyer_may_not_cancel_what_was_delivered_once_however_overdue_its_revision_is() -> None:
    now = NOON
    order = an_order(status=Status.IN_PROGRESS, revisions_left=1)
    for action, party in ((Action.DELIVER, Party.SELLER), (Action.REVISE, Party.BUYER)):
        order = move(order, action, frozenset({party}), now=now).order
    much_later = order.due_at + timedelta(days=100)

    assert open_actions(order, frozenset({Party.BUYER}), much_later) == []


def test_only_the_first_delivery_is_remembered_as_the_first() -> None:
    order = an_order(status=Status.IN_PROGRESS, first_delivered_at=NOON)

    again = move(order, Action.DELIVER, frozenset({Party.SELLER}), now=NOON + timedelta(days=2)).order

    assert again.first_delivered_at == NOON
