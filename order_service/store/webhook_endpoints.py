"""Webhook endpoints, in PostgreSQL."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from order_service.domain.webhook import Endpoint, EndpointStatus
from servicekit.database import Database, Row, Statement

# By name, not `*`: a prepared statement must not notice a column that a newer version adds.
COLUMNS = "id, owner_id, is_admin, url, types, status, secret, created_at"
# A lock of the transaction: a user without an endpoint has no row that could be locked.
LOCK_OWNER = Statement("SELECT pg_advisory_xact_lock(hashtextextended('webhook-endpoints:' || $1::text, 0))")
COUNT = Statement("SELECT count(*) AS count FROM webhook_endpoints WHERE owner_id = $1 AND deleted_at IS NULL")
ADD = Statement(f"""
    INSERT INTO webhook_endpoints (id, owner_id, is_admin, url, types, status, secret, secret_key, created_at)
    VALUES ($1, $2, $3, $4, $5::text[], 'ENABLED', $6, $7, app_now()) RETURNING {COLUMNS}
""")
ONE = Statement(f"SELECT {COLUMNS} FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NULL")
OWN = Statement(f"""
    SELECT {COLUMNS} FROM webhook_endpoints WHERE owner_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC
""")
SET_STATUS = Statement("UPDATE webhook_endpoints SET status = $2 WHERE id = $1 AND status <> $2 RETURNING id")
# Reads $1 entries of an index for each endpoint at most. Endpoints of admins get all events, so a short outage of their
# receivers makes as many.
DISABLE_OVERFULL = Statement("""
    UPDATE webhook_endpoints AS endpoint SET status = 'DISABLED'
    WHERE status = 'ENABLED' AND deleted_at IS NULL AND NOT is_admin AND EXISTS (
        SELECT FROM webhook_deliveries AS delivery
        WHERE delivery.endpoint_id = endpoint.id AND delivery.status = 'PENDING' OFFSET $1 LIMIT 1
    ) RETURNING id
""")
# The URL may contain a secret too.
DELETE = Statement("""
    UPDATE webhook_endpoints SET deleted_at = app_now(), url = '', secret = '', status = 'DISABLED'
    WHERE id = $1 AND deleted_at IS NULL RETURNING id
""")
OTHER_KEYS = Statement("""
    SELECT id, secret FROM webhook_endpoints WHERE secret_key <> $1 AND deleted_at IS NULL AND id > $2
    ORDER BY id LIMIT $3
""")
SET_SECRET = Statement("""
    UPDATE webhook_endpoints SET secret = $3, secret_key = $4 WHERE id = $1 AND secret = $2 RETURNING id
""")
# A transaction that read the endpoint before it was deleted may still add deliveries.
SWEEP = Statement("""
    DELETE FROM webhook_endpoints AS endpoint
    WHERE deleted_at <= app_now() - interval '5 minutes'
        AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE endpoint_id = endpoint.id)
""")


class StoredSecret(NamedTuple):
    """The encrypted secret of an endpoint."""

    id: UUID
    secret: str


class WebhookEndpoints:
    """The endpoints of users. A deleted one is gone for every method but the sweep."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lock_owner(self, owner_id: UUID) -> int:
        """Return the number of a user's endpoints. It does not grow until the transaction ends."""
        self._database.fetch_all(LOCK_OWNER, owner_id)
        return int(self._database.fetch_all(COUNT, owner_id)[0]["count"])

    def add(
        self,
        endpoint_id: UUID,
        owner_id: UUID,
        *,
        is_admin: bool,
        url: str,
        types: tuple[str, ...],
        secret: str,
        secret_key: str,
    ) -> Endpoint:
        """Store a new endpoint. `secret` is encrypted with the key that has the digest `secret_key`."""
        [row] = self._database.fetch_all(ADD, endpoint_id, owner_id, is_admin, url, list(types), secret, secret_key)
        return to_endpoint(row)

    def get(self, endpoint_id: UUID) -> Endpoint | None:
        """Return the endpoint, if there is one."""
        row = self._database.fetch_one(ONE, endpoint_id)
        return to_endpoint(row) if row else None

    def of_owner(self, owner_id: UUID) -> list[Endpoint]:
        """Return the user's endpoints, newest first."""
        return [to_endpoint(row) for row in self._database.fetch_all(OWN, owner_id)]

    def set_status(self, endpoint_id: UUID, status: EndpointStatus) -> bool:
        """Store the status. Return whether it was another one."""
        return bool(self._database.fetch_all(SET_STATUS, endpoint_id, status))

    def disable_overfull(self, limit: int) -> list[UUID]:
        """Disable the endpoints with more than `limit` PENDING deliveries, but those of admins; return their ids."""
        return [row["id"] for row in self._database.fetch_all(DISABLE_OVERFULL, limit)]

    def delete(self, endpoint_id: UUID) -> bool:
        """Delete the endpoint; its deliveries cannot be read any more. Return whether there was one."""
        return bool(self._database.fetch_all(DELETE, endpoint_id))

    def with_other_keys(self, secret_key: str, after: UUID, limit: int) -> list[StoredSecret]:
        """Return the first secrets after this endpoint's that are encrypted with another key than this one."""
        return [StoredSecret(**row) for row in self._database.fetch_all(OTHER_KEYS, secret_key, after, limit)]

    def replace_secret(self, stored: StoredSecret, secret: str, secret_key: str) -> bool:
        """Store a secret that was encrypted anew, unless it has changed. Return whether it was stored."""
        return bool(self._database.fetch_all(SET_SECRET, stored.id, stored.secret, secret, secret_key))

    def sweep(self) -> None:
        """Remove the rows of deleted endpoints whose deliveries are swept."""
        self._database.fetch_all(SWEEP)


def to_endpoint(row: Row) -> Endpoint:
    """Return the endpoint of a row of COLUMNS."""
    return Endpoint(**{**row, "types": tuple(row["types"]), "status": EndpointStatus(row["status"])})
