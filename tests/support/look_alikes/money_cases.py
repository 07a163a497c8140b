"""What a look-alike gets to see and to do of the other's money: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from order_service.payments.sandbox import scenarios
from tests.support.eventually import eventually
from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import KEY, Person
from tests.support.story import ok

Case = Callable[[Pair], None]


def get_balance(pair: Pair) -> None:
    before = ok(pair.ask("GET", "/api/balance"))
    entries = pair.pages("/api/balance/entries")

    pair.let_owner_act(lambda: _adjust(pair))

    assert ok(pair.ask("GET", "/api/balance")) == before
    assert Decimal(str(before["available"])) == sum(Decimal(str(entry["amount"])) for entry in entries)
    assert before != ok(pair.owner.client.get("/api/balance"))


def list_balance_entries(pair: Pair) -> None:
    rows = pair.pages("/api/balance/entries")
    token = pair.owners_page_token("/api/balance/entries")
    behind = ok(pair.ask("GET", "/api/balance/entries", params={"pageToken": token, "pageSize": 100}))["results"]

    assert {"SALE", "COMMISSION", "PAYOUT", "ADJUSTMENT"} <= {row["kind"] for row in rows}
    assert {row["orderId"] for row in rows if "orderId" in row} <= set(pair.viewer.orders)
    assert {row["payoutId"] for row in rows if "payoutId" in row} <= set(pair.viewer.payouts)
    assert all(row in rows for row in behind)


def request_payout(pair: Pair) -> None:
    made, others = (person.keyed["RequestPayout"] for person in (pair.viewer, pair.owner))
    again = pair.ask("POST", "/api/payouts", json=made.body, headers=KEY)
    assert made.body == others.body
    assert ok(made.answer, 201)["payoutId"] != ok(others.answer, 201)["payoutId"]
    assert ok(again, 201) == made.answer.json()

    # A hold of the owner's payouts is none of the viewer's.
    with _held(pair):
        balance = ok(pair.ask("GET", "/api/balance"))["available"]
        _pay_out(pair.viewer, pair.viewer.client.post("/api/payouts", json={"amount": 0.01}))
        assert ok(pair.ask("GET", "/api/balance"))["available"] == round(balance - 0.01, 2)


def list_payouts(pair: Pair) -> None:
    rows = pair.pages("/api/payouts")
    assert {row["payoutId"] for row in rows} == set(pair.viewer.payouts)
    assert {row["sellerId"] for row in rows} == {pair.viewer.id}
    # There is a page token only with a second payout.
    pair.let_owner_act(lambda: _finished(pair.owner, _pay_out_a_cent(pair.owner)))
    token = pair.owners_page_token("/api/payouts")
    behind = ok(pair.ask("GET", "/api/payouts", params={"pageToken": token, "pageSize": 100}))["results"]
    assert {row["payoutId"] for row in behind} <= set(pair.viewer.payouts)


def get_payout(pair: Pair) -> None:
    for payout in pair.owner.payouts:
        ok(pair.owner.client.get(f"/api/payouts/{payout}"))
    pair.hidden("GET", "/api/payouts/{}", *pair.owner.payouts)


def set_payout_account(pair: Pair) -> None:
    ok(pair.ask("PUT", "/api/payout-account", json={"destination": scenarios.PAYOUT_REFUSED}))

    to_owner = pair.let_owner_act(lambda: _finished(pair.owner, _pay_out_a_cent(pair.owner)))
    to_viewer = _finished(pair.viewer, _pay_out_a_cent(pair.viewer))

    assert (to_owner, to_viewer) == ("PAID", "FAILED")
    ok(pair.ask("PUT", "/api/payout-account", json={"destination": f"acct_{pair.viewer.word}"}))


def of_seller(rest: str) -> Case:
    """Return the case of an admin's read of a seller."""

    def case(pair: Pair) -> None:
        for seller in (pair.owner, pair.viewer):
            ok(pair.market.admin.get(f"/api/sellers/{seller.id}/{rest}"))
            pair.same_as_unknown(403, "GET", f"/api/sellers/{{}}/{rest}", seller.id)

    return case


