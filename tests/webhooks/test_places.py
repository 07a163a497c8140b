"""Delivery places: nobody's receivers take the places of others."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from uuid import UUID

import pytest

from order_service.webhooks import places
from order_service.webhooks.places import DeliveryPlaces, NoPlace
from servicekit.ids import new_id


class Time:
    """The clock of places, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(places, "time", clock)
    return clock


def a_call(of: DeliveryPlaces, owner: UUID, time: Time, seconds: float) -> None:
    """Make a call that takes so long."""
    with of.place(owner):
        time.now += seconds


def delay(of: DeliveryPlaces, owner: UUID) -> timedelta:
    with pytest.raises(NoPlace) as refusal, of.place(owner):
        pass
    return refusal.value.delay


def test_an_owner_has_two_places_and_gets_them_back(time: Time) -> None:
    all_places, owner = DeliveryPlaces(), new_id()

    for _ in range(3):
        with all_places.place(owner), all_places.place(owner), all_places.place(new_id()):
            assert delay(all_places, owner) < timedelta(seconds=1)


def test_a_call_that_fails_gives_its_place_back(time: Time) -> None:
    all_places, owner = DeliveryPlaces(), new_id()
    for _ in range(5):
        with pytest.raises(RuntimeError), all_places.place(owner):
            raise RuntimeError

    with all_places.place(owner), all_places.place(owner):
        pass


def test_owners_with_slow_receivers_share_half_of_the_places(time: Time) -> None:
    all_places, slow = DeliveryPlaces(), [new_id() for _ in range(5)]
    for owner in slow:
        a_call(all_places, owner, time, 10)

    with ExitStack() as held:
        for owner in slow[:4]:
            held.enter_context(all_places.place(owner))
        assert delay(all_places, slow[4]) > timedelta(0)
        for _ in range(4):
            held.enter_context(all_places.place(new_id()))


def test_calls_that_are_under_way_for_long_count_as_slow_ones(time: Time) -> None:
    all_places, owners = DeliveryPlaces(), [new_id() for _ in range(3)]

    with ExitStack() as held:
        for owner in owners[:2]:
            held.enter_context(all_places.place(owner))
            held.enter_context(all_places.place(owner))
        held.enter_context(all_places.place(owners[2]))
        time.now += 5
        assert delay(all_places, owners[2]) > timedelta(0)


def test_a_slow_owner_is_one_like_others_after_a_fast_call(time: Time) -> None:
    all_places, owner = DeliveryPlaces(), new_id()
    a_call(all_places, owner, time, 10)
    with all_places.place(owner), all_places.place(owner):
        assert delay(all_places, owner) > timedelta(seconds=4)

    a_call(all_places, owner, time, 0.1)

    with all_places.place(owner), all_places.place(owner):
        assert delay(all_places, owner) < timedelta(seconds=0.5)


def test_those_that_wait_for_a_slow_receiver_come_one_after_the_other(time: Time) -> None:
    all_places, owner = DeliveryPlaces(), new_id()
    a_call(all_places, owner, time, 10)

    with all_places.place(owner), all_places.place(owner):
        delays = [delay(all_places, owner) for _ in range(100)]

    assert timedelta(seconds=5) <= delays[0] < timedelta(seconds=7)
    assert timedelta(seconds=50) <= delays[9] < timedelta(seconds=66)
    assert max(delays) <= timedelta(seconds=places.MAX_WAIT_SECONDS * 1.3)


def test_owners_without_calls_are_forgotten(time: Time) -> None:
    all_places = DeliveryPlaces()
    for _ in range(50):
        a_call(all_places, new_id(), time, 0.1)

    time.now += places.FORGET_SECONDS + 1
    a_call(all_places, new_id(), time, 0.1)

    assert len(all_places._owners) == 1
