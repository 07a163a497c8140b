"""What payment providers have reported by themselves, each report taken once."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from order_service.payments.gateway import ChargebackState
from servicekit.database import Database, Row, Statement

TAKE = Statement("""
    INSERT INTO provider_events (id, taken_at) VALUES ($1, app_now()) ON CONFLICT DO NOTHING RETURNING id
""")
FIND = Statement("SELECT id, order_id, amount, state FROM chargebacks WHERE id = $1 FOR UPDATE")
SET = Statement("""
    INSERT INTO chargebacks (id, order_id, amount, state, reported_at) VALUES ($1, $2, $3, $4, app_now())
    ON CONFLICT (id) DO UPDATE SET state = excluded.state
""")


@dataclass(frozen=True, slots=True)
class Chargeback:
    """What a buyer's bank took back, in major units, and where that stands. `id` is the provider's."""

    id: str
    order_id: UUID
    amount: Decimal
    state: ChargebackState


class Reports:
    """Reports and the chargebacks that they are about."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, event_id: str) -> bool:
        """In the transaction of what follows from it: whether this report is a new one."""
        return bool(self._database.fetch_all(TAKE, event_id))

    def chargeback(self, chargeback_id: str) -> Chargeback | None:
        """The chargeback with this name, if it is known; locked."""
        row = self._database.fetch_one(FIND, chargeback_id)
        return to_chargeback(row) if row else None

    def remember(self, chargeback: Chargeback) -> None:
        """Stores a chargeback, or where a known one stands now."""
        self._database.fetch_all(SET, chargeback.id, chargeback.order_id, chargeback.amount, chargeback.state)


def to_chargeback(row: Row) -> Chargeback:
    """A row of `chargebacks`, without when it was reported."""
    return Chargeback(**{**row, "state": ChargebackState(row["state"])})
