"""What a look-alike gets to see and to do of the other's offers: nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.look_alikes.conversation_cases import furnish_conversations
from tests.support.look_alikes.pair import Pair
from tests.support.look_alikes.person import KEY, Person
from tests.support.story import ok

Case = Callable[[Pair], None]

OFFER = "/api/offers/{}"
TERMS: dict[str, Any] = {"title": "A shop", "price": 70, "deliveryDays": 10}


def make_offer(pair: Pair) -> None:
    _furnish(pair)
    own = {**TERMS, "gigId": pair.viewer.gig["id"]}
    pair.hidden("POST", "/api/conversations/{}/offers", pair.owner.conversation, json=own)
    path = f"/api/conversations/{pair.viewer.conversation}/offers"
    # The owner's gig is for all to see, a paused one's id is not.
    pair.forbidden("POST", path, json={**TERMS, "gigId": pair.owner.gig["id"]}, shows=[pair.owner.gig["id"]])
    made = ok(pair.ask("POST", path, json=own, headers=KEY), 201)
    assert made["sellerId"] == pair.viewer.id
    ok(pair.ask("POST", f"{OFFER.format(made['id'])}/withdraw"))


def list_offers(pair: Pair) -> None:
    _furnish(pair)
    own = {*pair.viewer.got, pair.viewer.made}
    assert {row["id"] for row in pair.pages("/api/offers")} >= own
    for role in ("buyer", "seller"):
        for status in ("", "OPEN", "DECLINED", "ACCEPTED", "WITHDRAWN", "EXPIRED"):
            side = f"{role}Id"
            assert all(row[side] == pair.viewer.id for row in pair.pages("/api/offers", role=role, status=status))
    talk = pair.owner.conversation
    assert ok(pair.ask("GET", "/api/offers", params={"conversationId": talk}))["results"] == []
    token = pair.owners_page_token("/api/offers", role="buyer")
    rows = ok(pair.ask("GET", "/api/offers", params={"role": "buyer", "pageToken": token}))["results"]
    assert all(row["buyerId"] == pair.viewer.id for row in rows)
    pair.forbidden("GET", f"/api/offers?role=admin&buyerId={pair.owner.id}")
    assert pair.ask("GET", f"/api/offers?buyerId={pair.owner.id}").status_code == 400


def get_offer(pair: Pair) -> None:
    _furnish(pair)
    pair.hidden("GET", OFFER, *pair.owner.got, pair.owner.made)


def withdraw_offer(pair: Pair) -> None:
    _furnish(pair)
    pair.hidden("POST", f"{OFFER}/withdraw", *pair.owner.got, pair.owner.made)


def decline_offer(pair: Pair) -> None:
    _furnish(pair)
    pair.hidden("POST", f"{OFFER}/decline", *pair.owner.got, pair.owner.made, json={"message": "No"})
    for offer in (*pair.owner.got, pair.owner.made):
        pair.same_as_unknown_body(404, "/api/orders", "offerId", offer, paymentMethod="sandbox")


def _furnish(pair: Pair) -> None:
    """Give both offers in each direction, unless they have them."""
    furnish_conversations(pair)
    if pair.owner.made:
        return
    pair.let_owner_act(lambda: _offer(pair, pair.owner))
    _offer(pair, pair.viewer)


def _offer(pair: Pair, person: Person) -> None:
    """Have the market's seller offer to a person, who declines one and orders one, and offers something in turn."""
    terms = {**TERMS, "description": f"For {person.word}"}
    path = f"/api/conversations/{person.conversation}/offers"
    offers = [ok(pair.market.seller.post(path, json={**terms, "gigId": pair.gig["id"]}), 201)["id"] for _ in range(3)]
    person.got = [person.owns(offer, "an offer to them") for offer in offers]
    ok(person.client.post(f"{OFFER.format(offers[1])}/decline", json={"message": f"Not for {person.word}"}))
    body = {"offerId": offers[2], "paymentMethod": "sandbox"}
    person.orders.append(person.owns(ok(person.client.post("/api/orders", json=body), 201)["orderId"], "an order"))
    made = ok(person.client.post(path, json={**terms, "gigId": person.gig["id"]}), 201)["id"]
    person.made = person.owns(made, "an offer of theirs")


CASES: dict[str, Case] = {
    "OfferService.MakeOffer": make_offer,
    "OfferService.ListOffers": list_offers,
    "OfferService.GetOffer": get_offer,
    "OfferService.WithdrawOffer": withdraw_offer,
    "OfferService.DeclineOffer": decline_offer,
}
