"""Orders that could not be moved by time. Each is put off for longer after each try, so that it holds up no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from order_service.domain.order import Order
from servicekit.database import Database, Statement

FIRST_DELAY = timedelta(seconds=10)
MAX_DELAY = timedelta(hours=1)

PUT_OFF = Statement("""
    INSERT INTO put_off_orders AS known (order_id, version, tries, error, failed_at, next_try_at)
    SELECT $1, $2, 1, $3, now, now + $4::interval FROM app_now() AS now
    ON CONFLICT (order_id) DO UPDATE SET
        version = excluded.version,
        tries = CASE WHEN known.version = excluded.version THEN known.tries + 1 ELSE 1 END,
        error = excluded.error,
        failed_at = excluded.failed_at,
        next_try_at = CASE WHEN known.version = excluded.version
            THEN excluded.failed_at + least($5::interval, $4::interval * power(2, least(known.tries, 20)))
            ELSE excluded.next_try_at
        END
""")
OPEN = Statement("""
    SELECT put_off.order_id, put_off.tries, put_off.error FROM put_off_orders AS put_off
    JOIN orders ON orders.id = put_off.order_id AND orders.version = put_off.version ORDER BY put_off.order_id
""")
# Rows that another worker is deleting are left to it.
SWEEP = Statement("""
    DELETE FROM put_off_orders WHERE order_id IN (
        SELECT put_off.order_id FROM put_off_orders AS put_off
        JOIN orders ON orders.id = put_off.order_id AND orders.version <> put_off.version
        FOR UPDATE OF put_off SKIP LOCKED
    )
""")
COUNT = Statement("SELECT count(*) AS number FROM put_off_orders")
# For statements about orders: the order is put off at this moment.
IS_PUT_OFF = """EXISTS (
    SELECT FROM put_off_orders AS put_off
    WHERE put_off.order_id = orders.id AND put_off.version = orders.version AND put_off.next_try_at > app_now()
)"""


@dataclass(frozen=True, slots=True)
class PutOffOrder:
    """An order that is put off: the number of tries so far, and the error of the last one."""

    order_id: UUID
    tries: int
    error: str


class PutOffOrders:
    """The orders that are put off."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put_off(self, order: Order, error: str) -> None:
        """Put the order off: for FIRST_DELAY after the first try, then for twice as long each time, up to MAX_DELAY."""
        self._database.fetch_all(PUT_OFF, order.id, order.version, error, FIRST_DELAY, MAX_DELAY)

    def open(self) -> Iterator[PutOffOrder]:
        """Yield the orders that are put off and that nobody has moved since."""
        for row in self._database.fetch_all(OPEN):
            yield PutOffOrder(**row)

    def sweep(self) -> int:
        """Forget the orders that somebody has moved since. Return the number of the others."""
        self._database.fetch_all(SWEEP)
        return int(self._database.fetch_all(COUNT)[0]["number"])