def get_payout_hold(pair: Pair) -> None:
    with _held(pair):
        for seller in (pair.owner, pair.viewer):
            pair.same_as_unknown(403, "GET", "/api/sellers/{}/payout-hold", seller.id)


def set_payout_hold(pair: Pair) -> None:
    body = {"reason": "Not mine to hold"}
    pair.same_as_unknown(403, "PUT", "/api/sellers/{}/payout-hold", pair.owner.id, json=body)
    with _held(pair):
        pair.same_as_unknown(403, "PUT", "/api/sellers/{}/payout-hold", pair.owner.id, json=body)


def release_payout_hold(pair: Pair) -> None:
    with _held(pair):
        pair.same_as_unknown(403, "DELETE", "/api/sellers/{}/payout-hold", pair.owner.id)


def adjust_balance(pair: Pair) -> None:
    # An admin uses the key on this path, with this body.
    body = {"amount": 0.01, "message": f"A cent, {pair.owner.word}"}
    path = f"/api/sellers/{pair.owner.id}/adjustments"
    headers = {"idempotency-key": f"a cent, {pair.viewer.word}"}
    pair.let_owner_act(lambda: ok(pair.market.admin.post(path, json=body, headers=headers), 201))

    for extra in ({}, headers):
        pair.same_as_unknown(403, "POST", "/api/sellers/{}/adjustments", pair.owner.id, json=body, headers=extra)


def receive_stripe_event(pair: Pair) -> None:
    """Report a chargeback of the owner's order, without Stripe's signature."""
    dispute = {"id": "dp_1", "object": "dispute", "amount": 50000, "metadata": {"order": pair.owner.sold["DELIVERED"]}}
    event = {"id": "evt_1", "object": "event", "type": "charge.dispute.created", "data": {"object": dispute}}
    for headers in ({}, {"stripe-signature": "t=1,v1=00"}):
        assert pair.ask("POST", "/api/webhooks/stripe", json=event, headers=headers).status_code == 400


@contextmanager
def _held(pair: Pair) -> Iterator[None]:
    """Let an admin hold the owner's payouts, and release them at the end."""
    path = f"/api/sellers/{pair.owner.id}/payout-hold"
    body = {"reason": f"A look at the orders, {pair.owner.word}"}
    pair.let_owner_act(lambda: ok(pair.market.admin.put(path, json=body)))
    try:
        yield
    finally:
        pair.let_owner_act(lambda: ok(pair.market.admin.delete(path), 204))


def _adjust(pair: Pair) -> None:
    body = {"amount": 0.01, "message": f"A cent, {pair.owner.word}"}
    ok(pair.market.admin.post(f"/api/sellers/{pair.owner.id}/adjustments", json=body), 201)


def _pay_out_a_cent(person: Person) -> str:
    return _pay_out(person, person.client.post("/api/payouts", json={"amount": 0.01}))


def _pay_out(person: Person, answer: Any) -> str:
    """Record a payout. Return its id."""
    payout = ok(answer, 201)["payoutId"]
    person.payouts.append(person.owns(payout, "a payout"))
    return str(payout)


def _finished(person: Person, payout: str) -> str:
    """Wait until a payout is not PENDING any more. Return its status."""

    def status() -> str:
        shown = str(ok(person.client.get(f"/api/payouts/{payout}"))["status"])
        return "" if shown == "PENDING" else shown

    return eventually(status)


CASES: dict[str, Case] = {
    "OrderService.GetBalance": get_balance,
    "OrderService.ListBalanceEntries": list_balance_entries,
    "OrderService.RequestPayout": request_payout,
    "OrderService.ListPayouts": list_payouts,
    "OrderService.GetPayout": get_payout,
    "OrderService.SetPayoutAccount": set_payout_account,
    "OrderService.GetSellerBalance": of_seller("balance"),
    "OrderService.ListSellerBalanceEntries": of_seller("balance/entries"),
    "OrderService.ListSellerPayouts": of_seller("payouts"),
    "OrderService.GetPayoutHold": get_payout_hold,
    "OrderService.SetPayoutHold": set_payout_hold,
    "OrderService.ReleasePayoutHold": release_payout_hold,
    "OrderService.AdjustBalance": adjust_balance,
    "OrderService.ReceiveStripeEvent": receive_stripe_event,
}
