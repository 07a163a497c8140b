"""What a look-alike gets to see and to do of the other's orders and reviews: nothing but the public reviews."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.support.look_alikes.pair import Pair, fields
from tests.support.look_alikes.person import KEY, SECOND_KEY, SEED_REPLY, STEPS
from tests.support.story import SEED_REVIEW, action_path, ok

Case = Callable[[Pair], None]

REVIEW = {"id", "orderId", "buyer.id", "buyer.username", "rating", "comment", "createdAt"}
REPLY = {"results[].reply.text", "results[].reply.at"}
REVIEWS = {
    *(f"results[].{name}" for name in REVIEW),
    *("total", "averageRating", *(f"histogram.{stars}" for stars in range(1, 6))),
}


def place_order(pair: Pair) -> None:
    made, others = (person.keyed["PlaceOrder"].answer for person in (pair.viewer, pair.owner))
    again = pair.ask("POST", "/api/orders", json=pair.viewer.keyed["PlaceOrder"].body, headers=KEY)
    order = ok(pair.ask("GET", f"/api/orders/{made.json()['orderId']}"))

    assert pair.viewer.keyed["PlaceOrder"].body == pair.owner.keyed["PlaceOrder"].body
    assert ok(made, 201)["orderId"] != ok(others, 201)["orderId"]
    assert (ok(again, 201), again.headers["location"]) == (made.json(), made.headers["location"])
    assert (order["buyerId"], order["sellerId"]) == (pair.viewer.id, pair.gig["seller"]["id"])
    # An extra of another package.
    package, extra = pair.viewer.gig["packages"][1], pair.owner.gig["packages"][1]["extras"][0]
    body = {"packageId": package["id"], "extraIds": [extra["id"]], "paymentMethod": "sandbox"}
    (detail,) = ok(pair.market.buyer.post("/api/orders", json=body), 400)["details"]
    assert detail["field"] == "extraIds[0]"
    # A payment that waits for the buyer's confirmation.
    waiting, theirs = (person.keyed["PlaceOrder to confirm"] for person in (pair.viewer, pair.owner))
    again = pair.ask("POST", "/api/orders", json=waiting.body, headers=SECOND_KEY)
    assert waiting.body == theirs.body
    assert waiting.answer.json()["confirmation"] != theirs.answer.json()["confirmation"]
    assert ok(again, 402) == waiting.answer.json()


def get_order(pair: Pair) -> None:
    for order in pair.owner.orders:
        ok(pair.owner.client.get(f"/api/orders/{order}"))
    pair.hidden("GET", "/api/orders/{}", *pair.owner.orders)


def list_order_events(pair: Pair) -> None:
    pair.hidden("GET", "/api/orders/{}/events", *pair.owner.orders)


def list_orders(pair: Pair) -> None:
    owner, viewer = pair.owner.id, pair.viewer.id
    for role, sides in {"": ("buyerId", "sellerId"), "buyer": ("buyerId",), "seller": ("sellerId",)}.items():
        for status in ("", *STEPS):
            for sort in ("newest", "oldest"):
                params = {"role": role, "status": status, "sort": sort}
                rows = pair.pages("/api/orders", **params)
                assert rows
                assert all(viewer in {row[side] for side in sides} for row in rows)
        token = pair.owners_page_token("/api/orders", role=role)
        rows = ok(pair.ask("GET", "/api/orders", params={"role": role, "pageToken": token, "pageSize": 100}))["results"]
        assert all(viewer in {row[side] for side in sides} for row in rows)
    assert {row["orderId"] for row in pair.pages("/api/orders")} >= set(pair.viewer.orders)
    for wanted in (owner, viewer):
        pair.forbidden("GET", f"/api/orders?role=admin&buyerId={wanted}")
        pair.forbidden("GET", f"/api/orders?role=admin&sellerId={wanted}")
        assert pair.ask("GET", f"/api/orders?buyerId={wanted}").status_code == 400
        assert pair.ask("GET", f"/api/orders?sellerId={wanted}").status_code == 400
    pair.forbidden("GET", f"/api/orders?role=admin&gigId={pair.owner.gig['id']}")


def act(action: str, pair: Pair, **more: Any) -> None:
    """Take an action on each of the owner's orders: in the status in which it is open to them, and in all others."""
    pair.hidden("POST", action_path("{}", action), *pair.owner.orders, json={"message": "Please", **more})


