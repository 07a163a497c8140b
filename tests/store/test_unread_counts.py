"""Counts of unread messages, while both sides write and read at the same time."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from order_service.domain.conversation import Message, Person
from order_service.store.messages import NEWEST
from order_service.store.store import Store
from servicekit.database import Database
from servicekit.ids import new_id
from tests.support.at_once import at_once
from tests.support.conversations import Talk

# A device of a side: it writes (None), or marks one of the newest messages, by its place from the end.
STEPS = st.lists(st.none() | st.integers(0, 4), max_size=5)


class Device:
    """A device with which a side writes and reads."""

    def __init__(self, store: Store, talk: Talk, side: Person) -> None:
        self._store = store
        self._talk = talk
        self._side = side
        self.written: list[Message] = []
        self.marked: list[int] = []
        """The numbers of the messages that it has marked."""

    def act(self, steps: list[int | None]) -> None:
        for place in steps:
            if place is None:
                self.written.append(self._talk.say(self._side, "One more"))
            else:
                newest = newest_first(self._store, self._talk)[:5]
                message = newest[min(place, len(newest) - 1)]
                self._talk.read(self._side, message)
                self.marked.append(message.number)


def newest_first(store: Store, talk: Talk) -> list[Message]:
    page = store.messages.page(talk.id, bound_id=None, number=NEWEST, is_forward=False, limit=100)
    return list(page.messages)


@pytest.mark.timeout(120)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(scripts=st.lists(STEPS, min_size=4, max_size=4))
def test_unread_counts_are_exact_whoever_writes_and_reads_at_the_same_time(
    order_database: Database, scripts: list[list[int | None]]
) -> None:
    store = Store(order_database)
    sides = [Person(new_id(), name) for name in ("happy_buyer", "webdev_pro")]
    talk = Talk(store, *sides)
    devices = [Device(store, talk, side) for side in (*sides, *sides)]

    results = at_once(
        [partial(device.act, each) for device, each in zip(devices, scripts, strict=True)], order_database
    )

    assert results == ["won"] * len(devices)
    messages = newest_first(store, talk)
    assert [message.number for message in messages] == list(range(len(messages), 0, -1))
    assert {message.id for message in messages[:-1]} == {each.id for device in devices for each in device.written}
    for side, own in zip(sides, (devices[::2], devices[1::2]), strict=True):
        mark = max((number for device in own for number in device.marked), default=0)
        unread = [message for message in messages if message.sender.id != side.id and message.number > mark]
        assert talk.conversation.unread(side.id) == len(unread)
