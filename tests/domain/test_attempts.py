"""How long an attempt stays open."""

from __future__ import annotations

from datetime import timedelta

import pytest

from order_service.domain.attempt import Attempt, AttemptLimits, Kind, State
from tests.support.orders import BUYER, NOON

LIMITS = AttemptLimits(response=timedelta(minutes=60), confirmation=timedelta(minutes=15))
CONFIRM_BEFORE = NOON + timedelta(minutes=20)


def an_attempt(state: State = State.ASKING, kind: Kind = Kind.AUTHORIZE, **changes: object) -> Attempt:
    return Attempt(BUYER, kind, NOON, tries=0, state=state, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attempt", "minutes"),
    [
        (an_attempt(State.ASKING), 60),
        (an_attempt(State.CONFIRMING), 15),
        (an_attempt(State.CONFIRMING, confirm_before=CONFIRM_BEFORE), 20),
        (an_attempt(State.REFUSED, confirm_before=CONFIRM_BEFORE), 20),
    ],
    ids=["asking", "confirming", "confirming until then", "refused"],
)
def test_a_placing_is_over_at_the_end_of_its_time_and_not_before(attempt: Attempt, minutes: int) -> None:
    end = NOON + timedelta(minutes=minutes)

    assert not attempt.is_over(end - timedelta(microseconds=1), LIMITS)
    assert attempt.is_over(end, LIMITS)


def test_a_placing_that_is_given_up_is_over_and_a_capture_never_is() -> None:
    assert an_attempt(State.GIVING_UP).is_over(NOON, LIMITS)
    assert not an_attempt(kind=Kind.CAPTURE).is_over(NOON + timedelta(days=365), LIMITS)


def test_the_end_of_the_time_for_a_confirmation_is_fixed_once_it_is_known() -> None:
    longer = AttemptLimits(LIMITS.response, timedelta(days=1))

    assert an_attempt(State.CONFIRMING, confirm_before=CONFIRM_BEFORE).confirmation_end(longer) == CONFIRM_BEFORE
    assert an_attempt().confirmation_end(LIMITS) == NOON + timedelta(minutes=15)
