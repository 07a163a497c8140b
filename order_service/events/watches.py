"""What can be watched: an order, and all that is new for a user. It reads the database, so it runs in threads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from order_service.domain.feed import FINAL, HistoryRow, News
from order_service.events.hub import Topic
from order_service.store.feed_reader import ROWS
from order_service.store.store import Store
from servicekit.call import Caller
from servicekit.errors import InvalidArgument, Violation

# The age of the newest event that a client can miss and still resume.
RESUME_AGE = timedelta(days=30)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class ResumeId:
    """The id after which a client wants to begin: its text, empty for none, and the name of its field or header."""

    text: str
    field: str

    def number(self) -> int | None:
        """Return the number; None without an id. Raises InvalidArgument for anything that was never an id."""
        if not self.text:
            return None
        if not _NUMBER.fullmatch(self.text):
            raise self.error("was never an id of this stream")
        return int(self.text)

    def error(self, message: str) -> InvalidArgument:
        """Return the error to raise for this id."""
        return InvalidArgument([Violation(self.field, message)])


@dataclass(frozen=True)
class Opening:
    """How a watch begins: after `place`, with these news. `has_more` says whether `Watched.read` has further ones.

    `is_over` says that nothing will ever come.
    """

    place: int
    news: list[News] = field(default_factory=list)
    has_more: bool = False
    is_over: bool = False


class Watched(Protocol):
    """Something that can be watched. Its ids are numbers that grow.

    `has_places` says whether the ids are positions in the feed, so that a client can resume from any later position.
    """

    has_places: bool

    @property
    def topic(self) -> Topic:
        """The topic to subscribe to."""
        ...

    def open(self, resume: ResumeId) -> Opening:
        """Return how the watch begins. Raises NotFound, InvalidArgument."""
        ...

    def read(self, place: int) -> Opening:
        """Return the next news after this place."""
        ...

    def number(self, news: News) -> int:
        """Return the id of the news."""
        ...

    def ends_with(self, news: News) -> bool:
        """Return whether nothing comes after these news."""
        ...


class OrderWatch:
    """An order. The ids are the versions in its history, which orders from before the feed have as well."""

    has_places = False

    def __init__(self, store: Store, order_id: UUID, caller: Caller) -> None:
        self._store = store
        self._order_id = order_id
        self._caller = caller
        self.topic = Topic.of_order(order_id)

    def open(self, resume: ResumeId) -> Opening:
        """Return the history after the id, up to the last possible change."""
        order = self._store.orders.get(self._order_id).order
        order.parties(self._caller)
        after = resume.number()
        if after is not None and not 0 < after <= order.version:
            raise resume.error("was never an id of this order")
        # Also of changes since the order was read: nothing is left out between the two.
        news = self._store.feed_reader.of_order(self._order_id, after or 0)
        end = next((number for number, each in enumerate(news, 1) if self.ends_with(each)), None)
        if end is None and order.status in FINAL:
            return Opening(after or 0, is_over=True)
        return Opening(after or 0, news[:end])

    def read(self, place: int) -> Opening:
        """Return nothing: `open` has returned everything."""
        return Opening(place)

    def number(self, news: News) -> int:
        """Return the version."""
        return _row(news).version

    def ends_with(self, news: News) -> bool:
        """Return whether it was the last possible change."""
        return _row(news).is_final


class UserWatch:
    """A user's orders, conversations and offers, whichever side the user is. The ids are positions in the feed."""

    has_places = True

    def __init__(self, store: Store, user_id: UUID) -> None:
        self._store = store
        self._user_id = user_id
        self.topic = Topic.of_user(user_id)

    def open(self, resume: ResumeId) -> Opening:
        """Return the news after the id; without one, the newest position of the feed."""
        reader = self._store.feed_reader
        after = resume.number()
        reader.number()
        newest = reader.newest()
        if after is None:
            return Opening(newest)
        if after > newest:
            raise resume.error("was never an id of this stream")
        if reader.is_older(after, RESUME_AGE):
            raise resume.error(f"is older than {RESUME_AGE.days} days; begin without one")
        return self.read(after)

    def read(self, place: int) -> Opening:
        """Return the next news after this place."""
        news = self._store.feed_reader.of_user(self._user_id, place)
        return Opening(place, news, has_more=len(news) == ROWS)

    def number(self, news: News) -> int:
        """Return the position."""
        return news.position

    def ends_with(self, news: News) -> bool:
        """Return False: there can always be more."""
        return False


def _row(news: News) -> HistoryRow:
    """Return the news of an order."""
    assert isinstance(news.subject, HistoryRow)
    return news.subject
