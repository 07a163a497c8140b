"""One call of an RPC, as a handler sees it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import structlog


@dataclass(frozen=True)
class Caller:
    """Who calls: a person, one of our services, or, without an id, anyone."""

    id: UUID | None = None
    username: str = ""
    roles: frozenset[str] = frozenset()

    @property
    def is_anonymous(self) -> bool:
        return self.id is None

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles


ANYONE = Caller()


class IdempotencyClaim(NamedTuple):
    """An idempotency key with whose it is and what it stands for.

    `scope` is the RPC with what stands in its path, `digest` the request's, `attempt` the unfinished work that the key
    is bound to, if any.
    """

    caller: UUID
    scope: str
    key: str
    digest: bytes
    attempt: UUID | None = None


@dataclass
class Call:
    """What a handler may know of the call beside the request, and what it may say beside the response."""

    caller: Caller = ANYONE
    metadata: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    # When it has to be answered, by time.monotonic(); None without a deadline.
    deadline: float | None = None
    log: Any = field(default_factory=structlog.get_logger)
    etag: str | None = None
    # What the call's idempotency key claims, for handlers that bind it themselves (servicekit.idempotency.attempts).
    claim: IdempotencyClaim | None = None

    @property
    def user_id(self) -> UUID:
        """The caller's id, where the RPC's access has seen to it that there is one."""
        if self.caller.id is None:
            raise LookupError("an RPC that asks for the user must not be open to anyone")
        return self.caller.id

    @property
    def if_match(self) -> str | None:
        """The `If-Match` header as it came."""
        return self.metadata.get("if-match")

    def set_etag(self, etag: str) -> None:
        """Answers this `ETag`: a strong one, quotes included."""
        self.etag = etag


# The call under way in this thread, for what is handed on to other services.
current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)

# What is kept back of a deadline, to answer in time what became of what was waited for.
RESERVE_SECONDS = 0.1


def seconds_left(most: float) -> float:
    """How long the call under way may wait for another part: `most`, or what is left of its deadline. Above zero."""
    call = current_call.get()
    if call is None or call.deadline is None:
        return most
    return max(0.001, min(most, call.deadline - time.monotonic() - RESERVE_SECONDS))
