"""A chargeback: a buyer's bank takes a payment back. "Dispute" is a status of an order, never this."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class ChargebackState(StrEnum):
    """The state of a chargeback: the bank holds the money, has returned it to us, or keeps it."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"

    @property
    def is_final(self) -> bool:
        """Whether no other state follows."""
        return self is not ChargebackState.OPEN


@dataclass(frozen=True, slots=True)
class Chargeback:
    """An amount that a buyer's bank took back, in major units. `id` is the provider's id."""

    id: str
    order_id: UUID
    amount: Decimal
    state: ChargebackState
