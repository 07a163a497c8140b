"""Calls that may be repeated: what a key was first answered with is what it is answered with for two days.

A key belongs to its caller and path. The pipeline looks it up before the handler runs. A handler whose work is one
transaction runs inside of the one that stores the key, so both are there or neither. One that asks somebody outside in
the middle (`@attempts`) binds the key itself, to an attempt that is committed before it asks; whoever finishes that
stores the answer with the outcome, and a repeat in between goes on with the attempt.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from servicekit.call import Call, IdempotencyClaim
from servicekit.database import Database, Row, Statement
from servicekit.errors import InvalidArgument, MarketplaceError, Unavailable, Violation
from servicekit.methods import Method
from servicekit.periodic import PeriodicTask

# For a service's migration, which must always do the same: never changed, only followed by another.
SCHEMA_1 = """
CREATE TABLE idempotency_keys (
    caller uuid NOT NULL,
    -- The RPC and what stands in its path.
    scope text NOT NULL,
    key text NOT NULL,
    -- Of the request.
    digest bytea NOT NULL,
    -- The work that the key began, where somebody outside is asked in the middle of it.
    attempt uuid UNIQUE,
    -- Null while the work is not finished.
    answer bytea,
    etag text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (caller, scope, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at) WHERE answer IS NOT NULL;
"""

HEADER = "idempotency-key"
LONGEST = 255

# Waits for whoever is just binding the same key. What is too old to count makes room.
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
ANSWER = Statement("""
    UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3
""")
FINISH = Statement("UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1")
ABANDON = Statement("DELETE FROM idempotency_keys WHERE attempt = $1")
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


def attempts(handler: H) -> H:
    """Marks a handler that asks somebody outside in the middle of its work, and binds `call.claim` itself."""
    handler.binds_its_key = True  # type: ignore[attr-defined]
    return handler


def binds_its_key(handler: Callable[..., Any]) -> bool:
    """Whether the handler is marked with `attempts`."""
    return getattr(handler, "binds_its_key", False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the first call with a key was answered: the response, and its ETag or nothing."""

    response: Message
    etag: str


class IdempotencyKeys:
    """The keys of one service. Answered ones count for `lifetime`; unfinished ones until they are finished."""

    def __init__(self, database: Database, lifetime: timedelta) -> None:
        self._database = database
        self._lifetime = lifetime

    def claim(self, method: Method, request: Message, call: Call) -> IdempotencyClaim | None:
        """What a checked request claims; None without a key, or where none is taken. Raises InvalidArgument."""
        key = call.metadata.get(HEADER)
        if key is None or not method.takes_key:
            return None
        if not 0 < len(key) <= LONGEST or not (key.isascii() and key.isprintable()):
            raise InvalidArgument([Violation("Idempotency-Key", f"must be 1 to {LONGEST} printable ASCII characters")])
        path = [str(getattr(request, field)).lower() for field in sorted(method.path_fields)]
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        return IdempotencyClaim(call.user_id, "/".join([method.full_name, *path]), key, digest)

    def answered(self, claim: IdempotencyClaim, response: type[Message]) -> Answer | IdempotencyClaim:
        """The answer that the key has; or the claim, with the attempt that it is bound to.

        Raises MarketplaceError (IDEMPOTENCY_KEY_REUSED) when it came with another body before.
        """
        row = self._database.fetch_one(FIND, claim.caller, claim.scope, claim.key, self._lifetime)
        return claim if row is None else _told(claim, row, response)

    def once(self, claim: IdempotencyClaim, call: Call, response: type[Message], work: Callable[[], Message]) -> Answer:
        """What `work` answers, with all that it writes and the key in one transaction; or the answer that there is.

        Of several at once the others wait for the first. What `work` raises binds nothing.
        """
        with self._database.transaction("idempotency"):
            if self._bind(claim):
                answer = Answer(work(), call.etag or "")
                serialized = answer.response.SerializeToString()
                self._database.fetch_all(ANSWER, claim.caller, claim.scope, claim.key, serialized, answer.etag)
                return answer
            found = self.answered(claim, response)
        if isinstance(found, IdempotencyClaim):
            raise Unavailable
        return found

    def begin(self, claim: IdempotencyClaim, attempt: UUID) -> None:
        """Binds the key to work that is about to begin, in the transaction that commits to it.

        Raises Unavailable when somebody else has bound it this moment.
        """
        if not self._bind(claim._replace(attempt=attempt)):
            raise Unavailable

    def finish(self, attempt: UUID, response: Message) -> None:
        """Stores the answer of finished work for the key that began it, if one did, in the outcome's transaction."""
        self._database.fetch_all(FINISH, attempt, response.SerializeToString())

    def abandon(self, attempt: UUID) -> None:
        """Frees the key whose work was refused, if one began it: it may be tried again."""
        self._database.fetch_all(ABANDON, attempt)

    def sweep(self) -> None:
        """Removes the keys that count no more, a few at a time, so that nobody waits for it."""
        while len(self._database.fetch_all(SWEEP, self._lifetime, SWEEP_BATCH)) == SWEEP_BATCH:
            time.sleep(SWEEP_PAUSE_SECONDS)

    def sweeper(self) -> PeriodicTask:
        """Work beside the calls, for every worker."""
        return PeriodicTask("idempotency keys", self.sweep, SWEEP_SECONDS, self._database)

    def _bind(self, claim: IdempotencyClaim) -> bool:
        return bool(self._database.fetch_all(BIND, *claim, self._lifetime))


def _told(claim: IdempotencyClaim, row: Row, response: type[Message]) -> Answer | IdempotencyClaim:
    if bytes(row["digest"]) != claim.digest:
        raise MarketplaceError("IDEMPOTENCY_KEY_REUSED")
    if row["answer"] is None:
        return claim._replace(attempt=row["attempt"])
    return Answer(response.FromString(bytes(row["answer"])), row["etag"])
