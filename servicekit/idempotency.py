"""Idempotency keys: a repeated call with the same key gets the response of the first one, for two days.

An idempotency key belongs to its caller, RPC and path. The pipeline looks it up before the handler runs. It runs most
handlers inside the transaction that stores the key, so that their writes and the key are committed together.

A handler that makes an outgoing call must not do so inside a transaction. It is marked with `binds_idempotency_key`,
and its command binds the key in a transaction of its own: `begin` binds the key to the work, `finish` stores the
response, `free` frees the key. Work that spans several transactions calls `begin` in the first one and `finish` in
the last one. A repeated call in between finds the key bound to the unfinished work, and goes on with it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from servicekit.call import Call, IdempotencyClaim
from servicekit.database import Database, Row, Statement, retry_conflicts
from servicekit.errors import InvalidArgument, MarketplaceError, Unavailable, Violation
from servicekit.methods import Method
from servicekit.periodic import PeriodicTask
from servicekit.validation import without_defaults

# Part of the services' migrations. It must always do the same, so it is never changed, only followed by another.
SCHEMA_1 = """
CREATE TABLE idempotency_keys (
    caller uuid NOT NULL,
    -- The RPC's full name, and the ids of its path.
    scope text NOT NULL,
    key text NOT NULL,
    -- The request's.
    digest bytea NOT NULL,
    -- The work that the key is bound to, for commands that make an outgoing call.
    attempt uuid UNIQUE,
    -- The response. Null while the work is unfinished.
    answer bytea,
    etag text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (caller, scope, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at) WHERE answer IS NOT NULL;
"""

HEADER = "idempotency-key"
MAX_LENGTH = 255

# Waits for another transaction that is binding the same key. A key that has expired is bound anew.
BIND = Statement("""
    INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at)
    VALUES ($1, $2, $3, $4, $5, app_now())
    ON CONFLICT (caller, scope, key) DO UPDATE
    SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at
    WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval
    RETURNING key
""")
FIND = Statement("""
    SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3
    AND (answer IS NULL OR created_at > app_now() - $4::interval)
""")
STORE = Statement("""
    UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3
