"""An index of the deliveries that are not over, by endpoint: an endpoint with too many of them is DISABLED."""

from typing import Any

from servicekit.migrations import build_index

atomic = False


def up(_migrator: Any, db: Any) -> None:
    """Apply the migration; servicekit.migrations calls this without a transaction."""
    build_index(db, "webhook_deliveries_waiting", "webhook_deliveries (endpoint_id) WHERE status = 'PENDING'")
