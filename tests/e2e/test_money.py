"""Money through the real edge: what clients see of it, and of what they get wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.stack import Stack, stack_command
from tests.support.story import Market, ok


def payment(market: Market, order: str) -> dict[str, Any]:
    shown: dict[str, Any] = ok(market.buyer.get(f"/api/orders/{order}"))["payment"]
    return shown


def test_every_answer_about_an_order_has_its_payment(market: Market) -> None:
    gig = market.gig(price=19.99)
    order = market.order(gig)
    authorized = {"status": "AUTHORIZED", "amount": 19.99, "refunded": 0}
    assert payment(market, order) == authorized
    assert ok(market.seller.get("/api/orders"))["results"][0]["payment"] == authorized

    accepted = ok(market.seller.post(f"/api/orders/{order}/accept"))

    assert accepted["payment"] == {**authorized, "status": "CAPTURED"}
    assert ok(market.seller.get("/api/balance")) == {
        "currency": "USD",
        "inEscrow": 17.99,
        "available": 0,
        "paidOut": 0,
    }


def test_voids_refunds_and_payouts_are_seen_soon(market: Market) -> None:
    gig = market.gig()
    declined, cancelled = market.order(gig), market.delivered(market.gig(revisions=1))
    ok(market.buyer.post(f"/api/orders/{cancelled}/revise", json={"message": "Bluer"}))

    ok(market.seller.post(f"/api/orders/{declined}/decline"))
    eventually(lambda: payment(market, declined)["status"] == "VOIDED")
    ok(market.seller.post(f"/api/orders/{cancelled}/cancel"))
    eventually(lambda: payment(market, cancelled) == {"status": "REFUNDED", "amount": 500, "refunded": 500})
    market.completed(gig)
    payout = ok(market.seller.post("/api/payouts", json={"amount": 100.5}), 201)
    shown = f"/api/payouts/{payout['payoutId']}"
    eventually(lambda: ok(market.seller.get(shown))["status"] == "PAID")
    assert ok(market.admin.get(shown)) == ok(market.seller.get(shown))


def test_the_entries_of_a_partial_refund_are_told_as_the_contract_has_them(market: Market) -> None:
    order = market.delivered(market.gig())
    ok(market.buyer.post(f"/api/orders/{order}/dispute", json={"message": "Half of it is missing"}))
    disputes = ok(market.admin.get("/api/orders", params={"role": "admin", "status": "DISPUTED", "pageSize": 100}))
    assert order in [each["orderId"] for each in disputes["results"]]

    body = {"outcome": "COMPLETED", "refundAmount": 120.5, "message": "Both have a point"}
    resolved = ok(market.admin.post(f"/api/orders/{order}/resolve", json=body))

    assert (resolved["status"], resolved["actions"]) == ("COMPLETED", ["refund"])
    entries = ok(market.seller.get("/api/balance/entries"))["results"]
    assert [{key: value for key, value in entry.items() if key != "at"} for entry in entries] == [
        {"kind": "COMMISSION", "amount": -37.95, "orderId": order},
        {"kind": "REFUND", "amount": -120.5, "orderId": order},
        {"kind": "SALE", "amount": 500, "orderId": order},
    ]
    expected = {"status": "PARTIALLY_REFUNDED", "amount": 500, "refunded": 120.5}
    eventually(lambda: payment(market, order) == expected)


def test_an_admin_decides_a_delivered_order_and_refunds_it_later(market: Market) -> None:
    order = market.delivered(market.gig())
    body = {"outcome": "COMPLETED", "message": "The work is as agreed on"}
    assert ok(market.admin.post(f"/api/orders/{order}/resolve", json=body))["status"] == "COMPLETED"

    refund = {"amount": 120.5, "message": "It broke a week later", "from": "seller"}
    headers = {"idempotency-key": "once"}
    first = ok(market.admin.post(f"/api/orders/{order}/refund", json=refund, headers=headers))
    again = ok(market.admin.post(f"/api/orders/{order}/refund", json=refund, headers=headers))

    assert (first["status"], first["orderId"], again) == ("COMPLETED", order, first)
    expected = {"status": "PARTIALLY_REFUNDED", "amount": 500, "refunded": 120.5}
    eventually(lambda: payment(market, order) == expected)
    assert ok(market.seller.get("/api/balance"))["available"] == 341.55
    last = ok(market.buyer.get(f"/api/orders/{order}/events"))["events"][-1]
    assert {name: value for name, value in last.items() if name != "at"} == {
        "by": "admin",
        "action": "refund",
        "from": "COMPLETED",
        "to": "COMPLETED",
        "message": "It broke a week later",
        "amount": 120.5,
        "files": [],
    }


def test_a_chargeback_is_shown_to_the_seller_and_to_admins(market: Market) -> None:
    request = market.order_request(market.gig(), "sandbox_chargeback_partial")
    order = ok(market.buyer.post("/api/orders", json=request), 201)["orderId"]
    ok(market.seller.post(f"/api/orders/{order}/accept"))

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = ok(market.seller.get(f"/api/orders/{order}"))
        return found

    eventually(lambda: "chargeback" in shown())
    chargeback = shown()["chargeback"]
    assert (chargeback["amount"], chargeback["state"], shown()["status"]) == (50, "NEEDS_RESPONSE", "DISPUTED")
    assert chargeback["evidenceDueBy"].endswith("Z")
    assert ok(market.admin.get(f"/api/orders/{order}"))["chargeback"] == chargeback
    assert "chargeback" not in ok(market.buyer.get(f"/api/orders/{order}"))


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("dispute", {}, "message"),
        ("dispute", {"message": " "}, "message"),
        ("dispute", {"message": 5}, "message"),
        ("resolve", {}, "outcome"),
        ("resolve", {"outcome": "DELIVERED"}, "outcome"),
        ("resolve", {"outcome": "COMPLETED", "refundAmount": -1}, "refundAmount"),
        ("resolve", {"outcome": "COMPLETED", "refundAmount": 1.005}, "refundAmount"),
        ("resolve", {"outcome": "COMPLETED", "refundAmount": "all"}, "refundAmount"),
        ("resolve", {"outcome": "COMPLETED", "refundAmount": 500.01}, "refundAmount"),
        ("resolve", {"outcome": "CANCELLED", "refundAmount": 5}, "refundAmount"),
        ("resolve", {"outcome": "CANCELLED", "refundAmount": 0}, "refundAmount"),
    ],
)
def test_an_action_with_a_wrong_body_is_named_and_changes_nothing(
    market: Market, action: str, body: dict[str, Any], field: str
) -> None:
    order = market.delivered(market.gig())
    client = market.buyer
    if action == "resolve":
        ok(market.buyer.post(f"/api/orders/{order}/dispute", json={"message": "No"}))
        client = market.admin
    before = ok(market.buyer.get(f"/api/orders/{order}"))

    answer = client.post(f"/api/orders/{order}/{action}", json=body)

    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, field), answer.text
    assert ok(market.buyer.get(f"/api/orders/{order}")) == before


def test_the_books_can_be_checked_beside_a_running_stack(stack: Stack, market: Market) -> None:
    market.completed(market.gig())

    check = stack_command(stack.data_dir, "check-books")

    assert check.returncode == 0, check.stdout + check.stderr
    assert check.stdout.endswith("no differences\n")
    assert "escrow" in check.stdout


def test_a_card_that_wants_confirmation_places_the_order_with_its_key_and_its_secret_is_in_no_log(
    stack: Stack, market: Market
) -> None:
    body = {**market.order_request(market.gig(), "sandbox_confirm"), "expectedPrice": None}
    request: Any = {"json": body, "headers": {"idempotency-key": "confirm"}}

    first = market.buyer.post("/api/orders", **request)

    assert first.status_code == 402
    assert set(first.json()) == {"error", "code", "confirmation"}
    assert first.json()["code"] == "PAYMENT_ACTION_REQUIRED"
    confirmation = first.json()["confirmation"]
    assert set(confirmation) == {"clientSecret", "expiresAt"}
    again = market.buyer.post("/api/orders", **request)
    assert again.status_code == 201 or again.json()["confirmation"] == confirmation
    order = eventually(lambda: ok(market.buyer.get("/api/orders"))["results"])[0]["orderId"]
    assert ok(market.buyer.post("/api/orders", **request), 201)["orderId"] == order
    logs = "".join(path.read_text() for path in stack.layout.logs.iterdir() if path.is_file())
    assert "PAYMENT_ACTION_REQUIRED" in logs
    assert confirmation["clientSecret"] not in logs


def test_another_price_than_the_expected_one_is_409_with_the_price_and_the_card_is_not_asked(market: Market) -> None:
    gig = market.gig(price=19.99)
    body = market.order_request(gig, "sandbox_declined")
    headers = {"idempotency-key": "price"}

    changed = market.buyer.post("/api/orders", json={**body, "expectedPrice": 20}, headers=headers)

    assert (changed.status_code, changed.json()["code"], changed.json()["price"]) == (409, "PRICE_CHANGED", 19.99)
    accepted = {**market.order_request(gig), "expectedPrice": 19.99}
    ok(market.buyer.post("/api/orders", json=accepted, headers=headers), 201)
    for wrong in (0, -1, 19.999, 1000000.01, "much"):
        refused = market.buyer.post("/api/orders", json={**body, "expectedPrice": wrong})
        assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_ARGUMENT")
        assert [each["field"] for each in refused.json()["details"]] == ["expectedPrice"]
