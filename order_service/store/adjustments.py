"""Adjustments of sellers' balances, in PostgreSQL. An adjustment's message is that of its ledger transaction."""

from __future__ import annotations

from order_service.domain.balance import Adjustment
from servicekit.database import Database, Statement

ADD = Statement("INSERT INTO adjustments (id, seller_id, admin_id, amount, at) VALUES ($1, $2, $3, $4, $5)")


class Adjustments:
    """Adjustments by admins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, adjustment: Adjustment) -> None:
        """Store an adjustment, in the transaction of its posting and before it."""
        values = (adjustment.id, adjustment.seller_id, adjustment.admin_id, adjustment.amount, adjustment.at)
        self._database.write(ADD, *values)
