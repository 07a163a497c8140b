"""Deliveries of events to webhook endpoints, in PostgreSQL."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from order_service.domain.feed import EventType
from order_service.domain.webhook import Delivery, DeliveryStatus
from servicekit.database import Database, Row, Statement
from servicekit.outbox import Outbox

# The outbox topic of deliveries; its key is the delivery's id, its version the round, its payload empty.
WEBHOOK = "webhook"

COLUMNS = ", ".join(field.name for field in fields(Delivery))
# Stores a delivery of an event for each endpoint that gets it, with its outbox row; see migration 0016. The event's id
# and type, the buyer and the seller stand between the brackets.
DELIVERIES = "SELECT add_webhook_deliveries({})"
ADD = Statement(DELIVERIES.format("$1, $2, $3, $4"))
ONE = Statement(f"SELECT {COLUMNS} FROM webhook_deliveries WHERE id = $1")
LOCKED = Statement(f"SELECT {COLUMNS} FROM webhook_deliveries WHERE id = $1 FOR UPDATE")
# The limit is hidden from the planner, for the reason that store/order_lists.py gives.
PAGE = Statement(f"""
    SELECT {COLUMNS} FROM webhook_deliveries
    WHERE endpoint_id = $1 AND (created_at, id) < ($2::timestamptz, $3::uuid)
    ORDER BY created_at DESC, id DESC LIMIT (SELECT $4::integer)
""")
BEGIN = Statement(f"""
    UPDATE webhook_deliveries SET attempts = attempts + 1, round_attempts = round_attempts + 1,
        tried_since = coalesce(tried_since, app_now())
    WHERE id = $1 RETURNING {COLUMNS}
""")
OUTCOME = Statement("""
    UPDATE webhook_deliveries SET status = $2, last_status = $3, is_retry = false,
        next_at = CASE WHEN $2 = 'PENDING' THEN app_now() + $4::interval END
    WHERE id = $1
""")
SET_LAST_STATUS = Statement("UPDATE webhook_deliveries SET last_status = $2 WHERE id = $1")
RETRY = Statement(f"""
    UPDATE webhook_deliveries SET status = 'PENDING', round = round + 1, is_retry = true, round_attempts = 0,
        tried_since = NULL, next_at = app_now()
    WHERE id = $1 RETURNING {COLUMNS}
""")
SWEEP = Statement("""
    DELETE FROM webhook_deliveries WHERE id IN (
        SELECT id FROM webhook_deliveries WHERE created_at <= app_now() - $1::interval
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING id
""")
SWEEP_DELETED = Statement("""
    DELETE FROM webhook_deliveries WHERE id IN (
        SELECT delivery.id FROM webhook_endpoints AS endpoint JOIN webhook_deliveries AS delivery
            ON delivery.endpoint_id = endpoint.id
        WHERE endpoint.deleted_at IS NOT NULL LIMIT $1 FOR UPDATE OF delivery SKIP LOCKED
    ) RETURNING id
""")


class DeliveryKey(NamedTuple):
    """The end of a page: the time (aware) and the id of its last delivery."""

    created_at: datetime
    id: UUID


# Newer than every delivery.
START = DeliveryKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class WebhookDeliveries:
    """The deliveries of events. A PENDING one has a row in the outbox."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def add(self, event_id: UUID, event_type: EventType, buyer_id: UUID | None, seller_id: UUID) -> None:
        """Store a delivery of an event for each endpoint that gets it, in the transaction of the event."""
        self._database.write(ADD, event_id, event_type, buyer_id, seller_id)

    def get(self, delivery_id: UUID) -> Delivery | None:
        """Return the delivery, if there is one."""
        row = self._database.fetch_one(ONE, delivery_id)
        return to_delivery(row) if row else None

    def lock(self, delivery_id: UUID) -> Delivery | None:
        """Return the delivery, locked until the end of the transaction."""
        row = self._database.fetch_one(LOCKED, delivery_id)
        return to_delivery(row) if row else None

    def page(self, endpoint_id: UUID, *, after: DeliveryKey, limit: int) -> list[Delivery]:
        """Return the newest `limit` deliveries of an endpoint that are older than `after`."""
        return [to_delivery(row) for row in self._database.fetch_all(PAGE, endpoint_id, *after, limit)]

    def begin(self, delivery_id: UUID) -> Delivery:
        """Count an attempt that is going to be made. The transaction has locked the delivery."""
        [row] = self._database.fetch_all(BEGIN, delivery_id)
        return to_delivery(row)

    def save_outcome(
        self, delivery: Delivery, last_status: int | None, delay: timedelta | None, status: DeliveryStatus
    ) -> None:
        """Store the outcome of an attempt, or the end without one, of a delivery that the transaction has locked.

        `delay` is the time to the next attempt; None when there is none.
        """
        self._database.fetch_all(OUTCOME, delivery.id, status, last_status, delay)

    def set_last_status(self, delivery: Delivery, last_status: int | None) -> None:
        """Store the response to an attempt of an earlier round."""
        self._database.fetch_all(SET_LAST_STATUS, delivery.id, last_status)

    def retry(self, delivery: Delivery) -> Delivery:
        """Let a delivery that the transaction has locked be sent at once, in a new round."""
        [row] = self._database.fetch_all(RETRY, delivery.id)
        retried = to_delivery(row)
        self._outbox.replace(WEBHOOK, str(retried.id), retried.round, {})
        return retried

    def sweep(self, lifetime: timedelta, limit: int) -> int:
        """Delete deliveries that are older than `lifetime`, `limit` at most. Return their number."""
        return len(self._database.fetch_all(SWEEP, lifetime, limit))

    def sweep_deleted(self, limit: int) -> int:
        """Delete deliveries to deleted endpoints, `limit` at most. Return their number."""
        return len(self._database.fetch_all(SWEEP_DELETED, limit))


def to_delivery(row: Row) -> Delivery:
    """Return the delivery of a row of COLUMNS."""
    return Delivery(**{**row, "status": DeliveryStatus(row["status"])})
