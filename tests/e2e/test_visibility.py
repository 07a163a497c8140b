"""Who sees and may do what with gigs and orders, through the real edge to the real services."""

from __future__ import annotations

from tests.support.stack import Stack
from tests.support.story import SEED_GIG, Market, a_name, ok


def test_a_gig_that_is_not_active_is_404_to_all_but_its_owner_and_admins(stack: Stack, market: Market) -> None:
    gig = market.gig()
    ok(market.seller.patch(f"/api/gigs/{gig['id']}/status", json={}))
    admin = stack.client(a_name("admin"), "admin")
    paths = [f"/api/gigs/{gig['id']}{rest}" for rest in ("", "/packages", "/reviews")]

    assert [market.anyone.get(path).status_code for path in paths] == [404] * 3
    assert [market.buyer.get(path).status_code for path in paths] == [404] * 3
    assert [market.seller.get(path).status_code for path in paths] == [200] * 3
    assert [admin.get(path).status_code for path in paths] == [200] * 3
    assert ok(market.anyone.get("/api/gigs", params={"sellerId": gig["seller"]["id"]}))["total"] == 0


def test_an_owner_finds_their_own_paused_gigs(market: Market) -> None:
    gig = market.gig()
    ok(market.seller.patch(f"/api/gigs/{gig['id']}/status", json={"status": "PAUSED"}))
    query = {"sellerId": gig["seller"]["id"], "status": "PAUSED"}

    assert [result["id"] for result in ok(market.seller.get("/api/gigs", params=query))["results"]] == [gig["id"]]
    assert market.buyer.get("/api/gigs", params=query).status_code in (400, 403)


def test_an_order_keeps_its_terms_when_the_gig_changes_and_goes(market: Market) -> None:
    gig = market.gig()
    order = market.order(gig)
    package = {**SEED_GIG["packages"][0], "price": 1, "title": "Cheap"}
    ok(market.seller.put(f"/api/gigs/{gig['id']}/packages/{gig['packages'][0]['id']}", json=package))
    assert market.seller.delete(f"/api/gigs/{gig['id']}").status_code == 204

    seen = ok(market.buyer.get(f"/api/orders/{order}"))

    assert (seen["price"], seen["package"], seen["gigTitle"]) == (500, "Basic Website", SEED_GIG["title"])
    assert (seen["currency"], seen["revisionsLeft"], seen["actions"]) == ("USD", 0, ["cancel"])
    for action in ("accept", "deliver"):
        ok(market.seller.post(f"/api/orders/{order}/{action}"))
    assert market.review(order)["newAverageRating"] == 5


def test_an_order_is_404_to_strangers_whatever_they_try_and_its_review_403(stack: Stack, market: Market) -> None:
    order = market.delivered(market.gig())
    stranger = stack.client(a_name("stranger"), "buyer", "seller")

    assert stranger.get(f"/api/orders/{order}").status_code == 404
    for action in ("accept", "decline", "cancel", "deliver", "complete"):
        assert stranger.post(f"/api/orders/{order}/{action}").status_code == 404
    assert stranger.post(f"/api/orders/{order}/revise", json={"message": "x"}).status_code == 404
    assert stranger.post(f"/api/orders/{order}/review", json={"rating": 1}).status_code == 403


def test_the_wrong_person_is_403_and_the_wrong_time_409_with_what_is_open(market: Market) -> None:
    order = market.order(market.gig())

    assert market.buyer.post(f"/api/orders/{order}/accept").status_code == 403
    error = ok(market.seller.post(f"/api/orders/{order}/deliver"), 409)
    assert error["code"] == "INVALID_TRANSITION"
    assert "accept" in error["error"]
    assert "decline" in error["error"]


def test_ones_own_gig_cannot_be_ordered(stack: Stack) -> None:
    both = stack.client(a_name("both"), "seller", "buyer")
    gig = ok(both.post("/api/gigs", json=SEED_GIG), 201)["id"]
    package = ok(both.get(f"/api/gigs/{gig}"))["packages"][0]["id"]

    assert (
        ok(both.post("/api/orders", json={"packageId": package, "paymentMethod": "stripe"}), 403)["code"] == "FORBIDDEN"
    )
