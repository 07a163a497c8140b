"""Webhook endpoints and deliveries: whose they are, which events they get, and when a delivery is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from order_service.domain.feed import PUBLIC_TYPES
from servicekit.call import Caller
from servicekit.errors import Conflict, NotFound, Violation

MAX_ENDPOINTS = 10
# An endpoint with more PENDING deliveries is DISABLED: its receiver does not keep up.
MAX_WAITING = 10_000

# The time from each failed attempt of a delivery to the next one; the last of them repeats.
DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
# Longer than this after its first attempt no delivery is tried.
GIVE_UP_AFTER = timedelta(days=1)
# The part of a delay by which it may be longer, so that deliveries that failed together do not come together again.
JITTER = 0.2
# The receiver says that it is gone for good.
GONE = 410


class EndpointStatus(StrEnum):
    """The status of an endpoint."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class DeliveryStatus(StrEnum):
    """The status of a delivery."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a user to which events are sent: `types` of their own, or of everyone for an admin; empty for all.

    `is_admin` says whether the owner had the role when they made it. `secret` is encrypted. Times are aware, in UTC.
    """

    id: UUID
    owner_id: UUID
    is_admin: bool
    url: str
    types: tuple[str, ...]
    status: EndpointStatus
    secret: str
    created_at: datetime

    @property
    def viewer(self) -> Caller:
        """The caller as whom the owner would read what the events are about."""
        return Caller(self.owner_id, roles=frozenset({"admin"} if self.is_admin else ()))

    def check_access(self, caller: Caller) -> None:
        """Refuse everyone but the owner and admins. Raises NotFound: a stranger must not learn of it."""
        if caller.id != self.owner_id and not caller.is_admin:
            raise NotFound("Webhook endpoint")


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint.

    `round` grows with each retry that a user asks for; `is_retry` says that they have, and that this attempt is not
    over yet. `attempts` counts those of all rounds, `round_attempts` those of this one, whose first was at
    `tried_since`. `last_status` is the HTTP status code of the last attempt, None when there was no response. `next_at`
    is the time of the next attempt, None unless the delivery is PENDING. Times are aware, in UTC.
    """

    id: UUID
    endpoint_id: UUID
    event_id: UUID
    status: DeliveryStatus
    round: int
    is_retry: bool
    attempts: int
    round_attempts: int
    tried_since: datetime | None
    last_status: int | None
    created_at: datetime
    next_at: datetime | None


def check_limit(count: int) -> None:
    """Refuse another endpoint to a user who has so many. Raises Conflict (LIMIT_REACHED)."""
    if count >= MAX_ENDPOINTS:
        raise Conflict(f"You can have {MAX_ENDPOINTS} webhook endpoints", code="LIMIT_REACHED")


def unique_types(types: Sequence[str]) -> tuple[str, ...]:
    """Return the types without duplicates, in their order."""
    return tuple(dict.fromkeys(types))


def violations_of_types(types: Sequence[str]) -> list[Violation]:
    """Return a violation for each type that no event has."""
    return [
        Violation(f"types[{number}]", "is no type of event")
        for number, event_type in enumerate(types)
        if event_type not in PUBLIC_TYPES
    ]


def may_send(delivery: Delivery, endpoint: Endpoint) -> bool:
    """Return whether a PENDING delivery is sent: to a DISABLED endpoint only when a user asks for it."""
    return endpoint.status is EndpointStatus.ENABLED or delivery.is_retry


def is_accepted(status: int | None) -> bool:
    """Return whether the receiver's HTTP status code (None without a response) means that it has the event."""
    return status is not None and 200 <= status <= 299


def retry_delay(
    delivery: Delivery, endpoint: Endpoint, status: int | None, now: datetime, jitter: float
) -> timedelta | None:
    """Return the time from a failed attempt, with this HTTP status code, to the next one; None when there is none.

    `delivery` counts the failed attempt. `jitter` is between 0 and 1. The last attempt is a day after the first one.
    """
    if status == GONE or endpoint.status is EndpointStatus.DISABLED:
        return None
    since = delivery.tried_since or now
    left = since + GIVE_UP_AFTER - now
    if left <= timedelta(0):
        return None
    delay = DELAYS[min(delivery.round_attempts, len(DELAYS)) - 1]
    return min(delay * (1 + JITTER * jitter), left)
