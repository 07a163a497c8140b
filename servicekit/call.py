"""One call of an RPC, as a handler sees it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from servicekit.errors import DeadlineExceeded


@dataclass(frozen=True)
class Caller:
    """The maker of a call: a user, one of the services, or, without an id, an anonymous client."""

    id: UUID | None = None
    username: str = ""
    roles: frozenset[str] = frozenset()

    @property
    def is_anonymous(self) -> bool:
        """Whether the call came without a token."""
        return self.id is None

    @property
    def is_admin(self) -> bool:
        """Whether the caller has the role `admin`."""
        return "admin" in self.roles


ANYONE = Caller()


class IdempotencyClaim(NamedTuple):
    """A keyed request: its caller, RPC, idempotency key and digest.

    `scope` is the RPC's full name and the ids of its path, `digest` the request's SHA-256. `attempt_id` is the
    unfinished work that the key is bound to, if there is any.
    """

    caller: UUID
    scope: str
    key: str
    digest: bytes
    attempt_id: UUID | None = None


@dataclass
class Call:
    """Everything that a handler can read of its call beside the request, and add to it beside the response."""

    caller: Caller = ANYONE
    metadata: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    # On the clock of time.monotonic(); None for a call without a deadline.
    deadline: float | None = None
    # The fields of every log line of this call.
    log_fields: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    # The metadata before the first response of a stream.
    headers: dict[str, str] = field(default_factory=dict)
    # Whether standbys may answer: an anonymous read, whose answer is kept for seconds anyway.
    reads_standby: bool = False
    # Whether a COMMIT, or a write without a transaction, was sent: then another run might do it twice.
    may_have_written: bool = False
    # The identity of the client by its certificate; None on a connection in plain text.
    peer: str | None = None
    # For handlers marked with servicekit.idempotency.binds_idempotency_key; None without an idempotency key.
    idempotency_claim: IdempotencyClaim | None = None

    @cached_property
    def log(self) -> Any:
        """The log, whose lines have the call's fields. Few calls need one, so it is made when asked for."""
        return structlog.get_logger().bind(**self.log_fields)

    @property
    def user_id(self) -> UUID:
        """The caller's id, in an RPC that anonymous clients cannot call. Raises LookupError in any other."""
        if self.caller.id is None:
            raise LookupError("an RPC that anonymous clients can call must not ask for the user's id")
        return self.caller.id

    @property
    def if_match(self) -> str | None:
        """The `If-Match` header, as the client sent it."""
        return self.metadata.get("if-match")

    def set_etag(self, etag: str) -> None:
        """Set the `ETag` header of a successful response: a strong one, quotes included."""
        self.etag = etag


# The call that this thread, or this task, handles.
current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


def note_write() -> None:
    """Note that the current call, if there is one, may have written something from now on."""
    if (call := current_call.get()) is not None:
        call.may_have_written = True


# A call that has less time than this is refused before it begins: most likely it could not end in time.
MIN_CALL_SECONDS = 0.1
# Seconds reserved from a deadline for sending the response.
RESERVE_SECONDS = 0.1
# Seconds that a command may need to commit its first transaction.
COMMIT_SECONDS = 0.1


def require_time_to_begin(call: Call) -> None:
    """Refuse a call that has less than MIN_CALL_SECONDS left. Raises DeadlineExceeded.

    The pipelines do this right before the handler.
    """
    if _seconds_before_deadline(call) < MIN_CALL_SECONDS:
        raise DeadlineExceeded


def require_time() -> None:
    """Refuse the current call when it has no time left for a commit and an outgoing call. Raises DeadlineExceeded.

    A command that commits, makes an outgoing call and commits the outcome does this first. Then a call that has too
    little time commits nothing. Without it `remaining_seconds` would refuse the outgoing call only after the first
    commit, and the work would be left unfinished.
    """
    if _seconds_for_outgoing_calls() < COMMIT_SECONDS + MIN_CALL_SECONDS:
        raise DeadlineExceeded


def remaining_seconds(limit: float) -> float:
    """Return the timeout of an outgoing call: `limit`, or less when the current call's deadline comes earlier.

    Raises DeadlineExceeded when less than MIN_CALL_SECONDS would be left for it; the outgoing call was then not made.
    """
    seconds = _seconds_for_outgoing_calls()
    if seconds < MIN_CALL_SECONDS:
        raise DeadlineExceeded
    return min(limit, seconds)


def _seconds_for_outgoing_calls() -> float:
    call = current_call.get()
    return float("inf") if call is None else _seconds_before_deadline(call) - RESERVE_SECONDS


def _seconds_before_deadline(call: Call) -> float:
    return float("inf") if call.deadline is None else call.deadline - time.monotonic()