""")
# With the work's id and the response between the brackets.
FINISHING = "UPDATE idempotency_keys SET answer = {} WHERE attempt = {} AND answer IS NULL"
FINISH = Statement(FINISHING.format("$2", "$1"))
# A stored response stays, even when two processes finish the same work and come to different outcomes.
FREE = Statement("DELETE FROM idempotency_keys WHERE attempt = $1 AND answer IS NULL")
IS_BOUND = Statement("SELECT key FROM idempotency_keys WHERE attempt = $1 AND answer IS NULL")
SWEEP = Statement("""
    DELETE FROM idempotency_keys WHERE (caller, scope, key) IN (
        SELECT caller, scope, key FROM idempotency_keys
        WHERE answer IS NOT NULL AND created_at <= app_now() - $1::interval
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING key
""")
SWEEP_BATCH = 500
SWEEP_PAUSE_SECONDS = 0.05
SWEEP_SECONDS = 30.0

H = TypeVar("H", bound=Callable[..., Message])
T = TypeVar("T")


def binds_idempotency_key(handler: H) -> H:
    """Mark a handler whose command binds `call.idempotency_claim` itself, because it makes an outgoing call."""
    handler.binds_idempotency_key = True  # type: ignore[attr-defined]
    return handler


def is_binding_handler(handler: Callable[..., Any]) -> bool:
    """Return whether the handler is marked with `binds_idempotency_key`."""
    return getattr(handler, "binds_idempotency_key", False)


class IdempotencyKeyTaken(Unavailable):
    """Another call has just bound the same idempotency key. The pipeline returns that call's response, if it is there.

    Otherwise the caller may repeat the call: the code is OUTCOME_UNKNOWN while the other call's work is unfinished,
    and UNAVAILABLE when the key is free again.
    """


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response of the first call with an idempotency key, and its ETag; `etag` is empty when it had none."""

    response: Message
    etag: str


class IdempotencyKeys:
    """The idempotency keys of one service. A finished one expires after `lifetime`, an unfinished one never."""

    def __init__(self, database: Database, lifetime: timedelta) -> None:
        self._database = database
        self._lifetime = lifetime

    def read_claim(self, method: Method, request: Message, call: Call) -> IdempotencyClaim | None:
        """Return the claim of a validated request; None without a key, or for an RPC that takes none.

        Raises InvalidArgument when the key is malformed.
        """
        key = call.metadata.get(HEADER)
        if key is None or not method.takes_idempotency_key:
            return None
        if not key.strip() or len(key) > MAX_LENGTH or not (key.isascii() and key.isprintable()):
            message = f"must be 1 to {MAX_LENGTH} printable ASCII characters"
            raise InvalidArgument([Violation("Idempotency-Key", message)])
        path = [str(getattr(request, field)).lower() for field in sorted(method.path_fields)]
        digest = hashlib.sha256(without_defaults(request).SerializeToString(deterministic=True)).digest()
        return IdempotencyClaim(call.user_id, "/".join([method.full_name, *path]), key, digest)

    def find(self, claim: IdempotencyClaim, response: type[Message]) -> StoredResponse | IdempotencyClaim:
        """Return the stored response of the key. Without one, return the claim, with its unfinished work if it has any.

        Raises MarketplaceError (IDEMPOTENCY_KEY_REUSED) when the key was first used with another request.
        """
        row = self._database.fetch_one(FIND, claim.caller, claim.scope, claim.key, self._lifetime)
        return claim if row is None else _to_response_or_claim(claim, row, response)

    @retry_conflicts
    def run_once(
        self, claim: IdempotencyClaim, call: Call, response: type[Message], work: Callable[[], Message]
    ) -> StoredResponse:
        """Run `work` in the transaction that stores the key, or return the response that is already stored.

        Concurrent calls with the same key wait for the first one. When `work` raises, the key stays free. After a
        conflict `work` is run again, so it makes no outgoing call.
        """
        with self._database.transaction("idempotency"):
            if self._bind(claim):
                stored = StoredResponse(work(), call.etag or "")
                serialized = stored.response.SerializeToString()
                self._database.write(STORE, claim.caller, claim.scope, claim.key, serialized, stored.etag)
                return stored
            found = self.find(claim, response)
        if isinstance(found, IdempotencyClaim):
            raise IdempotencyKeyTaken
        return found

    def begin(self, claim: IdempotencyClaim | None, attempt_id: UUID) -> None:
        """Bind the key, if the call has one, to the work that its transaction begins.

        Waits for a concurrent call that is binding the same key. Raises IdempotencyKeyTaken when that one was first.
        """
        if claim is not None and not self._database.fetch_all(BIND, *self.binding(claim, attempt_id)):
            raise IdempotencyKeyTaken

    def binding(self, claim: IdempotencyClaim, attempt_id: UUID) -> tuple[object, ...]:
        """Return the parameters of BIND, for a statement that also stores the work that the key is bound to."""
        return (*claim._replace(attempt_id=attempt_id), self._lifetime)

    def finish(self, attempt_id: UUID, response: Message) -> None:
        """Store the response for the key that the work is bound to, if there is one, with the work's outcome."""
        self._database.write(FINISH, attempt_id, response.SerializeToString())

    def free(self, attempt_id: UUID) -> None:
        """Free the key that refused work is bound to, if there is one: the call may be repeated."""
        self._database.write(FREE, attempt_id)

    def is_bound(self, attempt_id: UUID) -> bool:
        """Return whether a key is bound to this unfinished work."""
        return self._database.fetch_one(IS_BOUND, attempt_id) is not None

    def sweep(self) -> None:
        """Delete expired keys, in small batches that hold up no call."""
        while len(self._database.fetch_all(SWEEP, self._lifetime, SWEEP_BATCH)) == SWEEP_BATCH:
            time.sleep(SWEEP_PAUSE_SECONDS)

    def sweep_task(self) -> PeriodicTask:
        """Return the periodic task that sweeps; every worker runs it."""
        return PeriodicTask("idempotency keys", self.sweep, SWEEP_SECONDS, self._database)

    def _bind(self, claim: IdempotencyClaim) -> bool:
        return bool(self._database.fetch_all(BIND, *claim, self._lifetime))


class ResponseStore(Generic[T]):
    """Stores the response of finished work: made from the result of a command, for the key that began the work."""

    def __init__(self, idempotency_keys: IdempotencyKeys, to_response: Callable[[T], Message]) -> None:
        self._idempotency_keys = idempotency_keys
        self._to_response = to_response

    def store(self, attempt_id: UUID, result: T) -> None:
        """Store the response in the transaction of the result. A repeated call gets it, whatever happens later."""
        self._idempotency_keys.finish(attempt_id, self._to_response(result))

    def serialize(self, result: T) -> bytes:
        """Return the response, for a statement that stores it with the result."""
        return self._to_response(result).SerializeToString()


def _to_response_or_claim(
    claim: IdempotencyClaim, row: Row, response: type[Message]
) -> StoredResponse | IdempotencyClaim:
    if bytes(row["digest"]) != claim.digest:
        raise MarketplaceError("IDEMPOTENCY_KEY_REUSED")
    if row["answer"] is None:
        return claim._replace(attempt_id=row["attempt"])
    return StoredResponse(response.FromString(bytes(row["answer"])), row["etag"])
