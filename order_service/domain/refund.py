"""A refund: captured money on its way back to a buyer."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class RefundState(StrEnum):
    """The state of a refund, in the order in which the states can follow each other.

    REQUESTED is ours: the provider was asked, and its response is not known yet. In REQUIRES_ACTION the provider waits
    for the buyer. FAILED is final, and can follow SUCCEEDED: a bank can send the money back.
    """

    REQUESTED = "REQUESTED"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def rank(self) -> int:
        """The place in the order of states. A report of a lower one comes late."""
        return list(RefundState).index(self)

    @property
    def counts(self) -> bool:
        """Whether the provider has taken the refund on, so that the buyer has or will have the money."""
        return self in (RefundState.PENDING, RefundState.SUCCEEDED)

    @property
    def is_open(self) -> bool:
        """Whether the refund may still be made without counting yet, so that no other one is made in its place."""
        return self in (RefundState.REQUESTED, RefundState.REQUIRES_ACTION)


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund of an order, in major units. `provider_id` is empty until the provider has named it."""

    id: UUID
    order_id: UUID
    amount: Decimal
    state: RefundState
    provider_id: str = ""

    def after(self, state: RefundState, provider_id: str) -> "Refund":
        """Return the refund after a report. Late and repeated reports change nothing."""
        latest = max(self.state, state, key=lambda each: each.rank)
        return Refund(self.id, self.order_id, self.amount, latest, provider_id or self.provider_id)
