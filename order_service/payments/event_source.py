"""The interface to a provider's events where OrderService asks for them, and to the time until which it has asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from order_service.payments.gateway import ProviderEvent


class PollCursor(Protocol):
    """The time (aware) until which a provider was asked for its events. OrderService keeps it."""

    def polled_until(self) -> datetime | None:
        """Return the time; None before the first poll."""
        ...

    def set_polled_until(self, at: datetime) -> None:
        """Store the time."""
        ...


class EventSource(Protocol):
    """The events of a provider that is polled, by itself or beside its webhooks."""

    def poll(self, cursor: PollCursor) -> Iterator[ProviderEvent]:
        """Yield the events that are new since the last poll, and some that are not; none when it was a moment ago.

        An event that is not acknowledged comes again: with the sandbox until it is, with Stripe for two hours. The
        cursor moves while the events are taken. Raises Unavailable.
        """
        ...

    def acknowledge(self, event_id: str) -> None:
        """Record that an event was processed and need not come again."""
        ...
