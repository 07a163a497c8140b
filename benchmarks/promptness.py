"""`python -m benchmarks.promptness`: how soon work that is left to workers is done, in a running stack.

A voided, refunded or paid out payment should be seen within two seconds, a rating on its gig's page within half a
second. The longest of all rounds counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from tests.support.eventually import eventually
from tests.support.stack import UNLIMITED_WRITES, Stack
from tests.support.story import Market, ok

BOUNDS = {"void": 2.0, "refund": 2.0, "payout": 2.0, "rating": 0.5}
ROUNDS = 20


def seconds_until(holds: Callable[[], bool]) -> float:
    """Return how long it takes until the condition holds."""
    began = time.monotonic()
    eventually(holds, every=0.01)
    return time.monotonic() - began


def measure(market: Market) -> dict[str, float]:
    """Return the seconds that each kind of work takes."""
    gig = market.gig()

    def payment(order: str) -> Any:
        return ok(market.buyer.get(f"/api/orders/{order}"))["payment"]["status"]

    declined = market.order(gig)
    ok(market.seller.post(f"/api/orders/{declined}/decline"))
    void = seconds_until(lambda: payment(declined) == "VOIDED")
    cancelled = market.order(gig)
    ok(market.seller.post(f"/api/orders/{cancelled}/accept"))
    ok(market.seller.post(f"/api/orders/{cancelled}/cancel"))
    refund = seconds_until(lambda: payment(cancelled) == "REFUNDED")
    market.review(market.completed(gig))
    rating = seconds_until(lambda: ok(market.anyone.get(f"/api/gigs/{gig['id']}"))["rating"] == 5)
    ok(market.seller.put("/api/payout-account", json={"destination": "acct_1"}))
    path = f"/api/payouts/{ok(market.seller.post('/api/payouts', json={}), 201)['payoutId']}"
    payout = seconds_until(lambda: ok(market.seller.get(path))["status"] == "PAID")
    return {"void": void, "refund": refund, "payout": payout, "rating": rating}


def main() -> int:
    """Return 0 when nothing takes longer than its bound."""
    stack = Stack(**UNLIMITED_WRITES)
    try:
        stack.start()
        rounds = [measure(Market.of(stack)) for _ in range(ROUNDS)]
    finally:
        stack.stop()
    longest = {kind: max(each[kind] for each in rounds) for kind in BOUNDS}
    for kind, bound in BOUNDS.items():
        print(f"{kind:<8} longest of {ROUNDS}: {longest[kind]:.3f} s, bound {bound} s")
    return 0 if all(longest[kind] <= bound for kind, bound in BOUNDS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
