"""A seller's balance and its entries, as they are shown."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from order_service.domain.ledger import Kind


@dataclass(frozen=True, slots=True)
class Balance:
    """A seller's money, in major units: in escrow less commission, available for a payout, and paid out."""

    in_escrow: Decimal
    available: Decimal
    paid_out: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """The `number`th movement of a seller's available balance. `at` is aware, `amount` in major units."""

    number: int
    at: datetime
    kind: Kind
    amount: Decimal
    order_id: UUID | None
    payout_id: UUID | None
