"""A topic of an outbox: its messages and how they are delivered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """A row to deliver. `version` grows with every change of the object that `key` identifies.

    `attempts` is the number of deliveries that have failed.
    """

    topic: str
    key: str
    version: int
    payload: Any
    attempts: int


@dataclass(frozen=True, slots=True)
class Topic:
    """The delivery of a topic's rows. `deliver` raises an error when the row must be sent again.

    `deliver` runs in a thread, outside of any transaction; a transaction that it opens is its own. It must accept a row
    twice. Each worker makes `concurrency` deliveries at once, of different keys. With `newest_only` each row contains
    the whole state of its key, so older rows are dropped.
    """

    deliver: Callable[[Message], None]
    newest_only: bool = False
    concurrency: int = 1


class PutOff(Exception):
    """Raised by a delivery that was definitely not done, and that makes sense again only after `delay`.

    It is no refusal: the row never parks for it. `reason` is stored as the row's error.
    """

    def __init__(self, delay: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay
