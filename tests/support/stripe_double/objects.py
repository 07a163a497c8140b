"""The objects of the double, their numbers, lists of them, and the events about them.

Lists are newest first and filtered by `created` (https://docs.stripe.com/api/pagination). An event has a copy of its
object as it was (https://docs.stripe.com/api/events).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.support.stripe_double.errors import Object

COMPARISONS = {
    "gt": lambda created, bound: created > bound,
    "gte": lambda created, bound: created >= bound,
    "lt": lambda created, bound: created < bound,
    "lte": lambda created, bound: created <= bound,
}


@dataclass
class Objects:
    """Stripe's objects by their kind, oldest first. `balance` is the platform's available balance, in cents."""

    intents: dict[str, Object] = field(default_factory=dict)
    refunds: list[Object] = field(default_factory=list)
    disputes: list[Object] = field(default_factory=list)
    transfers: list[Object] = field(default_factory=list)
    accounts: dict[str, Object] = field(default_factory=dict)
    events: list[Object] = field(default_factory=list)
    balance: int = 1_000_000

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._lock = threading.RLock()

    def _new(self, kind: str, prefix: str, **fields: Any) -> Object:
        return {"id": f"{prefix}_{next(self._numbers)}", "object": kind, "created": int(time.time()), **fields}

    def _report(self, kind: str, resource: Object) -> None:
        """Add an event."""
        data = {"object": json.loads(json.dumps(resource))}
        self.events.append(self._new("event", "evt", type=kind, data=data))

    def _transaction(self, kind: str, amount: int, fee: int, currency: str) -> Object:
        """Return a new balance transaction (https://docs.stripe.com/api/balance_transactions/object)."""
        return self._new(
            "balance_transaction", "txn", amount=amount, fee=fee, net=amount - fee, currency=currency, type=kind
        )

    def _list_events(self, params: Object) -> Object:
        """List events: of up to 20 types (https://docs.stripe.com/api/events/list)."""
        types = params.get("types", {}).values()
        assert len(types) <= 20
        return listed("events", (each for each in self.events if each["type"] in types), params)


def listed(kind: str, objects: Iterable[Object], params: Object) -> Object:
    """Return a page of objects, which are given oldest first."""
    created = params.get("created", {})
    found = [
        each
        for each in reversed(list(objects))
        if all(COMPARISONS[name](each["created"], int(bound)) for name, bound in created.items())
    ]
    after = params.get("starting_after")
    if after:
        found = found[[each["id"] for each in found].index(after) + 1 :]
    limit = int(params.get("limit", 10))
    return {"object": "list", "data": found[:limit], "has_more": len(found) > limit, "url": f"/v1/{kind}"}


def expansions(params: Object, prefix: str = "") -> set[str]:
    """Return the paths to expand (https://docs.stripe.com/api/expanding_objects), below a prefix."""
    return {path.removeprefix(prefix) for path in params.get("expand", {}).values() if path.startswith(prefix)}