def refund_order(pair: Pair) -> None:
    act("refund", pair, amount=1, **{"from": "platform"})
    # An admin has used the key on this path already, with this body.
    done = pair.owner.sold["COMPLETED"]
    body = {"amount": 1, "message": f"A refund, {pair.owner.word}", "from": "platform"}
    pair.hidden("POST", "/api/orders/{}/refund", done, json=body, headers=KEY)


def submit_review(pair: Pair) -> None:
    for order in pair.owner.orders:
        for headers in ({}, KEY):
            pair.forbidden("POST", f"/api/orders/{order}/review", json=SEED_REVIEW, headers=headers)
    made, others = (person.keyed["SubmitReview"] for person in (pair.viewer, pair.owner))
    again = pair.ask("POST", made.path, json=made.body, headers=KEY)

    assert made.body == others.body
    assert ok(made.answer, 201)["reviewId"] != ok(others.answer, 201)["reviewId"]
    assert ok(again, 201) == made.answer.json()


def list_reviews(pair: Pair) -> None:
    # As a seller: reviews of the owner's gig, by another buyer. A review has its order's id.
    path = f"/api/gigs/{pair.owner.gig['id']}/reviews"
    of_gig = ok(pair.ask("GET", path, shows=[pair.owner.sold["COMPLETED"], pair.owner.sold["DELIVERED"]]))
    assert fields(of_gig) == REVIEWS | REPLY
    assert [row["id"] for row in of_gig["results"]] == [pair.owner.unreplied, pair.owner.replied]
    assert of_gig == ok(pair.market.anyone.get(path))
    # As a buyer: both have reviewed the same seller's gig.
    path = f"/api/gigs/{pair.gig['id']}/reviews"
    by_both = ok(pair.ask("GET", path, shows=[pair.owner.id, pair.owner.reviewed]))
    assert fields(by_both) == REVIEWS
    assert {row["buyer"]["id"]: row["orderId"] for row in by_both["results"]} == {
        person.id: person.reviewed for person in (pair.owner, pair.viewer)
    }
    for gig in pair.owner.paused:
        pair.hidden("GET", "/api/gigs/{}/reviews", gig["id"])


def reply_to_review(pair: Pair) -> None:
    for review in (pair.owner.unreplied, pair.owner.replied):
        for text in (SEED_REPLY["text"], "Not mine to say"):
            pair.forbidden("POST", f"/api/reviews/{review}/reply", json={"text": text})
    # The viewer's own is refused for what it is.
    answer = pair.ask("POST", f"/api/reviews/{pair.viewer.replied}/reply", json=SEED_REPLY)
    assert ok(answer, 409)["code"] == "ALREADY_REPLIED"


CASES: dict[str, Case] = {
    "OrderService.PlaceOrder": place_order,
    "OrderService.GetOrder": get_order,
    "OrderService.ListOrderEvents": list_order_events,
    "OrderService.ListOrders": list_orders,
    "OrderService.AcceptOrder": partial(act, "accept"),
    "OrderService.DeclineOrder": partial(act, "decline"),
    "OrderService.CancelOrder": partial(act, "cancel"),
    "OrderService.DeliverOrder": partial(act, "deliver"),
    "OrderService.ExtendOrder": partial(act, "extend", days=5),
    "OrderService.AcceptExtension": partial(act, "accept_extension"),
    "OrderService.DeclineExtension": partial(act, "decline_extension"),
    "OrderService.ReviseOrder": partial(act, "revise"),
    "OrderService.CompleteOrder": partial(act, "complete"),
    "OrderService.DisputeOrder": partial(act, "dispute"),
    "OrderService.ResolveOrder": partial(act, "resolve", outcome="CANCELLED"),
    "OrderService.RefundOrder": refund_order,
    "ReviewService.SubmitReview": submit_review,
    "ReviewService.ListReviews": list_reviews,
    "ReviewService.ReplyToReview": reply_to_review,
}
