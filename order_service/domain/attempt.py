"""An attempt: a call to the payment provider that was begun, its states, and how long it may stay open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from order_service.domain.placing import Draft
from servicekit.errors import Conflict

# Placings of a buyer that wait for the confirmation of their cards. Payment recovery asks the provider about each.
MAX_WAITING = 20


class Kind(StrEnum):
    """The call to the payment provider."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"


class State(StrEnum):
    """Where an attempt stands. A capture is always ASKING.

    ASKING: the provider's response is not known. CONFIRMING: the card waits for the buyer's confirmation. REFUSED: the
    confirmation was refused, and the buyer has not asked since. GIVING_UP: there will be no order, and the payment is
    being voided.
    """

    ASKING = "asking"
    CONFIRMING = "confirming"
    REFUSED = "refused"
    GIVING_UP = "giving_up"


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """How long a placing stays open: without the provider's response, and without the buyer's confirmation."""

    response: timedelta
    confirmation: timedelta


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that was begun for an order. `tries` is how often payment recovery failed to finish it.

    `draft` is set while there is no order: for AUTHORIZE, and for the CAPTURE that places an order of an offer, which
    also has `capture_before`, the end of the authorization. `message` is the seller's, for the CAPTURE of an order that
    they accept. `reference` is the provider's id of the payment, and empty until it is known; `confirm_before` is the
    end of the time for the buyer's confirmation.
    """

    order_id: UUID
    kind: Kind
    created_at: datetime
    tries: int
    state: State = State.ASKING
    reference: str = ""
    confirm_before: datetime | None = None
    draft: Draft | None = None
    message: str = ""
    capture_before: datetime | None = None

    @property
    def offer_id(self) -> UUID | None:
        """The offer that is ordered; None for a package, and for an order that is there already."""
        return self.draft.terms.offer_id if self.draft else None

    def is_over(self, now: datetime, limits: AttemptLimits) -> bool:
        """Return whether the attempt is to be given up: there will be no order. A capture never is."""
        if self.kind is Kind.CAPTURE:
            return False
        match self.state:
            case State.ASKING:
                return now >= self.created_at + limits.response
            case State.GIVING_UP:
                return True
            case _:
                return now >= self.confirmation_end(limits)

    def is_capture_over(self, now: datetime, limits: AttemptLimits) -> bool:
        """Return whether the capture of an offer's payment is to be given up: it is voided, unless it was made."""
        return now >= (self.confirm_before or self.created_at) + limits.response

    def confirmation_end(self, limits: AttemptLimits) -> datetime:
        """Return the end of the time for the buyer's confirmation, which counts from the first request."""
        return self.confirm_before or self.created_at + limits.confirmation


def check_waiting(count: int) -> None:
    """Refuse another placing of a buyer of whom so many wait for a confirmation. Raises Conflict (LIMIT_REACHED)."""
    if count >= MAX_WAITING:
        raise Conflict(f"{MAX_WAITING} of your orders wait for the confirmation of their card", code="LIMIT_REACHED")
