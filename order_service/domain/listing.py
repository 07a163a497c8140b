"""Lists of orders: whose orders a list shows, the filters, and the order of the results."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from order_service.domain.order import Status
from servicekit.call import Caller
from servicekit.errors import Forbidden, InvalidArgument, Violation

# https://www.rfc-editor.org/rfc/rfc3339#section-5.6, without leap seconds.
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
ADMINS_ONLY = "is for admins, with role=admin"


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """The conditions on the orders of a list; None, or False, is no condition.

    `participant_id` is the buyer or the seller; it stands without `buyer_id`, `seller_id` and `gig_id`. An order was
    placed at `placed_after` (aware) or later, and before `placed_before`. `had_chargeback` asks for orders that have
    ever had a chargeback.
    """

    participant_id: UUID | None = None
    buyer_id: UUID | None = None
    seller_id: UUID | None = None
    gig_id: UUID | None = None
    status: Status | None = None
    placed_after: datetime | None = None
    placed_before: datetime | None = None
    had_chargeback: bool = False


@dataclass(frozen=True, slots=True)
class AdminFilters:
    """The filters that only an admin may use, as the client wrote them; empty ones were not given."""

    buyer_id: str = ""
    seller_id: str = ""
    gig_id: str = ""
    placed_after: str = ""
    placed_before: str = ""
    had_chargeback: bool = False

    @property
    def given(self) -> list[str]:
        """The names of the filters that were given, as clients write them."""
        filters = {
            "buyerId": self.buyer_id,
            "sellerId": self.seller_id,
            "gigId": self.gig_id,
            "placedAfter": self.placed_after,
            "placedBefore": self.placed_before,
            "chargeback": self.had_chargeback,
        }
        return [name for name, value in filters.items() if value]


def order_filter(role: str, status: Status | None, filters: AdminFilters, caller: Caller) -> OrderFilter:
    """Return the conditions of a list of orders for the caller, who has signed in. `role` is a role of the contract.

    Raises Forbidden when a caller who is no admin lists all orders, InvalidArgument for an admin's filter without
    `role=admin`, for a time that is malformed, and for an empty range of times.
    """
    if role == "admin":
        if not caller.is_admin:
            raise Forbidden("You don't have permission to list all orders")
        return replace(_admins_filter(filters), status=status)
    if filters.given:
        raise InvalidArgument([Violation(name, ADMINS_ONLY) for name in filters.given])
    match role:
        case "buyer":
            return OrderFilter(buyer_id=caller.id, status=status)
        case "seller":
            return OrderFilter(seller_id=caller.id, status=status)
        case _:
            return OrderFilter(participant_id=caller.id, status=status)


def _admins_filter(filters: AdminFilters) -> OrderFilter:
    times, violations = {}, []
    for name, text in (("placedAfter", filters.placed_after), ("placedBefore", filters.placed_before)):
        times[name] = _time(text)
        if text and times[name] is None:
            violations.append(Violation(name, "must be an RFC 3339 time, such as 2023-08-20T10:00:00Z"))
    after, before = times["placedAfter"], times["placedBefore"]
    if after and before and after >= before:
        violations.append(Violation("placedBefore", "must be later than placedAfter"))
    if violations:
        raise InvalidArgument(violations)
    return OrderFilter(
        buyer_id=_id(filters.buyer_id),
        seller_id=_id(filters.seller_id),
        gig_id=_id(filters.gig_id),
        placed_after=after,
        placed_before=before,
        had_chargeback=filters.had_chargeback,
    )


def _time(text: str) -> datetime | None:
    """Return the time (aware) that the text names; None when it is no RFC 3339 time."""
    if not RFC_3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def _id(text: str) -> UUID | None:
    return UUID(text) if text else None
