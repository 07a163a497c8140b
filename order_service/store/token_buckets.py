"""Token buckets, in PostgreSQL, so that a limit holds over all workers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from order_service.domain.limits import LimitKind, Limits, TokenBucket, take
from servicekit.database import Database, Row, Statement

# A lock of the transaction: a user with full buckets has no row that could be locked.
LOCK = Statement("SELECT pg_advisory_xact_lock(hashtextextended('token-buckets:' || $1::text, 0))")
# A row for each kind, also one without a bucket.
READ = Statement("""
    SELECT kinds.kind, tokens, at, app_now() AS now
    FROM unnest($2::text[]) AS kinds (kind) LEFT JOIN token_buckets ON user_id = $1 AND token_buckets.kind = kinds.kind
""")
STORE = Statement("""
    INSERT INTO token_buckets (user_id, kind, tokens, at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (user_id, kind) DO UPDATE SET tokens = excluded.tokens, at = excluded.at
""")


class TokenBuckets:
    """What users may still do at once. Without a row a bucket is full."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lock(self, user_id: UUID) -> None:
        """Keep others from the user's buckets until the transaction ends. It is sent with the next statement."""
        self._database.write(LOCK, user_id)

    def take(self, user_id: UUID, kinds: Sequence[LimitKind], limits: Limits) -> None:
        """Take a token of each kind, in a transaction that has locked the user's buckets. Raises RateLimited."""
        rows = self._database.fetch_all(READ, user_id, list(kinds))
        now = rows[0]["now"]
        buckets = {LimitKind(row["kind"]): _to_bucket(row, limits) for row in rows}
        for kind, bucket in take(buckets, limits, now).items():
            self._database.write(STORE, user_id, kind, bucket.tokens, bucket.at)


def _to_bucket(row: Row, limits: Limits) -> TokenBucket:
    if row["at"] is None:
        return TokenBucket(limits[LimitKind(row["kind"])].number, row["now"])
    return TokenBucket(row["tokens"], row["at"])
