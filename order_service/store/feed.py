"""The events of the feed, in PostgreSQL, and the start of their deliveries to webhook endpoints."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter

from order_service.domain.feed import EventType, FeedEvent
from order_service.domain.order import Order
from order_service.domain.payout import Payout
from order_service.store.webhook_deliveries import WebhookDeliveries
from servicekit.database import Database, Statement
from servicekit.ids import new_id

# The names of their fields are in the database: a new field needs a default, and none may be renamed.
ORDER = TypeAdapter(Order)
PAYOUT = TypeAdapter(Payout)

ADD_OF_PAYOUT = Statement("""
    INSERT INTO events (id, at, type, payout_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6::jsonb)
""")
ONE = Statement("SELECT id, at, type, order_id IS NOT NULL AS is_of_order, subject FROM events WHERE id = $1")


class Feed:
    """The events of the feed, written in the transaction of the change that they tell of: an order's by `Orders`."""

    def __init__(self, database: Database, deliveries: WebhookDeliveries) -> None:
        self._database = database
        self._deliveries = deliveries

    def add_of_payout(self, event_type: EventType, payout: Payout, at: datetime) -> None:
        """Store the event of a payout: the payout as it is after the change."""
        subject = PAYOUT.dump_json(payout).decode()
        event_id = new_id()
        self._database.write(ADD_OF_PAYOUT, event_id, at, event_type, payout.id, payout.seller_id, subject)
        self._deliveries.add(event_id, event_type, None, payout.seller_id)

    def get(self, event_id: UUID) -> FeedEvent | None:
        """Return the event, if there is one."""
        row = self._database.fetch_one(ONE, event_id)
        if row is None:
            return None
        kind: TypeAdapter[Order] | TypeAdapter[Payout] = ORDER if row["is_of_order"] else PAYOUT
        return FeedEvent(row["id"], row["at"], EventType(row["type"]), kind.validate_python(row["subject"]))
