"""A chargeback: a buyer's bank takes a payment back. "Dispute" is a status of an order, never this."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class ChargebackState(StrEnum):
    """The state of a chargeback, in the order in which the states can follow each other.

    The bank holds the money until the chargeback is WON. A LOST one can still be reinstated, and then it is WON.
    """

    NEEDS_RESPONSE = "NEEDS_RESPONSE"
    UNDER_REVIEW = "UNDER_REVIEW"
    LOST = "LOST"
    WON = "WON"

    @property
    def rank(self) -> int:
        """The place in the order of states. A report of a lower one comes late."""
        return list(ChargebackState).index(self)

    @property
    def is_open(self) -> bool:
        """Whether the bank has not decided yet."""
        return self in (ChargebackState.NEEDS_RESPONSE, ChargebackState.UNDER_REVIEW)

    @property
    def holds_money(self) -> bool:
        """Whether the bank has the money."""
        return self is not ChargebackState.WON


@dataclass(frozen=True, slots=True)
class Chargeback:
    """An amount that a buyer's bank took back, in major units. `id` is the provider's id.

    `evidence_due_by` (aware) is the time until which the provider takes evidence; None where it named none.
    `reported_at` (aware) is the time of the first report.
    """

    id: str
    order_id: UUID
    amount: Decimal
    state: ChargebackState
    evidence_due_by: datetime | None
    reported_at: datetime

    def after(self, amount: Decimal, state: ChargebackState, evidence_due_by: datetime | None) -> "Chargeback":
        """Return the chargeback after a report. Late and repeated reports change nothing.

        Of reports of the same state the larger amount and the later time count, so that their order does not matter.
        """
        if state.rank < self.state.rank:
            return self
        if state.rank == self.state.rank:
            amount = max(amount, self.amount)
            evidence_due_by = max(filter(None, (evidence_due_by, self.evidence_due_by)), default=None)
        return Chargeback(self.id, self.order_id, amount, state, evidence_due_by, self.reported_at)


def shown(chargebacks: Iterable[Chargeback]) -> Chargeback | None:
    """Return the chargeback that an order shows: the newest that is open, else the newest."""
    return max(chargebacks, key=lambda each: (each.state.is_open, each.reported_at, each.id), default=None)
