"""The events of the feed, in PostgreSQL."""

from __future__ import annotations

from datetime import datetime

from psycopg2.extras import Json
from pydantic import TypeAdapter

from order_service.domain.feed import TYPES, EventType
from order_service.domain.order import Change, Order
from order_service.domain.payout import Payout
from servicekit.database import Database, Statement
from servicekit.ids import new_id

# The names of their fields are in the database: a new field needs a default, and none may be renamed.
ORDER = TypeAdapter(Order)
PAYOUT = TypeAdapter(Payout)

ADD_OF_ORDER = Statement("""
    INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)
""")
ADD_OF_PAYOUT = Statement("""
    INSERT INTO events (id, at, type, payout_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6::jsonb)
""")


class Feed:
    """The events of the feed. They are written in the transaction of the change that they tell of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_of_order(self, change: Change) -> None:
        """Store the event of a change of an order that is in its history."""
        event, order = change.event, change.order
        assert event is not None
        subject = Json(ORDER.dump_python(order, mode="json"))
        people = (order.buyer_id, order.seller_id)
        self._database.fetch_all(
            ADD_OF_ORDER, new_id(), event.at, TYPES[event.action], order.id, order.version, *people, subject
        )

    def add_of_payout(self, event_type: EventType, payout: Payout, at: datetime) -> None:
        """Store the event of a payout: the payout as it is after the change."""
        subject = Json(PAYOUT.dump_python(payout, mode="json"))
        self._database.fetch_all(ADD_OF_PAYOUT, new_id(), at, event_type, payout.id, payout.seller_id, subject)
