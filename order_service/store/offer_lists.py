"""Lists of offers in PostgreSQL: one statement for each combination of filters, so that each plan fits its filters.

Every list is a merge of branches, as in order_lists.py: a branch has one stored status, and is a range of one index in
the order of the list. Offers whose time is over are listed as EXPIRED, also before the periodic task has stored that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from order_service.domain.offer import Offer, OfferStatus
from order_service.domain.offer_listing import OfferFilter
from order_service.store.offers import COLUMNS, to_reading
from servicekit.database import Database, Statement

AFTER_TIME, AFTER_ID = "$2::timestamptz", "$3::uuid"
# Hidden from the planner, for the reason that order_lists.py gives.
LIMIT = "(SELECT $1::integer)"
FIRST_FILTER = 4
# The first of these that is given leads to an index; the others are conditions that no index serves.
LEADING = ("conversation_id", "participant_id", "buyer_id", "gig_id", "seller_id")
IN_TIME = "expires_at > (SELECT app_now())"
OVER = "expires_at <= (SELECT app_now())"
# The stored status of each status, and a condition.
STORED = {
    None: tuple((status, "") for status in OfferStatus),
    OfferStatus.OPEN: ((OfferStatus.OPEN, IN_TIME),),
    OfferStatus.EXPIRED: ((OfferStatus.EXPIRED, ""), (OfferStatus.OPEN, OVER)),
    OfferStatus.ACCEPTED: ((OfferStatus.ACCEPTED, ""),),
    OfferStatus.DECLINED: ((OfferStatus.DECLINED, ""),),
    OfferStatus.WITHDRAWN: ((OfferStatus.WITHDRAWN, ""),),
}


class OfferKey(NamedTuple):
    """The end of a page: the time (aware) and the id of its last offer."""

    created_at: datetime
    id: UUID


# Newer than every offer.
START = OfferKey(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class OfferLists:
    """Pages of offers, the newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, conditions: OfferFilter, *, after: OfferKey = START, limit: int) -> list[Offer]:
        """Return the first `limit` offers that meet the conditions and are older than `after`, as they are now."""
        given = {name: value for name, value in asdict(conditions).items() if value and name != "status"}
        rows = self._database.fetch_all(
            statement(frozenset(given), conditions.status), limit, *after, *(given[name] for name in _in_order(given))
        )
        return [reading.offer.at(reading.now) for reading in map(to_reading, rows)]


@cache
def statement(given: frozenset[str], status: OfferStatus | None) -> Statement:
    """Return the statement of a page with these filters of OfferFilter and this status."""
    branches = [
        f"""(
            SELECT {COLUMNS} FROM offers
            WHERE {conditions} AND (created_at, id) < ({AFTER_TIME}, {AFTER_ID})
            ORDER BY created_at DESC, id DESC LIMIT {LIMIT}
        )"""
        for conditions in _branches(given, status)
    ]
    return Statement(f"""
        SELECT *, (SELECT app_now()) AS now FROM ({" UNION ALL ".join(branches)}) AS offers
        ORDER BY created_at DESC, id DESC LIMIT {LIMIT}
    """)


def _branches(given: frozenset[str], status: OfferStatus | None) -> Iterator[str]:
    """Yield the conditions of each branch. An offer is in one of them at most: nobody is both sides of it."""
    names = _in_order(given)
    values = {name: f"${number}::uuid" for number, name in enumerate(names, FIRST_FILTER)}
    for stored, condition in STORED[status]:
        for party in ("buyer_id", "seller_id") if "participant_id" in given else ("",):
            conditions = [
                f"{party if name == 'participant_id' else name} {'IS NOT DISTINCT FROM' if number else '='}"
                f" {values[name]}"
                for number, name in enumerate(names)
            ]
            yield " AND ".join(filter(None, [*conditions, f"status = '{stored}'", condition]))


def _in_order(given: frozenset[str] | dict[str, UUID]) -> list[str]:
    return [name for name in LEADING if name in given]
